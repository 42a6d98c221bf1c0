"""A segmentation network behind a Python function of the user's.

  def segment(images):  # uint8 [b h w 3], RGB
    return logits       # [b h w c] or [b c h w], at the images' size or smaller

or `return logits, features`. It runs in the environment that this program runs
in, so PyTorch, JAX, Keras and whatever has `__array__` are understood.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import importlib.util
import inspect
import json
import pathlib
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from input_pipeline.external.channel_map import between
from input_pipeline.external.output_checks import (
  OutputRules,
  Sizes,
  checked_features,
  checked_logits,
)
from input_pipeline.external.protocol import ExternalOutput, Notes

_FIELD = 'config.segmentation.path'
# A module may list files, weights say, that decide what its function returns.
DEPENDS_ON = 'DEPENDS_ON'
_TRIAL_SIZE = (256, 512)


class PythonNetwork:
  """A network that a function calls."""

  takes_any_image = True

  def __init__(
    self,
    name: str,
    classes: ClassTable,
    *,
    image_size: tuple[int, int] = _TRIAL_SIZE,
  ):
    """Imports the function and calls it once, with an image of noise.

    Args:
      name: `module:function` or `path/file.py:function`.
      classes: of the data, which its logits are of.
      image_size: of that image.

    Raises:
      UserError: it cannot be imported or fails, or does not return logits.
    """
    self._name = name
    self.classes = classes
    self.notes = Notes()
    self._function, self._module = _imported(name)
    self.channels = between(classes, classes, (), name)
    self._feature_sizes: dict[tuple[int, int], tuple[int, int] | None] = {}
    self.feature_channels = 0
    trial = self(_noise(image_size))
    if trial.features is not None:
      self.feature_channels = trial.features.shape[-1]

  def feature_size(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of the features of images of a size, or None."""
    if image_size not in self._feature_sizes:
      self(_noise(image_size))
    return self._feature_sizes[image_size]

  def fingerprint(self) -> str:
    """SHA-256 of the function's name and file, and of `DEPENDS_ON`'s files.

    What else the function reads is not seen: a cache therefore computes one of
    its entries again before it uses the others (`stage.with_outputs`).

    Raises:
      UserError: a file of `DEPENDS_ON` cannot be read.
    """
    digest = hashlib.sha256(json.dumps(self._name.rpartition(':')[2]).encode())
    source = getattr(self._module, '__file__', None)
    folder = pathlib.Path(source).parent if source else pathlib.Path()
    names = getattr(self._module, DEPENDS_ON, ())
    if isinstance(names, (str, pathlib.Path)):
      names = (names,)
    for file in [*([source] if source else []), *names]:
      try:
        with (folder / expanded(str(file))).open('rb') as content:
          digest.update(hashlib.file_digest(content, 'sha256').digest())
      except OSError as error:
        raise UserError(
          f'{_FIELD} is {self._name!r}, whose module names '
          f'{quoted(file, 200)} as {DEPENDS_ON}, which cannot be read; correct '
          'that list'
        ) from error
    return digest.hexdigest()

  def __call__(self, images: np.ndarray) -> ExternalOutput:
    """Calls the function; see `ExternalNetwork`."""
    # Whatever the function does to its argument, ours stays as it is.
    found = _called(self._function, np.array(images), self._name)
    logits, features = _parts(found, self._name)
    height, width = images.shape[1:3]
    size = (height, width)
    sizes = Sizes(len(images), size, size)
    where = f'{self._name}: what it returns'
    rules = OutputRules(
      where=where,
      network=self._name,
      channels=self.channels,
      channels_first=False,
      export='return the logits before the argmax',
      select='return the channels CHANNELS',
    )
    logits, first = checked_logits(logits, sizes, rules, self.notes)
    if features is not None:
      features = checked_features([features], sizes, where, first)
      if self.feature_channels not in (0, features.shape[-1]):
        raise UserError(
          f'{where}: features of {features.shape[-1]} channels, after '
          f'{self.feature_channels} before; return as many each time'
        )
    elif self.feature_channels:
      raise UserError(
        f'{where}: no features, after {self.feature_channels} channels of them '
        'before; return them each time'
      )
    self._feature_sizes[size] = (
      None if features is None else (features.shape[1], features.shape[2])
    )
    return ExternalOutput(logits, features)


def _noise(size: tuple[int, int]) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)


def _imported(name: str) -> tuple[Callable[..., Any], types.ModuleType]:
  """The function that a name stands for, and its module."""
  where, _, function = name.rpartition(':')
  if not where or not function:
    raise UserError(
      f'{_FIELD} is {quoted(name, 200)!r}; give module:function or '
      'path/file.py:function'
    )
  module = _module(where, name)
  found = getattr(module, function, None)
  if found is None:
    raise UserError(
      f'{_FIELD} is {name!r}, but there is no {quoted(function, 80)!r} in '
      f'{quoted(where, 200)}; define it there, or name another'
    )
  if not callable(found) or inspect.isclass(found):
    raise UserError(
      f'{_FIELD} is {name!r}, which is no function; give one that takes images '
      'uint8 [b h w 3] and returns logits'
    )
  return found, module


def _module(where: str, name: str) -> types.ModuleType:
  try:
    if not where.endswith('.py'):
      return importlib.import_module(where)
    return _of_file(expanded(where))
  except FileNotFoundError as error:
    raise UserError(
      f'{_FIELD} is {name!r}, but {quoted(error.filename or where, 200)} is '
      'missing; correct the path'
    ) from error
  except ModuleNotFoundError as error:
    missing = error.name or where
    fix = (
      'give a module beside main.py or in a folder of PYTHONPATH, or '
      'path/file.py:function'
      if where == missing or where.startswith(f'{missing}.')
      else f'install {quoted(missing, 80)} beside this program'
    )
    raise UserError(
      f'{_FIELD} is {name!r}, but there is no module {quoted(missing, 80)!r}; '
      f'{fix}'
    ) from error
  except Exception as error:  # Whatever the user's file raises.
    raise UserError(
      f'{_FIELD} is {name!r}, which cannot be imported ({_reason(error)}); '
      'correct that'
    ) from error


def _of_file(path: pathlib.Path) -> types.ModuleType:
  """A module out of a file, which finds others beside it."""
  if not path.is_file():
    raise FileNotFoundError(errno.ENOENT, 'missing', str(path))
  path = path.resolve()
  if str(path.parent) not in sys.path:
    sys.path.append(str(path.parent))
  # A name of its own: a file may be called like one of ours.
  digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
  name = f'_external_{path.stem}_{digest}'
  if name in sys.modules:
    return sys.modules[name]
  spec = importlib.util.spec_from_file_location(name, path)
  assert spec is not None and spec.loader is not None  # It ends in .py.
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module
  try:
    spec.loader.exec_module(module)
  except BaseException:
    del sys.modules[name]
    raise
  return module


def _called(function: Callable[..., Any], images: np.ndarray, name: str) -> Any:
  try:
    return function(images)
  except UserError:
    raise
  except Exception as error:  # Whatever the user's function raises.
    shape = ' '.join(str(side) for side in images.shape)
    raise UserError(
      f'{name} fails on images uint8 [{shape}] ({_reason(error)}); correct that'
    ) from error


def _reason(error: Exception) -> str:
  """An error in one line, and where it was raised."""
  text = f'{type(error).__name__}: {error}'
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  # Of a long message the last line says what happened.
  short = lines[0] if len(lines) == 1 else f'{lines[0]} ... {lines[-1]}'
  frames = traceback.extract_tb(error.__traceback__)
  if not frames:
    return quoted(short, 300)
  last = frames[-1]
  return f'{quoted(short, 300)}, {quoted(last.filename, 200)}:{last.lineno}'


def _parts(found: Any, name: str) -> tuple[np.ndarray, np.ndarray | None]:
  """Logits and features out of whatever came back."""
  features = None
  if isinstance(found, (tuple, list)):
    if len(found) != 2:
      raise UserError(
        f'{name}: it returns {len(found)} values; return logits, or logits and '
        'features'
      )
    found, features = found
  elif not hasattr(found, '__array__') and hasattr(found, 'logits'):
    found = found.logits  # What `transformers` calls a ModelOutput.
  logits = _array(found, name)
  return logits, None if features is None else _array(features, name)


def _array(value: Any, name: str) -> np.ndarray:
  """A tensor of any library as an array."""
  try:
    if hasattr(value, 'detach'):  # PyTorch: graph, device, half precision
      value = value.detach().cpu()
      if value.is_floating_point():
        value = value.float()
    array = np.asarray(value)
  except Exception as error:  # Each library has its own.
    raise UserError(
      f'{name}: it returns {type(value).__name__}, which is no array '
      f'({_reason(error)}); return a NumPy array'
    ) from error
  if array.dtype.kind not in 'fiub' and array.dtype.name != 'bfloat16':
    raise UserError(
      f'{name}: it returns {type(value).__name__}, which is no array of '
      'numbers; return logits [b h w c]'
    )
  return array.astype(np.float32) if array.dtype.name == 'bfloat16' else array
