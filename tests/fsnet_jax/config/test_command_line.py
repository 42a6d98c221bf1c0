"""Flags and overrides -> a config, or a sentence; `--help`."""

import subprocess
import sys

import pytest
from absl import flags

from common_lib.errors import UserError
from configs import fsnet_fcn8
from fsnet_jax.config import command_line, fields, resolution
from fsnet_jax.config.command_line import Override
from segxal_jax.config import fields as segxal_fields
from tests.paths import ROOT

FILE = f'--config={ROOT}/configs/fsnet_fcn8.py'
TABLES = {'segxal': segxal_fields.FIELDS}


def _values():
  values = flags.FlagValues()
  flags.DEFINE_string('config', None, 'Config file.', flag_values=values)
  flags.DEFINE_string('workdir', None, 'Folder.', flag_values=values)
  flags.DEFINE_enum('mode', 'train', ['train', 'evaluate'], 'Mode.', values)
  flags.DEFINE_integer('process_id', None, 'Number.', 0, flag_values=values)
  return values


def _parse(*arguments):
  return command_line.parse(['main.py', *arguments], _values(), TABLES)


def test_without_overrides():
  config = fsnet_fcn8.get_config()
  assert _parse(FILE).to_dict() == resolution.resolved(config).to_dict()


def test_overrides_of_every_kind():
  config = _parse(
    '--config.batch_size=4',  # Before the file is fine as well.
    FILE,
    '--config.width',
    '0.5',
    '--config.remat',
    '--noconfig.failure.msp_residual',
    '-config.data.root=/x=y',
    '--config.image_size=(32,64)',
    '--config.eval.datasets=streets/day',
    '--config.eval.datasets=streets/fog',
    '--config.log_every_steps=1',
    '--config.log_every_steps=2',
    '--config.optimizer.learning_rate=1',
    '--config.eval.roots.street_views=/views',
  )
  assert (config.batch_size, config.width, config.remat) == (4, 0.5, True)
  assert config.failure.msp_residual is False
  assert config.data.root == '/x=y'
  assert config.image_size == (32, 64)
  assert config.eval.datasets == ('streets/day', 'streets/fog')
  assert config.log_every_steps == 2
  assert isinstance(config.optimizer.learning_rate, float)
  assert config.eval.roots.street_views == '/views'
  assert config.is_locked


def test_a_flag_file(tmp_path):
  path = tmp_path / 'flags'
  path.write_text(f'{FILE}\n# a comment\n--config.batch_size=2\n')
  assert _parse(f'--flagfile={path}', '--config.seed=3').batch_size == 2


def test_an_override_may_fill_a_placeholder(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(
    'from ml_collections import config_dict\nfrom configs import fsnet_fcn8\n'
    'def get_config():\n  config = fsnet_fcn8.get_config()\n'
    '  config.data.root = config_dict.placeholder(str)\n  return config\n'
  )
  with pytest.raises(UserError, match='config.data.root is None'):
    _parse(f'--config={path}')
  config = _parse(f'--config={path}', '--config.data.root=/x')
  assert config.data.root == '/x'


def test_the_task_decides_the_fields():
  file = f'--config={ROOT}/configs/segxal_unet.py:streets'
  config = _parse(file, '--config.pool.holdout=3')
  assert config.pool.holdout == 3
  with pytest.raises(UserError, match="no field 'pool.holdout'"):
    _parse(FILE, '--config.pool.holdout=3')
  with pytest.raises(UserError, match="config.task='compare'"):
    _parse(FILE, '--config.compare.seeds=3')


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], '--config is missing'),
    (['--config='], '--config is missing'),
    ([FILE, '--worksdir=x'], 'no flag --worksdir. Did you mean --workdir?'),
    ([FILE, '--batch_size=4'], 'Did you mean --config.batch_size?'),
    ([FILE, '--configs.batch_size=4'], 'Did you mean --config.batch_size?'),
    ([FILE, '--pool.holdout=4'], 'Did you mean --config.pool.holdout?'),
    ([FILE, '--zzz'], 'there is no flag --zzz. --help lists all.'),
    ([FILE, '--mode=trian'], '--mode=trian: value should be one of'),
    ([FILE, '--process_id=x'], '--process_id=x: give a whole number'),
    ([FILE, '--process_id=-1'], '--process_id=-1'),
    ([FILE, '--flagfile=/no/such'], 'Unable to open flagfile'),
    ([FILE, 'evaluate'], "unexpected argument 'evaluate'"),
    ([FILE, '--', '--config.seed=1'], 'unexpected argument'),
    ([FILE, '--config.bach_size=4'], "'bach_size'. Did you mean batch_size?"),
    ([FILE, '--config.eval.root.camvid=x'], 'mean eval.roots.camvid?'),
    ([FILE, '--config.data=x'], 'config.data is a section'),
    ([FILE, '--config.=x'], "no field ''"),
    ([FILE, '--config.batch_size'], '--config.batch_size has no value'),
    ([FILE, '--config.batch_size', '--mode=train'], 'has no value'),
    ([FILE, '--config.batch_size=many'], "config.batch_size is 'many'"),
    ([FILE, '--config.batch_size=0'], 'give a whole number, 1 or more'),
    ([FILE, '--config.width=inf'], 'give a finite number'),
    ([FILE, '--noconfig.remat=1'], 'has a value'),
    ([FILE, '--noconfig.seed'], "config.seed is 'false'"),
    ([FILE, '--config.loss.beta_range=0.5'], 'give 2 values'),
    ([FILE, '--config.segmentation.skip_scale=1'], 'give 2 values'),
    ([FILE, '--config.segmentation.skip_scale=(1,2,3)'], 'give 2 values'),
    ([FILE, '--config.eval.detectors=()'], 'give 1 or more values'),
    ([FILE, '--config.image_size=(32'], 'write values as in'),
    ([FILE, '--config.segmentation.name=fcn32'], 'fcn8, deeplab_v2, unet'),
    ([FILE, '--config.data.augment=flop'], "'flop': choose one of flip"),
    ([FILE, '--config.seed=\x1b[2J'], 'config.seed is'),
  ],
  ids=lambda value: ' '.join(value[-1:]) if isinstance(value, list) else '',
)
def test_a_mistake_is_one_sentence(arguments, words):
  with pytest.raises(UserError) as error:
    _parse(*arguments)
  assert words in str(error.value)
  assert '\n' not in str(error.value) and '\x1b' not in str(error.value)


def test_split_leaves_the_other_flags():
  arguments = ['--workdir', 'x', '--config.seed', '3', '--config=f', '--mode=a']
  rest, overrides = command_line.split(arguments, [fields.FIELDS])
  assert rest == ['--workdir', 'x', '--config=f', '--mode=a']
  assert overrides == [Override('seed', '3')]


@pytest.mark.parametrize('flag', ['--help', '-h', '--helpfull', '-?'])
def test_help_names_every_field(flag, capsys):
  with pytest.raises(SystemExit) as stopped:
    _parse(flag)
  assert stopped.value.code == 0
  said = capsys.readouterr().out
  shown = {line.split()[0] for line in said.splitlines() if line[2:3].strip()}
  for name in (*fields.FIELDS, *segxal_fields.FIELDS):
    assert name.replace('.*', '.NAME') in shown, name
  assert {'--config', '--workdir', '--mode', '--process_id'} <= shown
  for word in ('streets', 'mc_dropout', 'viewal', 'one of steps, plateau'):
    assert word in said


def test_help_of_a_config_shows_its_values(capsys):
  with pytest.raises(SystemExit) as stopped:
    _parse('--help', f'{FILE}:camvid', '--config.batch_size=3')
  assert stopped.value.code == 0
  said = capsys.readouterr().out
  for line in (
    '  batch_size=3  a whole number, 1 or more',
    '  data.name=camvid  the name of a data set',
    "  eval.datasets=\"('camvid/0006R0','camvid/0001TP')\"",
    '  eval.roots.camvid=  a path',
  ):
    assert line in said
  assert 'pool.holdout' not in said and 'compare.seeds' not in said


def test_help_of_a_mistake_is_a_mistake():
  with pytest.raises(UserError, match='batch_size'):
    _parse('--help', FILE, '--config.batch_size=0')


def test_neither_a_mistake_nor_help_waits_for_jax():
  program = """
import sys
from launcher import command
for flags in (['--help'], [sys.argv[1], '--help'],
              [sys.argv[1], '--config.eval.detectors=()'],
              [sys.argv[1], '--config.eval.root.camvid=x']):
  try:
    command._parse_flags(['main.py', *flags])
  except SystemExit:
    pass
heavy = {'jax', 'flax', 'tensorflow', 'orbax', 'grain'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
  subprocess.run(
    [sys.executable, '-c', program, FILE],
    check=True,
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
