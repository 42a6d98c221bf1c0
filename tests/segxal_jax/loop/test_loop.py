"""The loop as a whole: killed anywhere, it ends where an unbroken run ends."""

import json
import shutil
import signal
import sys

import jax
import pytest

from common_lib.errors import UserError
from configs import segxal_unet, stored_run
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.runtime.workdir import open_workdir
from segxal_jax import cli
from segxal_jax.config import builders, validation
from segxal_jax.loop import cycle_files, position
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from segxal_jax.pool.ledger import Ledger
from segxal_jax.queries import storage
from segxal_jax.report import error_shares
from segxal_jax.report.write import report
from tests.e2e import tiny
from tests.segxal_jax.loop import killing, small_loop


def test_a_run_leaves_a_ledger_that_adds_up(finished):
  metrics = [
    json.loads((finished / 'cycles' / f'{c:03d}' / 'metrics.json').read_text())
    for c in (1, 2)
  ]
  assert [m['labelled_images'] for m in metrics] == [4, 6]
  assert [m['cost']['images'] for m in metrics] == [4, 6]
  pixels = [m['cost']['pixels'] for m in metrics]
  assert pixels == sorted(pixels) and pixels[0] <= 4 * 32 * 64
  assert metrics[0]['training_labels']['wrong'] == 0
  lines = (finished / 'pool' / 'ledger.jsonl').read_text().splitlines()
  kinds = [json.loads(line)['kind'] for line in lines]
  assert kinds.count('annotation') == 6 and kinds.count('selection') == 2
  asked = [json.loads(x)['index'] for x in lines if '"annotation"' in x]
  assert len(set(asked)) == 6
  fitted = json.loads(
    (finished / 'cycles' / '001' / 'weights.json').read_text()
  )
  assert sum(fitted['weights'].values()) == pytest.approx(1)


def _half_a_line(ledger, entry):
  with ledger._path.open('a') as file:
    file.write(json.dumps(entry)[:20])


def test_killed_at_any_moment_it_ends_the_same(
  finished, data, tmp_path, monkeypatch
):
  config = small_loop.config(data)
  kills = [
    (Ledger, '_append', 3, _half_a_line),  # in the seed set
    (storage, 'write', 2, None),  # between two questions
    (Ledger, '_append', 2, _half_a_line),  # between two answers
    (Run, 'save', 4, None),  # cycle 2, after its first checkpoint
  ]
  for owner, name, calls, before in kills:
    with monkeypatch.context() as patch:
      killing.killer(patch, owner, name, calls, before)
      with pytest.raises(killing.Killed):
        run_loop(config, tmp_path)
  done = run_loop(config, tmp_path)
  assert done.cycles == 2
  killing.assert_same(finished, tmp_path)


def _damaged(workdir, *steps):
  """Checkpoints without the index of their arrays."""
  for step in steps:
    folder = workdir / 'checkpoints' / str(step)
    (folder / 'state' / 'manifest.ocdbt').unlink()


def test_damaged_checkpoints_end_the_same(
  finished, data, tmp_path, monkeypatch
):
  """In the middle of a cycle and at its end; without one nothing is touched."""
  workdir = shutil.copytree(finished, tmp_path / 'run')
  assert checkpoint_folders.steps(workdir) == [6, 8]
  _damaged(workdir, 8)
  run_loop(small_loop.config(data), workdir)
  killing.assert_same(finished, workdir)
  # Killed after it fell back to the end of the cycle before.
  first = tmp_path / 'first'
  run_loop(small_loop.config(data), first, until=(2, 'train'))
  shutil.rmtree(workdir / 'checkpoints' / '6')
  shutil.copytree(first / 'checkpoints' / '4', workdir / 'checkpoints' / '4')
  _damaged(workdir, 8)
  with monkeypatch.context() as patch:
    killing.killer(patch, Run, 'save', 1)
    with pytest.raises(killing.Killed):
      run_loop(small_loop.config(data), workdir)
  run_loop(small_loop.config(data), workdir)
  killing.assert_same(finished, workdir)
  _damaged(workdir, 6, 8)
  with pytest.raises(UserError, match='no intact checkpoint .8: '):
    run_loop(small_loop.config(data), workdir)
  assert checkpoint_folders.steps(workdir) == [6, 8]


def test_a_position_beyond_the_checkpoints_touches_nothing(
  finished, data, tmp_path
):
  workdir = shutil.copytree(finished, tmp_path / 'run')
  position.write(
    workdir, {'cycle': 9, 'stage': 'train', 'queried': [], 'reason': ''}
  )
  with pytest.raises(UserError, match='cycle 9.* last checkpoint is of step 8'):
    run_loop(small_loop.config(data), workdir)
  assert checkpoint_folders.steps(workdir) == [6, 8]
  # Its advice is good.
  (workdir / 'position.json').unlink()
  run_loop(small_loop.config(data), workdir)
  killing.assert_same(finished, workdir)


def _command(data, workdir):
  fields = small_loop.EEM_FIELDS | {'data.cache_dir': data}
  return [
    sys.executable,
    'main.py',
    '--config=configs/segxal_unet.py:streets',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]


def test_the_program_is_killed_and_continued(finished, data, tmp_path):
  workdir = tmp_path / 'run'
  argv = _command(data, workdir)
  code, said = tiny.run_and_signal(argv, 'cycle 1  query', signal.SIGKILL)
  assert code == -signal.SIGKILL, said
  run_loop(small_loop.config(data), workdir)
  killing.assert_same(finished, workdir)


def test_report(finished, data, tmp_path):
  origin = {'config_name': 'tiny', 'command': 'python main.py'}
  workdir = shutil.copytree(finished, tmp_path / 'run')
  report(small_loop.config(data), workdir, origin)
  folder = workdir / 'report'
  metrics = json.loads((folder / 'metrics.json').read_text())
  assert metrics['task'] == 'segxal' and len(metrics['cycles']) == 2
  assert metrics['stopped'] == '1 cycle is done'
  assert set(metrics['datasets']) == {'streets/day'}
  assert metrics['curves']['streets/day']['area_by_pixels'] > 0
  page = (folder / 'report.html').read_text()
  assert 'src="http' not in page and 'SegXAL (EEM)' in page
  asked, last = (entry['error_shares'] for entry in metrics['cycles'])
  # Nobody was asked after the last training.
  assert last is None and asked['images'] == 2
  expected = {'cam', 'proximity', 'pae', 'entropy', 'eem', 'perfect'}
  assert set(asked['maps']) == expected
  assert max(asked['maps'].values()) == asked['maps']['perfect']
  assert 0 < asked['asked']['area'] < 1
  for value in (*asked['maps'].values(), asked['asked']['errors']):
    assert 0 <= value <= 1
  assert f'<td class="number">{100 * asked["maps"]["entropy"]:.1f}</td>' in page
  # Nobody measured the simulated person.
  for entry in metrics['cycles']:
    estimated = 1.75 * entry['cost']['clicks']
    assert entry['time'] == {'measured': None, 'estimated': estimated}
  assert 'estimate from 1.75 s a click' in page
  names = {path.name for path in folder.glob('*.png')}
  assert 'curves.png' in names and len(names) == 1 + 1 + 2


def test_where_errors_lay_is_what_the_questions_say(
  finished, data, tmp_path, monkeypatch
):
  workdir = shutil.copytree(finished, tmp_path / 'run')
  pool = builders.pool_source(small_loop.config(data))

  def never():
    raise AssertionError('the pool was opened')

  written = error_shares.of_cycle(workdir, 1, never)
  assert written.images == 2 and written.errors > 0
  # The last one asked nothing.
  assert error_shares.of_cycle(workdir, 2, never) is None
  (workdir / 'cycles' / '001' / 'errors.json').unlink()
  assert error_shares.of_cycle(workdir, 1, lambda: pool) == written
  assert error_shares.of_cycle(workdir, 1, lambda: None) is None
  monkeypatch.setattr(error_shares, '_MOST', 1)
  assert error_shares.of_cycle(workdir, 1, lambda: pool).images == 1
  cycle_files.write_errors(workdir, 1, None)
  assert error_shares.of_cycle(workdir, 1, never) is None


def test_it_is_reported_from_its_folder_alone(finished, data, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished, workdir)
  with open_workdir(workdir, small_loop.config(data)):
    before = (workdir / 'config.json').read_bytes()
  config = stored_run.get_config(str(workdir))
  # Of what training alone needs, nothing is here any more.
  moved = {'init.backbone': '/gone', 'batch_size': 3}
  config.update_from_flattened_dict({'eval.roots.camvid': '/gone'})
  cli.run(config, workdir, 'evaluate', {})
  assert (workdir / 'report' / 'report.html').exists()
  assert (workdir / 'config.json').read_bytes() == before
  for field, value in moved.items():
    other = stored_run.get_config(str(workdir))
    other.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=field):
      cli.run(other, workdir, 'evaluate', {})
  other = stored_run.get_config(str(workdir))
  other.eval.datasets = ('streets/night',)
  with pytest.raises(UserError, match=r"eval.datasets was \['streets/day'\]"):
    cli.run(other, workdir, 'evaluate', {})


def test_how_it_ended_is_said(finished, data, tmp_path, capsys):
  workdir = shutil.copytree(finished, tmp_path / 'run')
  run_loop(small_loop.config(data), workdir)
  said = capsys.readouterr().err
  assert said.endswith('the loop ended with cycle 2: 1 cycle is done\n')


def test_nothing_measured_yet_is_a_mistake(data, tmp_path):
  with pytest.raises(UserError, match='no measured cycle'):
    report(small_loop.config(data), tmp_path, {})


def test_budget_ends_the_run_and_rejected_answers_count(data, tmp_path):
  config = small_loop.config(
    data,
    stop__cycles=9,
    stop__images=5,
    selection__rule='dice',
    selection__theta=1.0,
    acquisition__strategy='random',
    oracle__kind='full_image',
    phase1_steps=2,
  )
  done = run_loop(config, tmp_path)
  assert done.reason == 'the budget of 5 images is spent (6)'
  text = (tmp_path / 'cycles' / '002' / 'metrics.json').read_text()
  measured = json.loads(text)
  assert measured['labelled_images'] == 4 and measured['cost']['images'] == 6


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('acquisition.strategy', 'egl', 'random, entropy'),
    ('oracle.kind', 'crowd', 'self_pseudo'),
    ('depth.provider', 'lidar', 'ground_plane'),
    ('depth.percentiles', (98.0, 2.0), 'config.depth.percentiles'),
    ('selection.rule', 'most', 'dice, all'),
    ('selection.theta', 1.5, 'config.selection.theta'),
    ('eem.gamma', 0.5, 'config.phase2_steps'),
    ('pool.subset_share', 0.0, 'config.pool.subset_share'),
    ('stop.cycles', -1, 'config.stop.cycles'),
    ('cam.method', 'cam', 'gradcam, hirescam'),
    ('cam.classes', (19,), 'config.cam.classes'),
    ('init.phase1', 'x', 'config.init.phase1'),
    ('batch_size', 0, 'config.batch_size'),
  ],
)
def test_a_mistake_names_its_field(data, field, value, words):
  config = segxal_unet.get_config('streets')
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=words):
    validation.check(config)


@pytest.mark.parametrize('argument', ['streets', 'camvid', 'cityscapes'])
def test_shipped_configs_pass_their_check(argument):
  validation.check(segxal_unet.get_config(argument))


def test_cityscapes_is_the_papers_protocol():
  config = segxal_unet.get_config('cityscapes')
  assert tuple(config.image_size) == (256, 512)
  assert (config.pool.num_initial, config.pool.num_query) == (300, 150)
  assert 300 + config.stop.cycles * 150 == 1200
  assert (config.batch_size, config.width) == (16, 1.0)
  assert config.optimizer.learning_rate == 1e-4
  assert (config.eem.alpha, config.eem.beta) == (0.5, 0.5)


def test_seeds_of_purposes_differ_and_repeat():
  from common_lib import random_streams

  a = random_streams.derived(0, 'batches', 1)
  assert a == random_streams.derived(0, 'batches', 1)
  others = [
    random_streams.derived(0, 'batches', 2),
    random_streams.derived(1, 'batches', 1),
    random_streams.derived(0, 'networks'),
  ]
  assert len({a, *others}) == 4
  assert jax.random.key(a) is not None
