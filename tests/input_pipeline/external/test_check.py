"""The check before anything is trained: it names the mistake, and only that."""

import dataclasses

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import external
from input_pipeline.external import check
from input_pipeline.external.check import alternatives, confusions
from input_pipeline.external.check import report as reports
from input_pipeline.external.check.report import LabelledImage, Trial
from input_pipeline.external.description import PLAIN, InputFormat
from tests.input_pipeline.external import models
from tests.input_pipeline.external.tables import noise, table

_IMAGENET = {
  'color': 'RGB',
  'scale': 255,
  'mean': [0.485, 0.456, 0.406],
  'std': [0.229, 0.224, 0.225],
}
_PLAIN = {'color': 'RGB', 'scale': 1, 'mean': [0, 0, 0], 'std': [1, 1, 1]}


@pytest.fixture
def checked(tmp_path):
  """Checks a network whose labels are its own answers, rightly fed."""

  def run(true, given, outputs=None, order=None, offset=0.5):
    path = models.write(tmp_path / 'net.onnx', described=true)
    _add_bias(path, [offset, -offset, 2 * offset, 0])
    right = external.open_network('onnx', str(path), table(4), threads=1)
    scenes = []
    for index in range(4):
      image = noise(12, 16, seed=index)
      label = right(image[None]).logits[0].argmax(-1).astype(np.uint8)
      if order is not None:
        label = np.array(order, np.uint8)[label]
      label[0] = 255
      scenes.append(LabelledImage(f'{index}', image, label))
    models.describe(path, given, outputs)
    network = external.open_network('onnx', str(path), table(4), threads=1)
    return check.run(network, scenes)

  return run


def _own_labels(path):
  """Images whose labels are a network's answers, of five classes."""
  network = external.open_network('onnx', str(path), table(5), threads=1)
  scenes = []
  for index in range(3):
    image = noise(12, 16, seed=index)
    label = network(image[None]).logits[0].argmax(-1).astype(np.uint8)
    scenes.append(LabelledImage(f'{index}', image, label))
  return scenes


def _add_bias(path, bias):
  """Gives the network a bias, without which a scale changes nothing."""
  import onnx

  model = onnx.load(path)
  model.graph.initializer.append(
    onnx.numpy_helper.from_array(np.float32(bias), 'bias')
  )
  next(n for n in model.graph.node if n.op_type == 'Conv').input.append('bias')
  onnx.save(model, path)


def test_what_is_right_is_left_alone(checked):
  report = checked(_PLAIN, _PLAIN)
  assert report.pixel_accuracy == 1 and report.miou == 1
  assert report.images == 4 and report.better_input is None
  assert report.order == () and report.milliseconds > 0
  assert report.memory_bytes > 1e7
  assert sum(report.label_share) == pytest.approx(1)
  assert report.label_share == report.predicted_share
  said = check.lines(report)
  assert said[0] == '4 labelled images: pixel accuracy 1.00, mIoU 1.00'
  assert 'ms an image; memory of this process' in said[1]
  assert '4 of 4 classes are in the labels, 4 in the predictions' in said[2]
  assert 'none is clearly better' in said[-1] and len(said) == 4


@pytest.mark.parametrize(
  ('true', 'given', 'title', 'fix'),
  [
    (
      {**_PLAIN, 'color': 'BGR'},
      _PLAIN,
      'BGR input',
      '"color": "BGR"',
    ),
    (
      _IMAGENET,
      _PLAIN,
      "ImageNet's mean and std",
      '"scale": 255, "mean": [0.485, 0.456, 0.406]',
    ),
    (
      {**_IMAGENET, 'color': 'BGR', 'mean': [0.406, 0.456, 0.485]},
      {**_IMAGENET, 'mean': [0.406, 0.456, 0.485]},
      'BGR input',
      '"color": "BGR"',
    ),
    (_PLAIN, {**_PLAIN, 'scale': 255}, 'scale 1', '"scale": 1'),
    ({**_PLAIN, 'scale': 255}, _PLAIN, 'scale 255', '"scale": 255'),
    (
      {**_PLAIN, 'scale': 127.5, 'mean': [1, 1, 1]},
      _PLAIN,
      'values of -1 to 1',
      '"scale": 127.5, "mean": [1, 1, 1]',
    ),
    (
      {**_PLAIN, 'color': 'BGR', 'scale': 127.5, 'mean': [1, 1, 1]},
      _PLAIN,
      'BGR input and values of -1 to 1',
      '"color": "BGR", "scale": 127.5, "mean": [1, 1, 1]',
    ),
  ],
)
def test_the_input_that_would_have_been_right(
  checked, tmp_path, true, given, title, fix
):
  offset = 0.5 if true['scale'] == 1 else 0.01
  report = checked(true, given, offset=offset)
  better = report.better_input
  assert better is not None and better.title == title
  assert better.after == 1 and better.before == report.pixel_accuracy < 0.95
  assert fix in better.fix
  advice = check.lines(report)[-1]
  assert advice.startswith(
    f'with {title} pixel accuracy would be 1.00 instead of {better.before:.2f}'
  )
  where = f'{tmp_path}/model.json'
  assert advice.endswith(f'write {better.fix} to "input" in {where}')


def test_the_order_of_classes(checked, tmp_path):
  report = checked(_PLAIN, _PLAIN, order=[2, 0, 1, 3])
  assert report.order == (1, 2, 0, 3)
  assert report.order_accuracy == 1 and report.better_input is None
  advice = check.lines(report)[-1]
  assert 'would be 1.00 instead of 0.' in advice
  assert (
    '(what is called b is a, what is called c is b, what is called a is c)'
    in advice
  )
  fix = f'give "outputs": {{"classes": [1, 2, 0, 3]}} in {tmp_path}/model.json'
  assert advice.endswith(fix)
  # What it says is right.
  report = checked(
    _PLAIN, _PLAIN, {'classes': [1, 2, 0, 3]}, order=[2, 0, 1, 3]
  )
  assert report.pixel_accuracy == 1 and report.order == ()
  # From another order than the table's, too.
  report = checked(
    _PLAIN, _PLAIN, {'classes': [3, 1, 0, 2]}, order=[2, 0, 1, 3]
  )
  assert check.lines(report)[-1].endswith(fix)


def test_a_function_and_files_have_no_other_input(tmp_path):
  images = [noise(6, 8, seed=i) for i in range(3)]
  path = tmp_path / 'mine_to_check.py'
  path.write_text(
    'import numpy as np\n'
    'def segment(images):\n'
    '  return np.float32(images)[..., [1, 2, 0]]\n'
  )
  network = external.open_network(
    'python', f'{path}:segment', table(3), image_size=(6, 8)
  )
  scenes = [
    LabelledImage(f'{i}', image, image.argmax(-1).astype(np.uint8))
    for i, image in enumerate(images)
  ]
  for scene in scenes:
    np.save(tmp_path / f'{scene.id}.npy', network(scene.image[None]).logits[0])
  stored = external.open_network('logits', str(tmp_path), table(3))
  for one, fix in (
    (network, 'return the channels [2, 0, 1]'),
    (stored, f'{{"classes": [2, 0, 1]}} in {tmp_path}/model.json'),
  ):
    report = check.run(one, scenes)
    assert report.trials == () and report.order == (2, 0, 1)
    # Of two channels that are level, either may come first.
    assert report.order_accuracy > 0.9
    assert report.range == (0, 255)
    assert check.lines(report)[-1].endswith(fix)


def test_classes_that_are_never_predicted(tmp_path):
  image = noise(4, 5)
  label = np.zeros((4, 5), np.uint8)
  label[0] = 2
  label[1] = 255
  logits = np.zeros((4, 5, 4), np.float32)
  logits[..., 0] = 1
  logits[3, :, 1] = 2
  np.save(tmp_path / 'a.npy', logits)
  network = external.open_network('logits', str(tmp_path), table(4))
  report = check.run(network, [LabelledImage('a', image, label)])
  assert report.pixel_accuracy == pytest.approx(5 / 15)
  # a: 5 of 15 in the union; c: none.
  assert report.miou == pytest.approx((5 / 15) / 2)
  said = check.lines(report)
  assert '2 of 4 classes are in the labels, 2 in the predictions' in said
  assert said[3] == 'never predicted, though labelled: c (33 % of the pixels)'
  assert said[4] == 'predicted, though in no label: b (33 % of the pixels)'
  assert 'pixel accuracy is low, and neither' in said[5]


def test_images_without_labels(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((4, 5, 4), np.float32))
  network = external.open_network('logits', str(tmp_path), table(4))
  void = LabelledImage('b', noise(4, 5), np.full((4, 5), 255, np.uint8))
  for scenes in ([], [void]):
    with pytest.raises(UserError, match='none of the images has a labelled'):
      check.run(network, scenes)
  some = LabelledImage('a', noise(4, 5), np.zeros((4, 5), np.uint8))
  assert check.run(network, [void] + [some] * 12).images == 8


def _trial(after, wins=4, changes=1, before=0.5):
  return Trial('it', 'fix', before, after, wins, 4, changes)


@pytest.mark.parametrize(
  ('trials', 'best'),
  [
    ([_trial(0.54)], None),
    ([_trial(0.56, wins=2)], None),
    ([_trial(0.56, wins=3)], 0),
    ([_trial(0.9, changes=2), _trial(0.895)], 1),
    ([_trial(0.9, changes=2), _trial(0.85)], 0),
    ([_trial(0.9), _trial(0.895)], 0),
    ([], None),
  ],
)
def test_only_a_clear_gain_counts_and_the_smaller_change(checked, trials, best):
  report = dataclasses.replace(checked(_PLAIN, _PLAIN), trials=tuple(trials))
  wanted = None if best is None else trials[best]
  assert report.better_input is wanted


def test_of_two_explanations_the_better_one_is_given(checked):
  report = dataclasses.replace(
    checked(_PLAIN, _PLAIN),
    trials=(_trial(0.6),),
    order=(1, 0, 2, 3),
    order_accuracy=0.9,
    order_fix='swap them',
  )
  said = check.lines(report)
  assert said[-1].endswith(
    'would be 0.90 instead of 1.00 (what is called b is a, what is called a is '
    'b): swap them'
  )
  assert not any('(better on' in line for line in said)


def test_a_network_that_sees_nothing_is_not_explained_by_an_order():
  counts = np.zeros((4, 4), int)
  counts[:, 1] = [60, 5, 20, 15]  # Everything is b, most labels are a.
  order, after = reports._order(counts)
  assert after == 0.6 and order == ()
  counts = np.diag([50, 30, 20, 0])[:, [1, 0, 2, 3]]
  order, after = reports._order(counts)
  assert after == 1 and order == (1, 0, 2, 3)


def test_counts_by_hand():
  labels = np.uint8([[0, 0, 1, 255], [2, 1, 1, 255]])
  predictions = np.array([[0, 1, 1, 0], [2, 1, 0, 2]])
  counts = confusions.confusion(labels, predictions, 4)
  assert counts.tolist() == [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0] * 4]
  assert confusions.accuracy(counts) == pytest.approx(4 / 6)
  assert confusions.mean_iou(counts) == pytest.approx((1 / 3 + 2 / 4 + 1) / 3)
  assert confusions.best_order(counts) == (0, 1, 2, 3)
  assert confusions.accuracy(np.zeros((2, 2), int)) == 0
  assert confusions.mean_iou(np.zeros((2, 2), int)) == 0


def test_void_in_front_shifts_all_classes(tmp_path):
  # Channel 0 is void, but 0, 1 and 2 are said to be the classes.
  centered = {**_PLAIN, 'mean': [127.5] * 3}
  path = models.write(
    tmp_path / 'net.onnx',
    channels=6,
    described=centered,
    outputs={'classes': [1, 2, 3, 4, 5]},
  )
  _add_bias(path, [-100, 0, 0, 0, 0, 0])  # No pixel is void.
  scenes = _own_labels(path)
  models.describe(path, centered, {'classes': [0, 1, 2, 3, 4]})
  wrong = external.open_network('onnx', str(path), table(5), threads=1)
  report = check.run(wrong, scenes)
  assert report.order == (1, 2, 3, 4, 0)
  assert '"outputs": {"classes": [1, 2, 3, 4, 5]} in' in check.lines(report)[-1]


def test_the_other_way_around(tmp_path):
  # Void is the last channel, but 1 to 5 are said to be the classes.
  centered = {**_PLAIN, 'mean': [127.5] * 3}
  path = models.write(
    tmp_path / 'net.onnx',
    channels=6,
    described=centered,
    outputs={'classes': [0, 1, 2, 3, 4]},
  )
  _add_bias(path, [0, 0, 0, 0, 0, -100])
  scenes = _own_labels(path)
  for given, fix in (
    ([1, 2, 3, 4, 5], '[0, 1, 2, 3, 4]'),
    # Not one after the other: the first one's is not known.
    ([5, 0, 1, 2, 3], '[0, 1, 2, 3, 5]'),
  ):
    models.describe(path, centered, {'classes': given})
    wrong = external.open_network('onnx', str(path), table(5), threads=1)
    advice = check.lines(check.run(wrong, scenes))[-1]
    assert f'"outputs": {{"classes": {fix}}} in' in advice


def test_classes_that_no_label_has_move_with_the_others():
  counts = np.zeros((6, 6), int)
  for label in (0, 1, 3):
    counts[label, label + 1] = 10
  assert confusions.best_order(counts) == (1, 2, 3, 4, 5, 0)
  assert confusions.best_order(counts.T) == (5, 0, 1, 2, 3, 4)
  assert confusions.best_order(np.zeros((3, 3), int)) == (0, 1, 2)


def test_a_class_that_is_hard_is_not_renamed():
  counts = np.array([[50, 0, 0], [0, 4, 5], [0, 0, 1]])
  assert confusions.best_order(counts) == (0, 1, 2)
  counts = np.array([[50, 0, 0], [0, 1, 8], [0, 1, 0]])
  assert confusions.best_order(counts) == (0, 2, 1)


def test_classes_that_are_not_seen_keep_their_channel():
  counts = np.zeros((5, 5), int)
  counts[0, 1] = counts[1, 0] = 9
  assert confusions.best_order(counts) == (1, 0, 2, 3, 4)
  changed = confusions.reordered(counts, (1, 0, 2, 3, 4))
  assert np.trace(changed) == 18


def test_alternatives_are_others_and_none_comes_twice():
  for given in (PLAIN, InputFormat(), InputFormat(color='BGR', size=(4, 6))):
    found = alternatives.of_input(given)
    assert given not in [one.input for one in found]
    assert len({one.input for one in found}) == len(found) > 8
    assert {one.input.size for one in found} == {given.size}
    assert [one.changes for one in found] == sorted(
      one.changes for one in found
    )
  found = {one.title: one.input for one in alternatives.of_input(PLAIN)}
  blue_first = found["BGR input and ImageNet's mean and std"]
  assert blue_first.mean == (0.406, 0.456, 0.485)
