"""The small network: trained, exported, and as a training command."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from common_lib.errors import UserError
from examples import (
  commands,
  model_files,
  small_network,
  small_street_network,
  train_command,
)
from input_pipeline.datasets import DataRequest, open_source

_TABLE = {
  'classes': [
    {'name': 'road', 'color': [128, 64, 128], 'ids': [7]},
    {'name': 'sky', 'color': [70, 130, 180], 'ids': [23, 300]},
  ],
  'void_ids': [0],
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The folder of a network that was trained for two steps."""
  folder = tmp_path_factory.mktemp('streets')
  small_street_network.main(
    [*_flags(folder), '--steps=2', f'--output={folder}/s/model.onnx']
  )
  return folder


def _flags(folder):
  return [f'--cache_dir={folder}/data', '--num_images=2', '--size=32,64']


def _images(folder):
  request = DataRequest(
    (32, 64), cache_dir=f'{folder}/data', num_examples={'test': 2}
  )
  source = open_source('streets/day:test', request)
  return [source[index] for index in range(2)]


@pytest.mark.parametrize('num_classes', [2, 19])
def test_size_of_the_network(num_classes):
  network = small_network.SmallNetwork(num_classes)
  assert sum(one.numel() for one in network.parameters()) < 300_000
  logits, features = small_network.predict(
    network.eval(), np.zeros((2, 16, 24, 3), np.uint8)
  )
  assert logits.shape == (2, 16, 24, num_classes)
  assert features.shape == (2, 8, 12, 32)


def test_training_learns_and_is_the_same_again():
  random = np.random.default_rng(0)
  labels = np.zeros((4, 16, 16), np.uint8)
  labels[:, 8:] = 1
  images = np.where(labels[..., None] == 1, 200, 50).astype(np.uint8)
  images = images + random.integers(0, 50, images.shape, np.uint8)
  labels[:, 0] = 255  # Of a value that is no index of the logits.
  told = []
  one, other = (
    small_network.train(images, labels, 2, 10, told.append) for _ in range(2)
  )
  for name, array in one.state_dict().items():
    assert torch.equal(array, other.state_dict()[name]), name
  assert small_network.accuracy(one, images, labels) > 0.9
  assert len(told) == 20 and told[0].startswith('step 1 of 10: loss ')


def test_images_without_a_labelled_pixel_change_no_weight_to_nan():
  labels = np.full((1, 16, 16), 255, np.uint8)
  network = small_network.train(
    np.zeros((1, 16, 16, 3), np.uint8), labels, 2, 1, print
  )
  assert all(torch.isfinite(one).all() for one in network.parameters())
  assert small_network.accuracy(network, labels[..., None] * 0, labels) == 0


def test_accuracy_counts_labelled_pixels(monkeypatch):
  logits = np.zeros((1, 1, 4, 2), np.float32)
  logits[..., 1] = [1, 1, -1, 1]  # Predicted: 1 1 0 1
  monkeypatch.setattr(small_network, 'predict', lambda *_: (logits, None))
  labels = np.array([[[1, 0, 0, 255]]], np.uint8)
  images = np.zeros((1, 1, 4, 3), np.uint8)
  found = small_network.accuracy(None, images, labels)
  assert found == pytest.approx(2 / 3)


def test_the_three_forms_are_one_network(trained, monkeypatch):
  monkeypatch.setenv('STREET_NETWORK', f'{trained}/s/weights.pt')
  scenes = _images(trained)
  images = np.stack([scene['image'] for scene in scenes])
  logits, features = small_street_network.predict(images)
  assert logits.shape == (2, 32, 64, 19) and logits.dtype == np.float32
  assert features.shape == (2, 16, 32, 32) and np.ptp(logits) > 0
  small_street_network.main(
    [
      *_flags(trained),
      f'--output={trained}/s/model.onnx',
      f'--logits={trained}/l',
    ]
  )
  assert len(list((trained / 'l').iterdir())) == 2
  for scene, expected in zip(scenes, logits):
    array = np.load(trained / 'l' / f'{scene["id"]}.npy')
    np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5)
  fields = json.loads((trained / 's/model.json').read_text())
  form = {name: fields['input'][name] for name in ('color', 'scale')}
  assert form == {'color': 'RGB', 'scale': 255.0} and not fields['classes']
  mean, std = fields['input']['mean'], fields['input']['std']
  x = ((images / 255.0 - mean) / std).transpose(0, 3, 1, 2)
  session = onnxruntime.InferenceSession(trained / 's/model.onnx')
  found = session.run(['logits', 'features'], {'images': x.astype('float32')})
  for one, other in zip(found, (logits, features)):
    np.testing.assert_allclose(
      one.transpose(0, 2, 3, 1), other, rtol=0, atol=1e-4
    )


def test_predict_needs_weights(tmp_path, monkeypatch):
  images = np.zeros((1, 32, 64, 3), np.uint8)
  path = tmp_path / 'weights.pt'
  monkeypatch.setenv('STREET_NETWORK', str(path))
  with pytest.raises(UserError, match='No such file.*; train it first'):
    small_street_network.predict(images)
  path.write_bytes(b'no weights')
  with pytest.raises(UserError, match='not its weights; train it first'):
    small_street_network.predict(images)


@pytest.fixture
def pool(tmp_path):
  """Four images with labels, of which one is 16 bit, and one without."""
  random = np.random.default_rng(0)
  for name in ('images/train/a', 'labels/train/a'):
    (tmp_path / name).mkdir(parents=True)
  for index in range(5):
    size = (20 + index, 30)
    image = random.integers(0, 256, (*size, 3), np.uint8)
    suffix = 'jpg' if index % 2 else 'png'
    file = tmp_path / f'images/train/a/{index}.{suffix}'
    Image.fromarray(image).save(file)
    ids = random.choice(np.array([7, 23, 0, 255], np.uint8), size)
    if index == 3:
      ids = np.where(ids == 23, 300, ids.astype(np.uint16)).astype(np.uint16)
    if index < 4:
      Image.fromarray(ids).save(tmp_path / f'labels/train/a/{index}.png')
  (tmp_path / 'classes.json').write_text(json.dumps(_TABLE))
  return tmp_path


def _train(pool, *flags):
  model = pool / 'models/cycle_1/model.onnx'
  train_command.main(
    [
      f'--pool={pool}',
      f'--model={model}',
      '--cycle=1',
      '--size=16,24',
      '--steps=2',
      *flags,
    ]
  )
  return model


def test_a_training_command(pool, capsys):
  model = _train(pool)
  said = capsys.readouterr().err
  assert said.startswith('cycle 1: 4 images, ') and '2 classes' in said
  assert 'step 1 of 2: loss ' in said and 'step 2 of 2' in said
  assert json.loads(model.with_name('classes.json').read_text()) == _TABLE
  fields = json.loads(model.with_name('model.json').read_text())
  assert fields['classes'] == 'classes.json'
  assert fields['outputs'] == {'logits': 'logits', 'features': 'features'}
  session = onnxruntime.InferenceSession(model)
  # Any size that is divisible by 8, not only that of training.
  images = np.zeros((1, 3, 32, 40), np.float32)
  assert session.run(['logits'], {'images': images})[0].shape == (1, 2, 32, 40)


def test_labels_of_the_pool(pool):
  table = train_command.class_table_file.read(pool / 'classes.json')
  images, labels = train_command.read_pool(pool, table, (23, 30))
  assert images.shape == (4, 23, 30, 3) and labels.shape == (4, 23, 30)
  ids = np.asarray(Image.open(pool / 'labels/train/a/3.png'))
  expected = np.select([ids == 7, (ids == 23) | (ids == 300)], [0, 1], 255)
  np.testing.assert_array_equal(labels[3], expected)
  assert set(np.unique(labels)) == {0, 1, 255}


def test_mistakes_are_one_sentence_and_exit_2(pool, capsys):
  file = pool / 'labels/train/a/0.png'
  before = file.read_bytes()
  colours = Image.new('RGB', (30, 20))
  for change, sentence in (
    (lambda: file.write_bytes(b'no picture'), '0.png: cannot be read'),
    (lambda: Image.new('L', (30, 20), 9).save(file), 'id 9 is not defined'),
    (lambda: colours.save(file), '0.png: colours, not ids'),
    (lambda: (pool / 'classes.json').write_text('{'), 'classes.json'),
  ):
    change()
    with pytest.raises(SystemExit) as stop:
      commands.run(lambda: _train(pool))
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count('\n') == 1
    assert said.startswith('error: ') and sentence in said
    file.write_bytes(before)
  assert not (pool / 'models').exists()


def test_a_pool_without_labels(tmp_path):
  with pytest.raises(UserError, match='label some first'):
    _train(tmp_path)


@pytest.mark.parametrize('text', ['60,128', '64', '0,8', 'a,b', '8,8,8'])
def test_sizes_that_are_none(text):
  with pytest.raises(commands.argparse.ArgumentTypeError, match='divisible'):
    commands.size(text)


@pytest.mark.parametrize('text', ['0', '-1', '1.5', ''])
def test_counts_that_are_none(text):
  with pytest.raises(commands.argparse.ArgumentTypeError, match='above 0'):
    commands.count(text)


def test_a_file_that_computes_something_else_is_refused(trained):
  content = (trained / 's/model.onnx').read_bytes()
  other = small_network.SmallNetwork(19).eval()
  with pytest.raises(UserError, match='output logits of the ONNX file differs'):
    model_files._difference(other, content, small_network.INPUT, (32, 64))


def test_names_that_are_no_onnx_file(tmp_path):
  network = small_network.SmallNetwork(2)
  for path, sentence in (
    (tmp_path / 'model.pt', 'ends in .onnx'),
    (tmp_path / 'file' / 'model.onnx', 'no such folder can be made'),
  ):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=sentence):
      model_files.export(
        network, path, small_network.INPUT, small_network.OUTPUTS
      )
