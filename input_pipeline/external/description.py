"""`model.json`: what a network takes and what its outputs mean.

  {"input": {"layout": "NCHW", "color": "RGB", "scale": 255.0,
             "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
             "size": null},
   "outputs": {"logits": "logits", "features": null, "classes": null},
   "classes": null}

A network gets (image / scale - mean) / std, image being 0..255, channels in
the order of `color`, in which `mean` and `std` are, too. `layout` and `size`
may be left out: the file says what it takes. `size` is the height and width
that images are resized to; null = as they are.

`outputs.logits` may be left out where one output can be the logits.
`outputs.features` is a tensor's name or a list of them. `outputs.classes` lists
for each class the channel of the logits that means it, or a list of channels
that are added up; channels that nobody names (void) are left out. `classes` is
the network's own class table, a file beside `model.json`; null = that of the
data.

Without "input" the most frequent case is assumed, which is the one above, and
said so; `--mode=check` shows whether it is right.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import pathlib
from collections.abc import Collection
from typing import Any, NoReturn

from common_lib import class_table_file
from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted

FILE = 'model.json'
LAYOUTS = ('NCHW', 'NHWC')
COLORS = ('RGB', 'BGR')
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_FIX = 'write it as docs/guide/your_network.md shows'
_LARGEST_SIDE = 1 << 15
_MOST_CHANNELS = 1 << 12
Numbers = tuple[float, float, float]
Channels = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class InputFormat:
  """How an image becomes a network's input.

  Attributes:
    layout: of `LAYOUTS`, or '' = as the file says.
    color: of `COLORS`.
    scale: that the image, 0..255, is divided by, first.
    mean: that is subtracted then, of each channel in the order of `color`.
    std: that it is divided by then.
    size: height and width of the input, or None = the image's.
  """

  layout: str = ''
  color: str = 'RGB'
  scale: float = 255.0
  mean: Numbers = IMAGENET_MEAN
  std: Numbers = IMAGENET_STD
  size: tuple[int, int] | None = None


# 0..255, as they are in a file.
PLAIN = InputFormat(scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@dataclasses.dataclass(frozen=True)
class Description:
  """What `model.json` says.

  Attributes:
    path: of the file, whether it is there or not.
    input: how images are prepared.
    input_given: whether the file says so, or `input` is an assumption.
    logits: name of the tensor; '' = the only one that it can be.
    features: names of tensors, none, one or several.
    channels: of each class of the network; empty = in their order.
    classes: the network's own, or None = those of the data.
  """

  path: pathlib.Path
  input: InputFormat = InputFormat()
  input_given: bool = False
  logits: str = ''
  features: tuple[str, ...] = ()
  channels: Channels = ()
  classes: ClassTable | None = None


def read(folder: pathlib.Path) -> Description:
  """Reads the `model.json` of a folder, if it has one.

  Args:
    folder: where the network is.

  Raises:
    UserError: it is damaged, or an entry is not what it should be; the
      sentence names the entry and what to write.
  """
  path = folder / FILE
  if not path.exists():
    return Description(path)
  value = read_json_object(path, what="a network's description", fix=_FIX)
  _check_keys(value, ('input', 'outputs', 'classes'), '', path)
  outputs = _part(value, 'outputs', path)
  _check_keys(outputs, ('logits', 'features', 'classes'), 'outputs.', path)
  given = value.get('input') is not None
  return Description(
    path=path,
    input=_input(_part(value, 'input', path), path) if given else InputFormat(),
    input_given=given,
    logits=_name(outputs.get('logits', None), 'outputs.logits', path),
    features=_features(outputs.get('features'), path),
    channels=_channels(outputs.get('classes'), path),
    classes=_classes(value.get('classes'), path),
  )


def _input(value: dict[str, Any], path: pathlib.Path) -> InputFormat:
  """`input`, of which nothing that changes numbers is assumed."""
  required = {
    'color': '"RGB" or "BGR"',
    'scale': '255 for a network that takes 0 to 1, 1 for one that takes 0..255',
    'mean': '[0, 0, 0] if nothing is subtracted',
    'std': '[1, 1, 1] if nothing is divided by',
  }
  _check_keys(value, (*required, 'layout', 'size'), 'input.', path)
  for name, help_text in required.items():
    if name not in value:
      raise UserError(f'{path}: input.{name} is missing; give {help_text}')
  color = _choice(value['color'], COLORS, 'input.color', path)
  layout = value.get('layout')
  if layout is not None:
    layout = _choice(layout, LAYOUTS, 'input.layout', path)
  std = _three(value['std'], 'std', path)
  if min(std) <= 0:
    _refuse(path, 'input.std', 'holds a number that is not above 0')
  scale = value['scale']
  if not _is_number(scale) or scale <= 0:
    _refuse(path, 'input.scale', f'is {_shown(scale)}, no number above 0')
  return InputFormat(
    layout=layout or '',
    color=color,
    scale=float(scale),
    mean=_three(value['mean'], 'mean', path),
    std=std,
    size=_size(value.get('size'), path),
  )


def _refuse(path: pathlib.Path, entry: str, problem: str) -> NoReturn:
  raise UserError(f'{path}: {entry} {problem}; {_FIX}')


def _shown(value: Any) -> str:
  return quoted(repr(value) if isinstance(value, str) else value, 60)


def _check_keys(
  value: dict[str, Any], known: Collection[str], at: str, path: pathlib.Path
) -> None:
  """Raises UserError for a key that nobody reads."""
  for key in value:
    if key not in known:
      close = difflib.get_close_matches(key.lower(), known, n=1)
      fix = f'write {at}{close[0]}' if close else f'use {", ".join(known)}'
      raise UserError(f'{path}: {at}{quoted(key, 60)} is not known; {fix}')


def _part(
  value: dict[str, Any], name: str, path: pathlib.Path
) -> dict[str, Any]:
  part = value.get(name)
  if part is None:
    return {}
  if not isinstance(part, dict):
    _refuse(path, name, f'is {_shown(part)}, no object')
  return part


def _choice(
  value: Any, known: tuple[str, ...], entry: str, path: pathlib.Path
) -> str:
  if not isinstance(value, str) or value not in known:
    choices = ' or '.join(f'"{one}"' for one in known)
    raise UserError(f'{path}: {entry} is {_shown(value)}; give {choices}')
  return value


def _is_number(value: Any) -> bool:
  # A whole number of 400 digits is no float.
  known = isinstance(value, (int, float)) and not isinstance(value, bool)
  return known and abs(value) < 1e30 and math.isfinite(value)


def _three(value: Any, name: str, path: pathlib.Path) -> Numbers:
  """One number for each colour."""
  fine = isinstance(value, list) and len(value) == 3
  if not fine or not all(_is_number(one) for one in value):
    _refuse(
      path,
      f'input.{name}',
      f'is {_shown(value)}, not three numbers, one for each colour in the '
      'order of input.color',
    )
  first, second, third = value
  return float(first), float(second), float(third)


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
  known = isinstance(value, int) and not isinstance(value, bool)
  return known and lowest <= value <= highest


def _size(value: Any, path: pathlib.Path) -> tuple[int, int] | None:
  if value is None:
    return None
  fine = isinstance(value, list) and len(value) == 2
  if not fine or not all(_is_whole(one, 1, _LARGEST_SIDE) for one in value):
    _refuse(
      path,
      'input.size',
      f'is {_shown(value)}, neither null nor [height, width] in pixels',
    )
  height, width = value
  return height, width


def _name(value: Any, entry: str, path: pathlib.Path) -> str:
  if value is None:
    return ''
  if not isinstance(value, str) or not 0 < len(value) <= 1000:
    _refuse(path, entry, f"is {_shown(value)}, no tensor's name")
  return value


def _features(value: Any, path: pathlib.Path) -> tuple[str, ...]:
  names = value if isinstance(value, list) else [value]
  found = tuple(_name(name, 'outputs.features', path) for name in names)
  once = all(found) and len(set(found)) == len(found)
  if isinstance(value, list) and not once:
    _refuse(path, 'outputs.features', "lists a tensor's name twice, or null")
  return tuple(name for name in found if name)


def _channels(value: Any, path: pathlib.Path) -> Channels:
  """`outputs.classes`."""
  if value is None:
    return ()
  fix = (
    'lists for each class a channel of the logits, or a list of channels that '
    'are added up, like [0, 1, [2, 3]], each channel once'
  )
  if not isinstance(value, list) or not value:
    raise UserError(f'{path}: outputs.classes is {_shown(value)}; it {fix}')
  found = tuple(
    tuple(own) if isinstance(own, list) else (own,) for own in value
  )
  channels = [channel for own in found for channel in own]
  for channel in channels:
    if not _is_whole(channel, 0, _MOST_CHANNELS):
      raise UserError(
        f'{path}: outputs.classes holds {_shown(channel)}; it {fix}'
      )
  if len(set(channels)) < len(channels) or not all(found):
    raise UserError(
      f'{path}: outputs.classes names a channel twice, or none for a class; '
      f'it {fix}'
    )
  return found


def _classes(value: Any, path: pathlib.Path) -> ClassTable | None:
  if value is None:
    return None
  if not isinstance(value, str) or not value or '\0' in value:
    _refuse(path, 'classes', f'is {_shown(value)}, no name of a file')
  return class_table_file.read(path.parent / value)
