"""The pipeline over a folder, in an environment without jax: `make test-fleet`.

Its rows are those of `--mode=predict`, whatever the number of workers.
"""

import json
import os
import subprocess

import pytest

from fsnet_jax.monitor import Monitor
from tests.fsnet_jax.monitor.fleet import stub_monitor
from tests.fsnet_jax.monitor.predict import stub
from tests.paths import ROOT

PYTHON = ROOT / '.venv-fleet' / 'bin' / 'python'


def _run(*arguments):
  assert PYTHON.exists(), 'run these tests by make test-fleet'
  argv = [str(PYTHON), '-m', 'fsnet_jax.monitor.fleet', *map(str, arguments)]
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  return subprocess.run(
    argv, env=environment, capture_output=True, text=True, timeout=300
  )


def _lines(folder, name):
  return [
    json.loads(line)
    for path in sorted(folder.glob(f'{name}*.jsonl'))
    for line in path.read_text().splitlines()
  ]


@pytest.fixture(scope='module')
def predicted(tmp_path_factory):
  """(images, what `predict` leaves, what the pipeline leaves)."""
  root = tmp_path_factory.mktemp('fleet')
  source = stub.folder(root / 'frames', 24)
  (source / 'a' / 'junk.png').write_bytes(b'junk')
  calibration = stub.calibration(threshold=0.5)
  reference = {name: list(v) for name, v in calibration.reference.items()}
  monitor = stub_monitor.write(root / 'monitor.onnx', 0.5, reference)
  made = stub.Stub(reference=reference)
  stub.predict(source, root / 'predicted', made, calibration)
  done = _run(
    f'--monitor={monitor}',
    f'--input={source}/**.png',
    f'--output={root / "fleet"}',
    '--segment-share=0.002',
    '--worst=5',
    '--runner=DirectRunner',
    '--direct_num_workers=2',
    '--direct_running_mode=multi_processing',
  )
  assert done.returncode == 0, done.stderr
  assert 'looked at 24 images; 1 could not be read' in done.stderr
  return source, root / 'predicted', root / 'fleet', calibration


def _same(own, wanted):
  """Boxes are equal, numbers but for their rounding."""
  boxes = ('largest_region', 'box')
  for name in boxes:
    assert own.get(name) == wanted.get(name)
  rest = [
    {k: v for k, v in one.items() if k not in boxes} for one in (own, wanted)
  ]
  assert rest[0] == pytest.approx(rest[1], abs=1e-6)


def _without_times(rows):
  kept = [dict(row) for row in rows]
  for row in kept:
    del row['milliseconds']
  return kept


def test_rows_are_those_of_predict(predicted):
  _, by_predict, by_fleet, _ = predicted
  wanted = _lines(by_predict, 'triage')
  assert wanted[-1]['problem']
  found = {
    row['image']: row for row in _without_times(_lines(by_fleet, 'triage'))
  }
  assert len(found) == 24
  for row in _without_times(wanted[:-1]):
    _same(found[row['image']], row)
  segments = _lines(by_fleet, 'segments')
  key = lambda row: (row['image'], row['box'])  # noqa: E731
  for own, row in zip(
    sorted(segments, key=key),
    sorted(_lines(by_predict, 'segments'), key=key),
    strict=True,
  ):
    _same(own, row)


def test_damaged_files_are_rows_of_their_own(predicted):
  _, by_predict, by_fleet, _ = predicted
  (problem,) = _lines(by_fleet, 'problems')
  last = _lines(by_predict, 'triage')[-1]
  assert problem == {'image': 'a/junk.png', 'problem': last['problem']}


def test_the_worst_are_listed(predicted):
  _, by_predict, by_fleet, _ = predicted
  names = [row['image'] for row in _lines(by_predict, 'triage')[:5]]
  assert [row['image'] for row in _lines(by_fleet, 'worst')] == names


def test_classes_and_groups(predicted):
  _, by_predict, by_fleet, calibration = predicted
  classes = {row['class']: row for row in _lines(by_fleet, 'classes')}
  assert set(classes) == set(stub.CLASSES.names)
  rows = _lines(by_predict, 'triage')[:-1]
  pixels = sum(row['height'] * row['width'] for row in rows)
  assert sum(row['pixels'] for row in classes.values()) == pixels
  mean = sum(row['height'] * row['width'] * row['failure_mean'] for row in rows)
  by_class = sum(r['pixels'] * r['failure_mean'] for r in classes.values())
  assert by_class == pytest.approx(mean, rel=1e-6)
  regions = len(_lines(by_predict, 'segments'))
  assert sum(row['regions'] for row in classes.values()) == regions
  groups = {row['group']: row for row in _lines(by_fleet, 'groups')}
  assert {name: row['images'] for name, row in groups.items()} == {
    'a': 12,
    'b': 12,
  }
  # Noise is nothing like the reference.
  assert all(row['shift'] and row['p_value'] < 0.01 for row in groups.values())


def test_parquet_has_the_same_rows(predicted):
  _, _, by_fleet, _ = predicted
  code = (
    'import json, sys, pyarrow.parquet as p; '
    'print(json.dumps(p.read_table(sys.argv[1]).to_pylist()))'
  )
  found = []
  for path in by_fleet.glob('triage*.parquet'):
    done = subprocess.run(
      [PYTHON, '-c', code, path], capture_output=True, text=True, check=True
    )
    found += json.loads(done.stdout)
  wanted = {row['image']: row for row in _lines(by_fleet, 'triage')}
  assert len(found) == 24
  for row in found:
    box = wanted[row['image']]['largest_region']
    text = '' if box is None else ' '.join(map(str, box))
    assert row == {**wanted[row['image']], 'largest_region': text}


def test_what_is_needed_is_no_jax(predicted):
  source = predicted[0]
  monitor = source.parent / 'monitor.onnx'
  code = (
    'import sys; from fsnet_jax.monitor.fleet import pipeline, steps; '
    f'steps.Monitor.load({str(monitor)!r}); '
    'print(sorted({"jax", "flax", "tensorflow"} & set(sys.modules)))'
  )
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  done = subprocess.run(
    [PYTHON, '-c', code], env=environment, capture_output=True, text=True
  )
  assert done.stdout.strip() == '[]', done.stderr
  # The file says what the pipeline tests groups by.
  assert (
    Monitor.load(monitor).reference.keys()
    == stub.calibration().reference.keys()
  )


@pytest.mark.parametrize(
  ('wrong', 'said'),
  [
    (('--monitor=gone.onnx',), 'gone.onnx does not exist'),
    (('--monitor=run/',), 'is no .onnx file'),
    (('--input=/gone/*.png',), 'matches no file'),
    (('--worst=0',), '--worst=0 must be at least 1'),
    (('--segment-share=2',), 'must be between 0 and 1'),
  ],
)
def test_mistakes_are_one_sentence(predicted, tmp_path, wrong, said):
  source = predicted[0]
  flags = {
    '--monitor': source.parent / 'monitor.onnx',
    '--input': f'{source}/**.png',
    '--output': tmp_path,
  }
  flags |= dict(flag.split('=', 1) for flag in wrong)
  done = _run(*(f'{name}={value}' for name, value in flags.items()))
  assert done.returncode == 2
  errors = [x for x in done.stderr.splitlines() if x.startswith('error: ')]
  assert len(errors) == 1 and said in errors[0], done.stderr
  assert 'Traceback' not in done.stderr
