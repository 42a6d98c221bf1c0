"""Two cycles on images without a label: people answer, a command trains."""

import json
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.loop.driver import run_loop
from segxal_jax.oracles.label_studio import tasks
from segxal_jax.report.write import report
from tests.segxal_jax.loop.training_command import own_images, tiny_command

# A small network in PyTorch, as the guide has it.
_TORCH = (
  f'{shlex.quote(sys.executable)} -m examples.train_command --pool={{pool}} '
  '--model={model} --cycle={cycle} --steps=150 --size=32,64'
)
NAMES = [one['name'] for one in own_images.TABLE['classes']]


@pytest.fixture(params=[own_images.COMMAND, _TORCH], ids=['numpy', 'torch'])
def config(request, server, tmp_path, monkeypatch):
  """Six images without a label, and a network that has learnt nothing."""
  monkeypatch.setenv('LABEL_STUDIO_URL', server.url)
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', server.token)
  rng = np.random.default_rng(7)
  path = tmp_path / 'mine.onnx'
  tiny_command.write(path, rng.normal(size=(5, 3)), np.zeros(5))
  root = tmp_path / 'data'
  truth = own_images.draw(root, labelled=0)
  assert not (root / 'labels' / 'train').exists()
  made = own_images.config_of(
    root,
    tmp_path / 'cache',
    oracle__kind='label_studio',
    segmentation__name='onnx',
    segmentation__path=str(path),
    learner__command=request.param,
    stop__cycles=2,
  )
  return made, truth


def _answer(server, workdir, truth):
  """Paints every class over all open tasks; how many there were."""
  known = json.loads((workdir / 'oracle/label_studio.json').read_text())
  count = 0
  for task in server.tasks(known['project']):
    if task['total_annotations']:
      continue
    index = int(task['data']['key'].rpartition('/')[2])
    label = truth[f'{index:03d}']
    server.annotate(
      task['id'],
      [
        tasks.brush(label == value, name, f'new{value}', 'manual')
        for value, name in enumerate(NAMES)
        if (label == value).any()
      ],
    )
    count += 1
  return count


def test_people_answer_and_a_command_trains(server, config, tmp_path):
  config, truth = config
  workdir = tmp_path / 'run'
  for _ in range(2):
    with pytest.raises(Interrupted, match='Waiting for 2 of 2 annotations'):
      run_loop(config, workdir)
    assert _answer(server, workdir, truth) == 2
  done = run_loop(config, workdir)
  assert (done.cycles, done.reason) == (3, '2 cycles are done')
  trained = sorted(path.parent.name for path in workdir.rglob('model.onnx'))
  assert trained == ['002', '003']
  pool = workdir / 'cycles' / '003' / 'pool'
  labels = sorted((pool / 'labels' / 'train').iterdir())
  assert len(labels) == 4
  for path in labels:
    with Image.open(path) as picture:
      np.testing.assert_array_equal(np.asarray(picture), truth[path.stem])
  mious = []
  for cycle in ('001', '002', '003'):
    text = (workdir / 'cycles' / cycle / 'metrics.json').read_text()
    measured = json.loads(text)['datasets']['folder:test']['segmentation']
    mious.append(measured['miou'])
  assert mious[0] < 0.5 and min(mious[1:]) > 0.8
  report(config, workdir, {})
  assert (workdir / 'report' / 'report.html').exists()
