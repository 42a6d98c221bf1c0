"""A user's mistakes: one sentence, no traceback, exit code 2, nothing lost.

Those that are found before anything is computed are made in this process;
`tests/fsnet_jax/config` has the rest of the command line's.
"""

import importlib
import os
import shutil
from pathlib import Path

import pytest

from common_lib.errors import UserError
from launcher import command
from tests.e2e import forks, tiny
from tests.paths import ROOT

CONFIG = f'--config={ROOT}/configs/fsnet_fcn8.py'
SEGXAL = f'--config={ROOT}/configs/segxal_unet.py:streets'
PREDICT = ('--mode=predict', '--input=x', '--output=y')


@pytest.fixture(autouse=True)
def flags():
  """The program's flags are as they were after each test."""
  yield
  # Not absl's flagsaver: it forgets the flags that grain has defined since.
  names = ('config', 'workdir', 'mode', 'input', 'output')
  for name in (*names, 'num_processes', 'process_id'):
    command.FLAGS[name].unparse()


def _check_sentence(error, *words):
  assert '\n' not in error
  for word in words:
    assert word in error


def _check(result, *words):
  assert result.returncode == 2, result.stderr
  assert 'Traceback' not in result.stderr
  lines = [
    line for line in result.stderr.splitlines() if line.startswith('error: ')
  ]
  assert len(lines) == 1, result.stderr
  _check_sentence(lines[0], *words)
  assert 'compiling' not in result.stderr


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], ['--config is missing']),
    ([CONFIG, '--worksdir=x'], ['worksdir', 'workdir?']),
    ([CONFIG, '--workdir='], ['--workdir is empty']),
    ([CONFIG, '--mode=trian'], ['mode', 'trian']),
    ([CONFIG, '--mode=predict', '--output=x'], ['--input is missing']),
    ([CONFIG, '--mode=predict', '--input=x'], ['--output is missing']),
    ([CONFIG, '--input=x'], ['--input is for --mode=predict']),
    ([CONFIG, '--mode=export'], ['--output is missing']),
    ([CONFIG, '--output=x.onnx'], ['predict and export', 'not --mode=train']),
    ([SEGXAL, *PREDICT], ["task 'segxal'", 'a run of FSNet instead']),
    ([SEGXAL, '--mode=calibrate'], ["task 'segxal'", '--mode=calibrate']),
    ([CONFIG, '--num_processes=0'], ['--num_processes=0']),
    ([CONFIG, '--config.bach_size=4'], ['bach_size', 'batch_size']),
    ([CONFIG, '--config.eval.root.camvid=x'], ['eval.roots.camvid?']),
    ([f'{CONFIG}:kitti'], ['kitti', 'camvid']),
    ([f'{CONFIG}.'], ['fsnet_fcn8.py. does not exist']),
    ([CONFIG, '--config.eval.roots.kitti=x'], ['kitti', 'cityscapes']),
  ],
  ids=lambda value: ' '.join(value[-1:]) if isinstance(value, list) else '',
)
def test_a_mistaken_flag_is_one_sentence(arguments, words, capsys):
  with pytest.raises(SystemExit) as stopped:
    command._parse_flags(['main.py', *arguments])
  assert stopped.value.code == 2
  said = capsys.readouterr().err
  assert said.startswith('error: ') and said.count('\n') == 1
  _check_sentence(said.strip(), *words)


def _run(workdir, *arguments):
  """The command in this process, up to its checks."""
  config = command._parse_flags(['main.py', *arguments])
  room = 'segxal_jax' if config.task == 'segxal' else 'fsnet_jax'
  cli = importlib.import_module(f'{room}.cli')
  cli.run(config, workdir, 'train', {})


def _small(shared):
  """The data of the shrunken demo, which several tests share."""
  fields = {
    name: value
    for name, value in tiny.SHRUNK.items()
    if name.startswith('data.')
  }
  fields |= {'data.cache_dir': shared / 'data'}
  return [f'--config.{name}={value}' for name, value in fields.items()]


SIZE = '--config.image_size=(32,64)'


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([CONFIG, '--config.image_size=(60,128)'], ['multiples of 32']),
    (
      [CONFIG, '--config.phase1_steps=0', '--config.phase2_steps=0'],
      ['both 0', 'config.init.segmentation'],
    ),
    ([f'{CONFIG}:camvid'], ['data.root']),
    (
      [f'{CONFIG}:camvid', '--config.data.root=/no/such/folder'],
      ['/no/such/folder'],
    ),
    (
      [
        CONFIG,
        '--config.eval.datasets=camvid',
        '--config.eval.roots.camvid=/no',
      ],
      ['/no'],
    ),
    ([CONFIG, SIZE, '--config.eval.datasets=kitti'], ['kitti', 'streets']),
    (
      [CONFIG, '--config.init.backbone=vgg.npz'],
      ['config.init.backbone', 'config.width'],
    ),
    (
      [CONFIG, '--config.init.phase1=/no/run'],
      ['config.init.phase1', '/no/run'],
    ),
    ([CONFIG, '--config.eval.detectors=no:Such'], ['no:Such', 'PYTHONPATH']),
    ([CONFIG, '--config.loss.beta_range=(0.9,0.1)'], ['low <= high']),
    (
      [
        f'--config={ROOT}/configs/segxal_unet.py:streets',
        '--config.depth.percentiles=(98,2)',
      ],
      ['config.depth.percentiles'],
    ),
  ],
  ids=lambda value: ' '.join(value[-1:]) if isinstance(value, list) else '',
)
def test_a_mistake_is_one_sentence(arguments, words, shared, tmp_path):
  with pytest.raises(UserError) as error:
    _run(tmp_path / 'run', *arguments, *_small(shared))
  _check_sentence(str(error.value), *words)
  assert not (tmp_path / 'run').exists()


def test_a_command_ends_with_2_and_one_sentence(tmp_path):
  argv = tiny.command(tmp_path, tmp_path / 'run')[:2]
  argv += [f'--workdir={tmp_path / "run"}', CONFIG, '--process_id=1']
  _check(tiny.run_anew(argv), '--coordinator_address')
  assert not (tmp_path / 'run').exists()


def test_help_ends_with_0():
  argv = tiny.command(Path(), Path())[:2]
  result = tiny.run_anew([*argv, CONFIG, '--help'])
  assert result.returncode == 0, result.stderr
  assert '--config.FIELD=' in result.stdout
  assert 'optimizer.learning_rate=0.001' in result.stdout


def test_home_is_found_in_every_flag(tmp_path, monkeypatch, capsys):
  from fsnet_jax.report import seeds
  from fsnet_jax.weights import __main__ as weights
  from street_scenes import __main__ as scenes

  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'mine.py').write_text((ROOT / 'configs/ablation.py').read_text())
  config = command._parse_flags(
    ['main.py', '--config=~/mine.py', '--config.init.backbone=~/vgg']
  )
  assert config.init.backbone == str(tmp_path / 'vgg')
  scenes.main(['--out=~/a.png', '--size=32,64', '--columns=1'])
  assert (tmp_path / 'a.png').is_file()
  arguments = ['convert', '--arch=resnet18', '--from=~/no.npz', '--out=~/new']
  assert weights.main(arguments) == 2
  assert seeds.main(['~/run']) == 2
  said = capsys.readouterr().err
  assert f'{tmp_path}/no.npz' in said and f'{tmp_path}/run' in said
  assert not os.path.exists('~')


def test_evaluate_without_checkpoint(shared, tmp_path):
  argv = tiny.command(shared, tmp_path / 'run', '--mode=evaluate')
  _check(tiny.run(argv), 'no checkpoint', str(tmp_path / 'run'))
  # The folder is free for the command that was meant.
  assert not (tmp_path / 'run').exists()


def test_workdir_of_another_config(finished, shared):
  argv = tiny.command(shared, finished[0], seed=3)
  _check(tiny.run(argv), "another config's run", 'seed was 0 and is now 3')


def test_batch_that_the_devices_cannot_share(shared, tmp_path):
  argv = tiny.command(shared, tmp_path / 'run', batch_size=6)
  _check(tiny.run(argv, devices=4), 'config.batch_size', 'multiple of 4')


def test_divergence_is_explained_and_owns_nothing(shared, tmp_path):
  for rate in (1e30, 1e31):
    argv = tiny.command(
      shared,
      tmp_path / 'run',
      optimizer__learning_rate=rate,
      optimizer__clip_norm=0.0,
      segmentation__input_scale=1.0,
    )
    result = tiny.run(argv)
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    assert 'config.optimizer.learning_rate' in result.stderr
    assert "another config's run" not in result.stderr


def test_a_folder_that_is_deleted_under_a_run_stays_deleted(shared, tmp_path):
  run = tmp_path / 'run'
  # A save that is going on fails in ways of its own, and says so.
  far = 100_000
  argv = tiny.command(shared, run, phase1_steps=far, checkpoint_every_steps=far)
  process = forks.start(argv, tiny.environment())
  said = []
  for line in process.stderr:
    said.append(line)
    if 'phase 1  step 6' in line:
      shutil.rmtree(run)
      break
  said.append(process.communicate(900)[1])
  assert process.returncode == 2, ''.join(said)
  assert 'Traceback' not in ''.join(said)
  last = said[-1].splitlines()[-1]
  assert last.startswith('error: --workdir=') and 'deleted or replaced' in last
  assert not run.exists()
