"""Two processes joined on loopback share the images of `--mode=predict`."""

import errno
import json
import os
import re
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.e2e import tiny
from tests.fsnet_jax.monitor.predict import stub
from tests.multiprocess import joined

_IMAGES = 7


def _argv(workdir, source, output, *more):
  return [
    sys.executable,
    'main.py',
    f'--workdir={workdir}',
    '--mode=predict',
    f'--input={source}',
    f'--output={output}',
    '--config.eval.batch_size=4',
    f'--config.compilation_cache_dir={tiny.COMPILED}',
    *more,
  ]


def _rows(output):
  lines = (output / 'triage.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def _pixels(path):
  with Image.open(path) as picture:
    return np.asarray(picture)


@pytest.fixture(scope='module')
def alone(finished, tmp_path_factory):
  """(workdir, input, output) of one process; one file cannot be read."""
  root = tmp_path_factory.mktemp('alone')
  rng = np.random.default_rng(0)
  for index in range(_IMAGES):
    # Of the networks' size, and one of another.
    size = (40, 48) if index == 3 else (32, 64)
    stub.save(root / 'in' / f'{index}.png', stub.picture(rng, *size))
  (root / 'in' / 'damaged.png').write_bytes(b'junk')
  result = tiny.run(_argv(finished[0], root / 'in', root / 'out'))
  assert result.returncode == 0, result.stderr
  return finished[0], root / 'in', root / 'out'


def _shown(output):
  """The images of the gallery, in its order."""
  page = (output / 'index.html').read_text()
  (data,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)
  return [card['i'] for card in json.loads(data)['images']]


def _assert_same(output, single):
  """Batches have another shape, so that the last bits may differ."""
  ours, theirs = _rows(output), _rows(single)
  assert [row['image'] for row in ours] == [row['image'] for row in theirs]
  for row, expected in zip(ours, theirs):
    for name in ('height', 'width', 'problem', 'largest_region_class'):
      assert row[name] == expected[name]
    for name in ('failure_mean', 'failure_q90', 'flagged_share'):
      assert row[name] == pytest.approx(expected[name], abs=1e-3)
  names = {path.relative_to(single) for path in single.rglob('*.*')}
  assert {path.relative_to(output) for path in output.rglob('*.*')} == names
  for index in range(_IMAGES):
    first, second = (
      _pixels(one / 'failure' / f'{index}.png').astype(float) / 65535
      for one in (output, single)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)
    labels = [
      _pixels(one / 'labels' / f'{index}.png') for one in (output, single)
    ]
    assert (labels[0] == labels[1]).mean() > 0.999
  assert _shown(output) == _shown(single) == [row['image'] for row in ours]


def test_they_predict_what_one_predicts(alone, tmp_path):
  workdir, source, single = alone
  argv = _argv(workdir, source, tmp_path / 'out')
  # Each on its own two; the next test has one each.
  results = joined.finish(joined.start(argv, devices=2))
  assert [code for code, _, _ in results] == [0, 0], results
  for index, (_, _, err) in enumerate(results):
    # Each did its half, and the first one all that is about all images.
    assert f'process {index}: [########################] 4 of 4 images' in err
    assert ('predicted 8 images' in err) == (index == 0)
  _assert_same(tmp_path / 'out', single)


def _opened_by_its_reader(path):
  """Opens a pipe for writing, once somebody waits for what is in it."""
  for _ in range(600):
    try:
      return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
      assert error.errno == errno.ENXIO
      time.sleep(0.1)
  raise TimeoutError(path)


def test_a_signal_to_one_stops_both_and_they_go_on(alone, tmp_path):
  workdir, source, single = alone
  # The second process comes to a file that does not answer.
  held = tmp_path / 'held' / '5.png'
  held.parent.mkdir()
  (source / '5.png').rename(held)
  os.mkfifo(source / '5.png')
  output = tmp_path / 'out'
  argv = _argv(workdir, source, output, '--config.eval.batch_size=2')
  processes = joined.start(argv)
  try:
    pipe = _opened_by_its_reader(source / '5.png')
    # The first one has done its part, and waits.
    for line in processes[0].stderr:
      if '4 of 4 images' in line:
        break
    processes[1].send_signal(signal.SIGTERM)
    for line in processes[1].stderr:
      if line.startswith('SIGTERM: the run stops'):
        break
    os.close(pipe)
    results = joined.finish(processes)
  finally:
    held.replace(source / '5.png')
  assert [code for code, _, _ in results] == [75, 75], results
  assert 'Interrupted by a signal to a peer' in results[0][2]
  assert 'Interrupted by SIGTERM after 3 images' in results[1][2]
  assert not (output / 'triage.csv').exists()
  # The same command, to the end: what was done is not done again.
  results = joined.finish(joined.start(argv))
  assert [code for code, _, _ in results] == [0, 0], results
  assert 'process 0: 4 of 4 images are done already' in results[0][2]
  assert 'process 1: 2 of 4 images are done already' in results[1][2]
  _assert_same(output, single)


def test_a_mistake_of_one_ends_both_with_its_sentence(alone, tmp_path):
  workdir, source, _ = alone
  argv = _argv(workdir, source, tmp_path / 'out')
  results = joined.finish(
    joined.start(argv, [], [f'--input={tmp_path / "missing"}'])
  )
  assert [code for code, _, _ in results] == [2, 2], results
  said = f'--input={tmp_path / "missing"} does not exist: give a folder'
  assert f'error: {said}' in results[1][2]
  assert f'error: Process 1 has ended: {said}' in results[0][2]
  assert not (tmp_path / 'out').exists()
