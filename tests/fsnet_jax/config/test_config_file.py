"""Config files with every mistake that a file can have."""

import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.config import config_file
from tests.paths import ROOT

_GOOD = 'from ml_collections import ConfigDict\n'


def test_a_file_and_its_argument(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(
    f'{_GOOD}def get_config(arg="a"):\n  return ConfigDict({{"x": arg}})\n'
  )
  assert config_file.load(str(path)) == ConfigDict({'x': 'a'})
  assert config_file.load(f'{path}:b:c').x == 'b:c'
  assert config_file.load(f'{path}:').x == ''


def test_home_is_found(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'mine.py').write_text(
    f'{_GOOD}def get_config():\n  return ConfigDict()\n'
  )
  assert config_file.load('~/mine.py') == ConfigDict()


def test_a_file_that_has_changed_is_read_again(tmp_path):
  path = tmp_path / 'mine.py'
  for value in (1, 2):  # As long, and within a second.
    path.write_text(
      f'{_GOOD}def get_config():\n  return ConfigDict({{"x": {value}}})\n'
    )
    assert config_file.load(str(path)).x == value


def test_dataclasses_with_annotations_in_words(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(
    'from __future__ import annotations\nimport dataclasses\n'
    f'{_GOOD}@dataclasses.dataclass\nclass A:\n  x: int = 1\n'
    'def get_config():\n  return ConfigDict({"x": A().x})\n'
  )
  assert config_file.load(str(path)).x == 1


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('', 'has no get_config(): define one'),
    ('get_config = 3\n', 'has no get_config()'),
    ('x = (\n', 'cannot be run: line 1: SyntaxError'),
    ('\n\nx = 1 +\n', 'line 3: SyntaxError: invalid syntax'),
    ('def f():\nreturn 1\n', 'line 2: IndentationError'),
    ('x = "\0"\n', 'null bytes'),
    ('\n\nimport no_such_module\n', 'line 3: ModuleNotFoundError: No module'),
    ('from configs import no_such\n', 'line 1: ImportError'),
    ('raise SystemExit(3)\n', 'line 1: SystemExit: 3'),
    ('def get_config():\n  pass\n', 'get_config() of FILE returned None'),
    ('def get_config():\n  return {"a": 1}\n', 'FILE returned a dict'),
    ('def get_config():\n  return 1 / 0\n', 'line 2: ZeroDivisionError'),
    (
      'def get_config():\n  raise ValueError("no \x1b[2J\\nsuch")\n',
      '--config=FILE: no ',
    ),
    ('def get_config():\n  return get_config()\n', 'RecursionError'),
    (
      f'{_GOOD}def get_config():\n  ConfigDict().lock().a = 1\n',
      'line 3: AttributeError',
    ),
    ('def get_config(arg):\n  pass\n', 'write --config=FILE:ARGUMENT'),
  ],
)
def test_a_mistake_is_one_sentence(tmp_path, text, words):
  path = tmp_path / 'mine.py'
  path.write_bytes(text.encode())
  with pytest.raises(UserError) as error:
    config_file.load(str(path))
  message = str(error.value)
  assert words.replace('FILE', str(path)) in message
  assert '\n' not in message and '\x1b' not in message


def test_an_argument_that_nobody_takes(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(f'{_GOOD}def get_config():\n  return ConfigDict()\n')
  with pytest.raises(UserError, match=f'no argument: write --config={path}.'):
    config_file.load(f'{path}:day')


def test_a_file_that_is_not_there(tmp_path):
  (tmp_path / 'fsnet_fcn8.py').write_text('')
  with pytest.raises(UserError, match=r'Did you mean .*/fsnet_fcn8\.py\?'):
    config_file.load(str(tmp_path / 'fsnet_fnc8.py'))
  with pytest.raises(UserError, match='does not exist'):
    config_file.load(str(tmp_path / 'no' / 'such.py'))
  with pytest.raises(UserError, match='is a folder'):
    config_file.load(str(tmp_path))


def test_arguments_of_shipped_configs():
  file = ROOT / 'configs' / 'fsnet_fcn8.py'
  assert config_file.load(f'{file}:camvid').data.name == 'camvid'
  with pytest.raises(UserError, match='kitti.*streets, camvid, cityscapes'):
    config_file.load(f'{file}:kitti')
