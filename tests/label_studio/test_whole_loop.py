"""main.py with people in the loop: waits, resumes, and replays without them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from common_lib import class_table
from segxal_jax.oracles.label_studio import tasks
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.queries import storage
from tests.label_studio import small_run
from tests.label_studio.server import ROOT


def _command(data, workdir, **changes):
  fields = small_run.FIELDS | {'data.cache_dir': data}
  fields |= {name.replace('__', '.'): v for name, v in changes.items()}
  return [
    sys.executable,
    'main.py',
    '--config=configs/segxal_manual.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


def _environment(server):
  return os.environ | {
    'LABEL_STUDIO_URL': server.url,
    'LABEL_STUDIO_API_KEY': server.token,
    'JAX_PLATFORMS': 'cpu',
  }


def _run(argv, environment):
  return subprocess.run(
    argv,
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    timeout=600,
  )


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return tmp_path_factory.mktemp('data')


@pytest.fixture(scope='module')
def waiting(server, data, tmp_path_factory):
  """A run that has asked and stopped."""
  workdir = tmp_path_factory.mktemp('runs') / 'manual'
  done = _run(_command(data, workdir), _environment(server))
  assert done.returncode == 75, done.stderr
  known = json.loads((workdir / 'oracle/label_studio.json').read_text())
  url = f'{server.url}/projects/{known["project"]}'
  assert f'Waiting for 2 of 2 annotations at {url}' in done.stderr
  return workdir, known['project'], done.stderr


def _predictions(workdir):
  """Of the questions of cycle 1, by index in the pool."""
  files = sorted((workdir / 'cycles/001/questions').glob('*.npz'))
  return {int(file.stem): storage.read(file).prediction for file in files}


def _annotation(workdir, index):
  return read_annotation(
    workdir / 'pool' / 'annotations' / f'cycle001_{index:07d}.png'
  )


def _assert_no_token(workdir: Path, token: str, *said: str) -> None:
  for text in said:
    assert token not in text
  for file in workdir.rglob('*'):
    if file.is_file():
      assert token.encode() not in file.read_bytes(), file


def _answer(server, task, value):
  """Leaves the prediction and paints a box; returns the box."""
  box = np.zeros(small_run.SIZE, bool)
  box[4:12, 8:24] = True
  result = task['predictions'][0]['result']
  name = class_table.CITYSCAPES.names[value]
  new = tasks.brush(box, name, 'new', 'manual')
  server.annotate(task['id'], [*result, new])
  return box


def test_the_loop_stops_goes_on_and_replays(server, data, waiting, tmp_path):
  workdir, project, first = waiting
  found = server.tasks(project)
  box = _answer(server, found[0], 11)
  environment = _environment(server)
  # Waits for the last one, which comes while it is waiting.
  argv = _command(data, workdir, oracle__wait=True, oracle__poll_secs=0.5)
  said = workdir.parent / 'said'
  with said.open('w') as stderr:
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=stderr)
    until = time.monotonic() + 300
    while '] 1 of 2 annotations at' not in said.read_text():
      assert process.poll() is None, said.read_text()
      assert time.monotonic() < until
      time.sleep(0.2)
    server.annotate(found[1]['id'], found[1]['predictions'][0]['result'])
    assert process.wait(timeout=600) == 0, said.read_text()
  assert '2 of 2 images labelled' not in said.read_text()
  assert '6 of 12 images labelled' in said.read_text()
  # Cycle 2 trained on exactly what was submitted.
  for task in found:
    index = int(task['data']['key'].rpartition('/')[2])
    expected = _predictions(workdir)[index]
    if task is found[0]:
      expected = np.where(box, 11, expected)
    np.testing.assert_array_equal(_annotation(workdir, index)[0], expected)
  metrics = json.loads((workdir / 'cycles/002/metrics.json').read_text())
  assert metrics['labelled_images'] == 6
  _assert_no_token(workdir, server.token, first, said.read_text())
  _assert_replays(data, workdir, tmp_path)


def _assert_replays(data, workdir, tmp_path):
  """Nobody is asked, no server is named, and everything is the same."""
  argv = _command(
    data, tmp_path, oracle__kind='replay', oracle__recorded=workdir
  )
  environment = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith('LABEL_STUDIO')
  }
  done = _run(argv, environment | {'JAX_PLATFORMS': 'cpu'})
  assert done.returncode == 0, done.stderr
  for file in (workdir / 'pool' / 'annotations').iterdir():
    again = tmp_path / 'pool' / 'annotations' / file.name
    assert again.read_bytes() == file.read_bytes()
  for cycle in ('001', '002'):
    name = f'cycles/{cycle}/metrics.json'
    assert (tmp_path / name).read_bytes() == (workdir / name).read_bytes()


def test_without_the_environment_nothing_starts(data, tmp_path):
  environment = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith('LABEL_STUDIO')
  }
  done = _run(_command(data, tmp_path / 'run'), environment)
  assert done.returncode == 2
  assert done.stderr.splitlines()[-1].startswith(
    'error: The environment variable LABEL_STUDIO_URL is not set'
  )
