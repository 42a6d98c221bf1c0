"""A prediction's worst images at the server, and what people made of them."""

import json
import os
import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from common_lib import class_table_file
from common_lib.errors import UserError
from segxal_jax.oracles.label_studio import answers, tasks
from segxal_jax.oracles.triage import send
from tests.fsnet_jax.monitor import own_run
from tests.fsnet_jax.monitor.predict import stub
from tests.label_studio.server import ROOT

NAMES = stub.CLASSES.names


@pytest.fixture
def environment(server, monkeypatch):
  monkeypatch.setenv('LABEL_STUDIO_URL', server.url)
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', server.token)


def _images(folder, count=5):
  """The higher the number, the worse."""
  rng = np.random.default_rng(3)
  for index in range(count):
    image = stub.picture(rng, 24, 40, green=30 * index + 20)
    stub.save(folder / 'drive' / f'{index}.png', image)


def _send(source, output, count):
  oracle = send.checked(output, stub.CLASSES)
  return send.send(oracle, str(source), output, count, stub.CLASSES)


def _tasks(server, output):
  text = (output / 'label_studio' / 'label_studio.json').read_text()
  return server.tasks(json.loads(text)['project'])


def test_the_worst_are_sent_once_and_their_labels_fetched(
  server, environment, tmp_path, capsys
):
  source, output = tmp_path / 'in', tmp_path / 'out'
  _images(source)
  stub.predict(source, output)
  assert _send(source, output, 2) is None
  assert '2 images are at' in capsys.readouterr().err
  there = _tasks(server, output)
  titles = [task['data']['title'] for task in there]
  assert titles == ['drive/4.png', 'drive/3.png']
  with Image.open(output / 'labels' / 'drive' / '4.png') as picture:
    predicted = np.asarray(picture)
  result = there[0]['predictions'][0]['result']
  painting = answers.paint({'result': result}, predicted, stub.CLASSES)
  np.testing.assert_array_equal(painting.label, predicted)
  assert any(one['type'] == 'keypointlabels' for one in result)
  assert 'of 1 in the map' in there[0]['data']['reasons']

  # Somebody paints a car over the left half of the worst.
  mask = np.zeros(predicted.shape, bool)
  mask[:, :20] = True
  server.annotate(
    there[0]['id'], [*result, tasks.brush(mask, 'car', 'new', 'manual')]
  )
  folder = _send(source, output, 3)
  said = capsys.readouterr().err
  assert '3 images are at' in said and '1 of them are labelled' in said
  assert len(_tasks(server, output)) == 3
  labels = sorted((folder / 'labels' / 'train').rglob('*.png'))
  assert [path.name for path in labels] == ['4.png']
  with Image.open(labels[0]) as picture:
    np.testing.assert_array_equal(
      np.asarray(picture), np.where(mask, 1, predicted)
    )
  table = class_table_file.read(folder / 'classes.json')
  assert table.names == NAMES
  image = folder / 'images' / 'train' / 'drive' / '4.png'
  with Image.open(image) as kept, Image.open(source / 'drive/4.png') as own:
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(own))


def test_a_list_of_what_was_sent_that_is_damaged(environment, tmp_path):
  source, output = tmp_path / 'in', tmp_path / 'out'
  _images(source, 2)
  stub.predict(source, output)
  (output / 'label_studio').mkdir()
  path = output / 'label_studio' / 'images.json'
  path.write_text('{"images": [3]}')
  with pytest.raises(UserError, match=r'images\.json.*damaged'):
    _send(source, output, 2)
  assert not (output / 'label_studio' / 'label_studio.json').exists()


def _predict(workdir, source, output, environment):
  argv = [sys.executable, 'main.py', f'--workdir={workdir}', '--mode=predict']
  argv += [f'--input={source}', f'--output={output}']
  argv += ['--config.predict.send_to_label_studio=2']
  return subprocess.run(
    argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
  )


def test_the_command(server, shared, tmp_path):
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    config = own_run.config_of(shared, own_run.function(tmp_path))
    own_run.run(config, tmp_path / 'run')
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)
  source, output = tmp_path / 'in', tmp_path / 'out'
  _images(source, 3)
  environment = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith('LABEL_STUDIO')
  }
  # No server is named: said before anything is predicted.
  done = _predict(tmp_path / 'run', source, output, environment)
  assert done.returncode == 2 and 'LABEL_STUDIO_URL' in done.stderr
  assert not output.exists()
  environment |= {
    'LABEL_STUDIO_URL': server.url,
    'LABEL_STUDIO_API_KEY': server.token,
  }
  done = _predict(tmp_path / 'run', source, output, environment)
  assert done.returncode == 0, done.stderr
  assert '2 images are at' in done.stderr
  rows = (output / 'triage.jsonl').read_text().splitlines()
  worst = [json.loads(row)['image'] for row in rows[:2]]
  titles = [task['data']['title'] for task in _tasks(server, output)]
  assert titles == worst
