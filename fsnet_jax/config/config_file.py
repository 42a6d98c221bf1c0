"""Loads a config file; whatever is wrong with it is one sentence."""

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded

# Of the loaded file; dataclasses in it look their module up by that.
_MODULE = 'config_file'
# Of a shipped config: `fsnet_fcn8`, which is configs/fsnet_fcn8.py.
_NAME = re.compile(r'[a-z]\w*')
_HOW = 'as get_config() of configs/fsnet_fcn8.py does'


def load(spec: str) -> ConfigDict:
  """What `get_config` of a file returns.

  Args:
    spec: the file, or the name of a config that is shipped (`fsnet_fcn8`),
      and after a colon the argument of its `get_config`.

  Raises:
    UserError: there is no such file, it cannot be run, or it returns no
      config.
  """
  file, colon, argument = spec.partition(':')
  path = _shipped(file) or expanded(file)
  get_config = getattr(_module(path, file), 'get_config', None)
  if not callable(get_config):
    raise UserError(
      f'--config={file} has no get_config(): define one that returns a '
      f'ConfigDict, {_HOW}.'
    )
  arguments = [argument] if colon else []
  _check_arguments(get_config, arguments, file)
  try:
    config = get_config(*arguments)
  except UserError:
    raise
  except ValueError as error:  # It says what to change.
    raise UserError(f'--config={spec}: {_text(error)}.') from error
  except (Exception, SystemExit) as error:
    raise UserError(
      f'--config={spec}: get_config() failed ({_described(error, path)}).'
    ) from error
  if not isinstance(config, ConfigDict):
    what = 'None' if config is None else f'a {type(config).__name__}'
    raise UserError(
      f'get_config() of {file} returned {what}: end it with the config that '
      f'it made, a ConfigDict, {_HOW}.'
    )
  return config


def _shipped(file: str) -> Path | None:
  """The config of that name that comes with the program, if it is one.

  A file of a user's own is named by its path, and goes before it.
  """
  if not _NAME.fullmatch(file) or expanded(file).exists():
    return None
  found = importlib.util.find_spec('configs')
  folders = found.submodule_search_locations if found else None
  paths = [Path(folder) / f'{file}.py' for folder in folders or ()]
  return next((path for path in paths if path.is_file()), None)


def _module(path: Path, file: str) -> ModuleType:
  """The file, run as a module."""
  if not path.is_file():
    what = 'is a folder' if path.is_dir() else 'does not exist'
    raise UserError(f'--config={file} {what}: name a config file.{_near(path)}')
  module = ModuleType(_MODULE)
  module.__file__ = str(path)
  sys.modules[_MODULE] = module
  try:
    source = path.read_bytes()
  except OSError as error:
    raise UserError(
      f'--config={file} cannot be read ({error.strerror}).'
    ) from error
  try:
    # Not by an import, which would take an older file's compiled form where
    # size and second are the same.
    exec(compile(source, str(path), 'exec'), module.__dict__)
  except (Exception, SystemExit) as error:
    raise UserError(
      f'--config={file} cannot be run: {_described(error, path)}.'
    ) from error
  return module


def _near(path: Path) -> str:
  """' Did you mean FILE?' if a file beside it has nearly that name."""
  try:
    names = [file.name for file in path.parent.iterdir() if file.is_file()]
  except OSError:
    return ''
  close = difflib.get_close_matches(path.name, names, n=1)
  return f' Did you mean {path.parent / close[0]}?' if close else ''


def _check_arguments(get_config: Any, arguments: list[str], file: str) -> None:
  try:
    signature = inspect.signature(get_config)
  except (TypeError, ValueError):  # Written in C, say; calling it will tell.
    return
  try:
    signature.bind(*arguments)
  except TypeError:
    if arguments:
      fix = f'its get_config() takes no argument: write --config={file}'
    else:
      fix = (
        f'its get_config() needs an argument: write --config={file}:ARGUMENT'
      )
    raise UserError(
      f'--config={":".join([file, *arguments])}: {fix}.'
    ) from None


def _text(error: BaseException) -> str:
  return quoted(error).strip().rstrip('.') or type(error).__name__


def _described(error: BaseException, path: Path) -> str:
  """The error, and the line of the file that led to it."""
  if isinstance(error, SyntaxError) and error.filename == str(path):
    return f'line {error.lineno}: {type(error).__name__}: {error.msg}'
  frames = traceback.extract_tb(error.__traceback__)
  lines = [frame.lineno for frame in frames if frame.filename == str(path)]
  where = f'line {lines[-1]}: ' if lines else ''
  text = quoted(error).strip().rstrip('.')
  return f'{where}{type(error).__name__}{": " if text else ""}{text}'
