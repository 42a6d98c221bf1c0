"""What a run leaves behind, and that nothing stops it for good."""

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
from tensorboard.backend.event_processing.event_accumulator import (
  EventAccumulator,
)

from fsnet_jax.report.schema import validate
from tests.e2e import tiny

PHASE1_STEPS, LAST_STEP = 6, 12
# Of each large file of a checkpoint that is damaged.
_PARTS = 24


def _params(workdir: Path, step: int = LAST_STEP) -> dict:
  """Every array of a checkpoint, the last."""
  folder = (workdir / 'checkpoints' / str(step) / 'state').absolute()
  state = ocp.StandardCheckpointer().restore(folder)
  leaves = ocp.tree.to_flat_dict(state)
  assert leaves
  return leaves


def _assert_same_run(a: Path, b: Path) -> None:
  first, second = _params(a), _params(b)
  assert first.keys() == second.keys()
  for name in first:
    np.testing.assert_array_equal(first[name], second[name], str(name))
  assert tiny.metrics(a)['datasets'] == tiny.metrics(b)['datasets']


def test_workdir_has_everything(finished):
  workdir, result = finished
  metrics = tiny.metrics(workdir)
  validate(metrics)
  assert set(metrics['datasets']) == {'streets/day', 'streets/fog'}
  for entry in metrics['datasets'].values():
    assert entry['images'] == 10
    assert set(entry['failure']) == {'fsnet', 'msp', 'entropy'}
  stored = json.loads((workdir / 'config.json').read_text())
  assert stored['phase1_steps'] == 6
  html = (workdir / 'report' / 'report.html').read_text()
  assert 'streets/fog' in html and 'src="http' not in html
  for name in ('risk_coverage.png', 'detectors.png'):
    assert (workdir / 'report' / name).read_bytes()[:4] == b'\x89PNG'
  assert 'FSNet' in result.stdout and 'AUROC' in result.stdout
  assert 'phase 2  step 12/12' in result.stderr


def test_pixels_are_counted_once(finished):
  workdir, _ = finished
  entry = tiny.metrics(workdir)['datasets']['streets/day']
  assert 0 < entry['pixels'] <= 10 * 32 * 64
  risk = entry['failure']['msp']['risk_at_coverage']['1.0']
  np.testing.assert_allclose(risk, entry['segmentation']['base_error_rate'])


def test_tensorboard_shows_losses_metrics_and_pictures(finished):
  workdir, _ = finished
  events = EventAccumulator(str(workdir), size_guidance={'images': 0})
  events.Reload()
  tags = events.Tags()
  assert {'train/loss', 'train/loss_failure', 'validation/error_rate'} <= {
    *tags['tensors'],
    *tags['scalars'],
  }
  names = {*tags['tensors'], *tags['images']}
  assert any('overlay' in name for name in names)
  assert any('learning_rate' in name for name in names | {*tags['scalars']})


def test_same_command_again_does_not_train_again(copy_of_finished, shared):
  workdir = copy_of_finished
  before = _params(workdir)
  result = tiny.run(tiny.command(shared, workdir))
  assert result.returncode == 0, result.stderr
  assert 'compiling the training step' not in result.stderr
  after = _params(workdir)
  assert all(np.array_equal(before[name], after[name]) for name in before)


def test_stopped_run_resumes_to_the_same_bits(finished, shared, tmp_path):
  """Killed, told to stop twice, and still the run that never was."""
  argv = tiny.command(shared, tmp_path / 'run')
  code, said = tiny.run_and_signal(argv, 'phase 1  step 2/6', signal.SIGTERM)
  assert code == 75, said
  assert 'run the same command again' in said and 'Traceback' not in said
  code, said = tiny.run_and_signal(argv, 'phase 1  step 6/6', signal.SIGKILL)
  assert code == -signal.SIGKILL
  assert 'resuming from step' in said
  code, said = tiny.run_and_signal(argv, 'phase 2  step 10/12', signal.SIGINT)
  assert code == 75, said
  assert 'Traceback' not in said
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  _assert_same_run(finished[0], tmp_path / 'run')


def _flip_bits(folder: Path) -> None:
  """A bit of each of many parts of a checkpoint's values.

  In which order arrays lie, and in how many files, depends on how fast each was
  written, and who evaluates reads the weights alone: so some are hit for sure.
  What describes arrays lies in files that are small beside the largest.
  """
  files = [path for path in folder.rglob('d/*') if path.is_file()]
  largest = max(file.stat().st_size for file in files)
  for path in files:
    content = bytearray(path.read_bytes())
    if len(content) < largest / 8:
      continue
    for part in range(_PARTS):
      content[(2 * part + 1) * len(content) // (2 * _PARTS)] ^= 1
    path.write_bytes(content)


def test_damaged_checkpoint_under_a_path_of_wildcards(
  finished, shared, tmp_path
):
  """It ends as a killed run does; who only reads moves nothing."""
  workdir = shutil.copytree(finished[0], tmp_path / 'lr[0.1] {a,b}*?')
  _flip_bits(workdir / 'checkpoints' / str(LAST_STEP))
  argv = tiny.command(shared, workdir)
  result = tiny.run([*argv, '--mode=evaluate'])
  assert result.returncode == 2, result.stderr
  assert result.stderr.count('\n') == 1
  # Which cause is named depends on what the bits were of: values, as a rule.
  assert 'checkpoints/12 is damaged (' in result.stderr
  assert sorted(p.name for p in (workdir / 'checkpoints').iterdir()) == [
    '12',
    '8',
  ]
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  assert 'set aside as' in result.stderr
  assert 'resuming from step 8' in result.stderr
  assert 'Traceback' not in result.stderr
  _assert_same_run(finished[0], workdir)


def test_ablation_cell_is_a_run_of_its_own(finished, shared, tmp_path):
  """Sharing phase 1 saves time and changes nothing."""
  argv = tiny.command(
    shared,
    tmp_path / 'run',
    config='configs/ablation.py:fcn8',
    ablation__variants="('full','robust_no_joint')",
    failure__msp_residual=True,
  )
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  assert re.search(r'all \(multi-branch\) +1 ', result.stdout)
  # What has no phase 2 keeps S as phase 1 left it.
  lent, kept = (
    _params(tmp_path / 'run/seed0' / name, PHASE1_STEPS)
    for name in ('phase1_data100', 'robust_no_joint')
  )
  for name in lent:
    if 'segmentation' in str(name):
      np.testing.assert_array_equal(lent[name], kept[name], str(name))
  cell, alone = _params(tmp_path / 'run/seed0/full'), _params(finished[0])
  assert cell.keys() == alone.keys()
  for name in cell:
    np.testing.assert_array_equal(cell[name], alone[name], str(name))
  # What is finished is not trained again.
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  assert 'compiling' not in result.stderr and '67.83' in result.stdout


def test_evaluate_on_other_data_keeps_the_run(copy_of_finished, shared):
  workdir = copy_of_finished
  before = _params(workdir)
  argv = tiny.command(
    shared,
    workdir,
    '--mode=evaluate',
    eval__datasets="('streets/night',)",
    eval__detectors="('fsnet_msp','msp')",
    eval__checkpoint='best',
  )
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  text = (tiny.evaluation(workdir) / 'metrics.json').read_text()
  entry = json.loads(text)['datasets']['streets/night']
  assert set(entry['failure']) == {'fsnet_msp', 'msp'}
  after = _params(workdir)
  assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_detector_of_the_guide_needs_no_edit(
  copy_of_finished, shared, tmp_path, monkeypatch
):
  guide = (tiny.ROOT / 'docs' / 'guide' / 'detectors.md').read_text()
  block = re.search(r'```python\n(.*?)```', guide, re.DOTALL).group(1)
  (tmp_path / 'my_detectors.py').write_text(block)
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  argv = tiny.command(
    shared,
    copy_of_finished,
    '--mode=evaluate',
    eval__datasets="('streets/day',)",
    eval__detectors="('msp','my_detectors:Margin')",
  )
  result = tiny.run_anew(argv)
  assert result.returncode == 0, result.stderr
  folder = tiny.evaluation(copy_of_finished)
  text = (folder / 'metrics.json').read_text()
  failure = json.loads(text)['datasets']['streets/day']['failure']
  assert list(failure) == ['msp', 'margin']
  assert failure['margin']['pooled']['auroc'] is not None
  assert failure['margin']['title'] == 'Margin'
  assert 'title' not in failure['msp']
  html = (folder / 'report.html').read_text()
  assert '>Margin</th>' in html


def test_plateau_switches_by_itself(shared, tmp_path):
  argv = tiny.command(
    shared,
    tmp_path / 'run',
    switch='plateau',
    plateau__patience=1,
    plateau__min_delta=100.0,
    phase1_steps=50,
    checkpoint_every_steps=2,
    phase2_steps=2,
    phase3_steps=0,
    eval__datasets="('streets/day',)",
    eval__detectors="('msp',)",
  )
  result = tiny.run(argv)
  assert result.returncode == 0, result.stderr
  # The first validation sets the mark, the second finds no improvement.
  assert 'S has converged: phase 2 starts after step 4' in result.stderr
  assert tiny.metrics(tmp_path / 'run')['environment']['step'] == 6


def test_eight_devices_train_like_one(finished, shared, tmp_path):
  argv = tiny.command(
    shared,
    tmp_path / 'run',
    data__validation_split='',
    # Two processes share phase 3 in tests/multiprocess.
    phase3_steps=0,
    eval__datasets="('streets/day',)",
    eval__detectors="('msp',)",
  )
  result = tiny.run(argv, devices=8)
  assert result.returncode == 0, result.stderr
  one = _losses(finished[1].stderr)
  eight = _losses(result.stderr)
  # Sums are taken in another order; what that changes grows tenfold in two
  # steps, so that the first ones are held to what is printed, the last to more.
  assert one.keys() == eight.keys() and len(one) == 6
  for values, others, rtol in zip(
    one.values(), eight.values(), [1e-4] * 4 + [2e-3, 1e-2]
  ):
    np.testing.assert_allclose(values, others, rtol=rtol, atol=1e-4)
  assert tiny.metrics(tmp_path / 'run')['environment']['devices'] == 8


def _losses(stderr: str) -> dict[str, list[float]]:
  """The losses of each progress line, by its step."""
  found = {}
  for line in stderr.splitlines():
    words = line.split()
    if 'segmentation' in words:
      step = words[words.index('step') + 1]
      found[step] = [
        float(words[words.index(name) + 1])
        for name in ('segmentation', 'failure')
        if name in words
      ]
  return found
