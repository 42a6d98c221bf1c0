"""A finished run is evaluated from its folder alone, and left as it was."""

import hashlib
import json
import shutil

import jaxtyping
import pytest

from common_lib.errors import UserError
from configs import stored_run
from fsnet_jax import cli
from fsnet_jax.builders import data_sources
from tests.e2e import tiny

ORIGIN = {'config_name': 'tiny', 'command': 'python main.py --workdir=x'}


@pytest.fixture(scope='module', autouse=True)
def as_a_user_runs_it():
  """Orbax restores into descriptions of arrays, which type checks refuse."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def files_of(workdir):
  """Digest by name of all files but those of evaluations and the lock."""
  return {
    str(path.relative_to(workdir)): hashlib.sha256(path.read_bytes()).digest()
    for path in sorted(workdir.rglob('*'))
    if path.is_file()
    and 'evaluations' not in path.parts
    and path.name != '.lock'
  }


def evaluate(workdir, **fields):
  config = stored_run.get_config(str(workdir))
  config.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in fields.items()}
  )
  cli.run(config.lock(), workdir, 'evaluate', ORIGIN)


def _take_training_images_away(patch):
  opened = data_sources._open

  def opening(config, spec, *how):
    if spec.endswith((':train', ':validation')):
      raise UserError(f'config.data.root has no {spec}.')
    return opened(config, spec, *how)

  patch.setattr(data_sources, '_open', opening)


@pytest.fixture
def only_test_images(monkeypatch):
  """The images that it was trained and validated on are gone."""
  _take_training_images_away(monkeypatch)


@pytest.fixture(scope='module')
def evaluated(finished, tmp_path_factory):
  """A finished run with an evaluation, and its files before; copy it."""
  run = shutil.copytree(finished[0], tmp_path_factory.mktemp('once') / 'run')
  before = files_of(run)
  with pytest.MonkeyPatch.context() as patch:
    _take_training_images_away(patch)
    evaluate(run, eval__datasets=('streets/day', 'streets/fog'))
  return run, before


def test_each_evaluation_has_a_folder_of_its_own(
  evaluated, only_test_images, tmp_path
):
  run, before = shutil.copytree(evaluated[0], tmp_path / 'run'), evaluated[1]
  (first,) = (run / 'evaluations').iterdir()
  assert first.name.startswith('streets_day_and_streets_fog-')
  # What was evaluated again are the same numbers.
  again = json.loads((first / 'metrics.json').read_text())
  assert again['datasets'] == tiny.metrics(run)['datasets']
  assert again['evaluation'] == tiny.metrics(run)['evaluation']
  assert again['environment']['config_name'] == 'tiny'
  names = {path.name for path in first.iterdir()}
  assert len(names) == 7 and 'examples_streets_fog.png' in names
  # Others do not touch it.
  evaluate(run, eval__datasets=('streets/day',), eval__detectors=('msp',))
  assert len(list((run / 'evaluations').iterdir())) == 2
  assert {path.name for path in first.iterdir()} == names
  assert files_of(run) == before
  # Nor does the copy need the folder that it was made from.
  with pytest.raises(UserError, match='has no streets/day:validation'):
    evaluate(run, eval__detectors=('msp', 'msp_temperature'))


def test_a_name_that_is_used_again_is_cleaned(evaluated, tmp_path):
  run, named = tmp_path / 'run', {'eval__name': 'mine'}
  shutil.copytree(evaluated[0], run)
  # What an evaluation of that name would have left.
  (earlier,) = (run / 'evaluations').iterdir()
  folder = earlier.rename(run / 'evaluations' / 'mine')
  (folder / '.report.html.a1b2c3d4').write_text('of a killed run')
  (folder / 'notes.txt').write_text("a user's")
  evaluate(run, eval__datasets=('streets/fog',), **named)
  found = {path.name.partition('tfevents')[0] for path in folder.iterdir()}
  assert found == {
    'metrics.json', 'report.html', 'risk_coverage.png', 'detectors.png',
    'examples_streets_fog.png', 'events.out.', 'notes.txt',
  }  # fmt: skip
  assert len(list(folder.glob('events.*'))) == 1


def test_a_detector_of_ones_own_is_found_again(
  copy_of_finished, shared, tmp_path, monkeypatch
):
  """The training command is given it; the evaluation has it from the run."""
  (tmp_path / 'of_mine.py').write_text(
    'from fsnet_jax.detectors.msp import MaxSoftmaxProbability\n'
    'class Mine(MaxSoftmaxProbability):\n'
    "  name, title = 'mine', 'My own'\n"
  )
  monkeypatch.syspath_prepend(tmp_path)
  run = copy_of_finished
  config = stored_run.get_config(str(run))
  config.eval.detectors = ('msp', 'of_mine:Mine')
  config.eval.datasets = ('streets/day',)
  report = files_of(run / 'report')
  cli.run(config.lock(), run, 'train', ORIGIN)
  # It was trained already: this is an evaluation, in other settings.
  assert files_of(run / 'report') == report
  stored = json.loads((run / 'config.json').read_text())
  assert stored['eval']['detectors'] == ['msp', 'of_mine:Mine']
  (folder,) = (run / 'evaluations').iterdir()
  shutil.rmtree(folder)
  evaluate(run)
  failure = json.loads((folder / 'metrics.json').read_text())['datasets'][
    'streets/day'
  ]['failure']
  assert failure['mine']['pooled'] == failure['msp']['pooled']


def test_from_the_command_line(copy_of_finished):
  argv = [
    *tiny.command(copy_of_finished, copy_of_finished)[:2],
    f'--workdir={copy_of_finished}',
    '--mode=evaluate',
  ]
  fields = ['--config.eval.datasets=("streets/night",)', '--config.seed=0']
  result = tiny.run([*argv, *fields])
  assert result.returncode == 0, result.stderr
  assert 'streets/night: 10 images' in result.stdout
  assert 'evaluations/streets_night-' in result.stderr
  result = tiny.run([*argv, '--config.seed=3'])
  assert result.returncode == 2
  assert result.stderr.startswith('error: --workdir=')
  assert 'seed was 0 and is now 3' in result.stderr
