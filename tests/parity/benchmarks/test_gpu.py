"""What runs on a GPU for minutes runs here first, tiny, from end to end."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.gpu import correctness, machine, outputs, report
from benchmarks.subjects import contest
from tests.paths import ROOT

PARTS = ['correctness', 'latency', 'metrics', 'train-fcn8-float32']


def run(*arguments, **environment):
  return subprocess.run(
    [ROOT / 'benchmarks' / 'gpu.sh', *arguments],
    env=os.environ | {'PYTHON': sys.executable} | environment,
    cwd='/',
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )


@pytest.mark.slow
def test_every_part_leaves_its_rows(tmp_path):
  done = run('--tiny', f'--out={tmp_path}')
  assert done.returncode == 0, done.stdout + done.stderr
  found = json.loads((tmp_path / 'gpu.json').read_text())
  assert [(p['part'], p['outcome']) for p in found['parts']] == [
    (name, 'done') for name in PARTS
  ]
  text = (tmp_path / 'gpu.md').read_text()
  assert text in done.stdout and found['machine']['date'] in text
  results = found['results']
  # Every output, against both CPUs and by both precisions.
  rows = results['correctness']['rows']
  assert len(rows) == 8 and all(row['difference'] < 1e-4 for row in rows)
  assert '| fcn8/logits | ' in text
  rows = results['latency']['rows']
  assert [(row['monitor'], row['contender']) for row in rows] == [
    ('S', 'jax'),
    ('S', 'torch-channels_last'),
    ('S + F', 'jax'),
    ('S + F', 'torch-channels_last'),
    ("S + the paper's F", 'jax'),
    ("S + the paper's F", 'torch-channels_last'),
    ('S + light F', 'jax'),
  ]
  for row in rows:
    assert row['median_ms'] >= row['fastest_ms'] > 0
    assert f'{row["median_ms"]:.2f} | {row["fastest_ms"]:.2f} |' in text
  rows = results['metrics']['rows']
  assert [row['way'] for row in rows][-3:] == [
    'as an evaluation does',
    'counts alone',
    'every score kept',
  ]
  assert all(f'| {row["way"]} | {row["seconds"]:.3f} |' in text for row in rows)
  (table,) = results['train-fcn8-float32']['tables']
  *measured, left_out = table['rows']
  names = ['jax', 'torch', 'torch-channels_last']
  assert [row['contender'] for row in measured] == names
  for row in measured:
    assert row['gib'] > 0 and 0 < row['peak_share'] < 1
    assert f'{row["contender"]} | {row["median_ms"]:.2f} |' in text
  assert left_out['contender'] == 'torch-compile'
  assert '| torch-compile | left out |' in text


def test_what_cannot_run_is_refused_in_a_sentence(tmp_path):
  for done, said in (
    (run(f'--out={tmp_path}', JAX_PLATFORMS='cpu'), 'jax finds no GPU'),
    (run('--tinny'), '--tinny is no option'),
    (run('--tiny', PYTHON='/no/python'), 'there is no /no/python'),
    (run('--tiny', '--out=/dev/null/x'), '/dev/null/x cannot be made'),
  ):
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


def test_what_is_missing_is_named(monkeypatch):
  monkeypatch.setattr(
    machine.importlib.util, 'find_spec', lambda name: name != 'torch' or None
  )
  assert machine.missing(('jax', 'torch')) == ['torch']
  assert machine.without() == [
    "torch is not installed: without PyTorch's rows."
  ]


def test_parts_that_do_not_end_well_are_rows(tmp_path, monkeypatch, capsys):
  lines = [
    'correctness\t1\t12\t90',
    'latency\t124\t60\t60',
    'metrics\tbudget\t0\t50',
    'train-fcn8-float32\t0\t7\t90',
  ]
  (tmp_path / 'parts.tsv').write_text('\n'.join(lines))
  (tmp_path / 'correctness.log').write_text('Traceback\nOSError: a | b\n')
  about = {'device': 'H', 'date': 'today', 'commit': '', 'without': []}
  (tmp_path / 'machine.json').write_text(json.dumps(about))
  failed = contest.Result(failed='KeyError: x')
  fine = contest.Result([4.0, 2.0, 3.0], 1.0, 0.5)
  rows = contest.rows({'jax': fine, 'torch': failed}, 8, 6e9, 1e12)
  table = {'title': 'FCN8', 'phase': 1, 'peak': 1e12, 'rows': rows}
  training = {'settings': {'dtype': 'float32'}, 'tables': [table]}
  path = tmp_path / 'train-fcn8-float32.json'
  path.write_text(json.dumps(training))
  monkeypatch.setattr(sys, 'argv', ['report', str(tmp_path)])
  assert report.main() == 1
  text = (tmp_path / 'gpu.md').read_text()
  assert text in capsys.readouterr().out
  assert '| correctness | failed (1): OSError: a / b | 12 | 90 |' in text
  assert '| latency | stopped after 60 s | 60 | 60 |' in text
  assert '| metrics | not begun: the time was used up | 0 | 50 |' in text
  # 6 Gflop in 3 ms are 2 Tflop/s: twice the peak. No peer, no ratio.
  row = '| jax | 3.00 | 2.00 |  | 2666.7 | 200.0% | 0.50 | 1.0 |'
  assert row in text and '| torch | KeyError: x |' in text


class Deadly:
  """Ends the process that unpickles it."""

  def __reduce__(self):
    return os._exit, (3,)


def test_a_contender_that_fails_or_hangs_drops_out():
  results = contest.compete({}, 1, ['torch'], rounds=1, steps=1)
  assert results['torch'].failed == "KeyError: 'width'"
  late = contest.compete({}, 1, ['torch'], rounds=1, steps=1, limit=0.01)
  assert late['torch'].failed == 'no answer within 0 s'
  dead = contest.compete({'x': Deadly()}, 1, ['torch'], rounds=1, steps=1)
  assert dead['torch'].failed == 'its process ended with 3'


def test_a_difference_is_told_from_other_variables():
  values = np.asarray([1.0, 2.0, 4.0], np.float32)
  digests = {'digest/s': np.asarray('d')}
  about = {'against': 'carried', 'precision': 'highest'}
  wanted = {'s/x': values, 's/y': values, **digests}
  found = {'s/x': values + np.float32(0.02), 's/y': values * np.nan}
  rows = correctness.rows_of(found, wanted, digests, **about)
  assert rows[0]['difference'] == pytest.approx(0.005, rel=1e-4)
  assert correctness.failures(rows) == [
    's/x differs by 5.0e-03 from carried',
    's/y differs by nan from carried',
  ]
  other = wanted | {'digest/s': np.asarray('e')}
  rows = correctness.rows_of(found, other, digests, **about)
  assert all('other variables' in row['failed'] for row in rows)


@pytest.mark.slow
def test_the_carried_outputs_are_of_these_networks():
  carried = np.load(correctness.CARRIED)
  programs = outputs.make('')
  for name, digest in outputs.digests(programs).items():
    assert str(carried[name]) == str(digest), name
  kept = {name.split('/')[0] for name in carried.files} - {'made', 'digest'}
  assert kept == programs.keys()
