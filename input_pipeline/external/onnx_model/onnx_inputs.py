"""What the one input of an ONNX file takes."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline.external.description import PLAIN, Description

_TYPES = {
  'tensor(float)': np.float32,
  'tensor(float16)': np.float16,
  'tensor(double)': np.float64,
  'tensor(uint8)': np.uint8,
}


@dataclasses.dataclass(frozen=True)
class InputShape:
  """The input of a network.

  Attributes:
    name: of the tensor.
    dtype: that it has.
    channels_first: whether it is [b 3 h w].
    batch: how many images it takes at once, 0 = any number.
    size: height and width, or None where they are free.
  """

  name: str
  dtype: Any
  channels_first: bool
  batch: int
  size: tuple[int, int] | None


def input_shape(
  session: Any, described: Description, path: pathlib.Path
) -> InputShape:
  """Reads the input of a network and compares it with its description.

  Args:
    session: an `onnxruntime.InferenceSession`.
    described: by `model.json`.
    path: of the file, for the message.

  Raises:
    UserError: it is no input of one image batch, or another than described.
  """
  inputs = session.get_inputs()
  if len(inputs) != 1:
    names = ', '.join(quoted(one.name, 40) for one in inputs) or 'none'
    raise UserError(
      f'{path}: it has {len(inputs)} inputs ({names}), not one; export it with '
      'the images as its only input'
    )
  one = inputs[0]
  shape = list(one.shape)
  shown = ' '.join(quoted(side, 20) for side in shape)
  layout = _layout(shape, described.input.layout)
  if layout is None:
    raise UserError(
      f'{path}: its input {quoted(one.name, 40)!r} is [{shown}], not '
      '[images 3 height width] or [images height width 3]; export it for such '
      f'images, or correct input.layout in {described.path}'
    )
  if layout == 'unknown':
    raise UserError(
      f'{path}: its input {quoted(one.name, 40)!r} is [{shown}], which does '
      f'not say where colours are; give input.layout in {described.path}'
    )
  is_first = layout == 'NCHW'
  height, width = shape[2:] if is_first else shape[1:3]
  size = _fixed_size(height, width, described, path)
  return InputShape(
    name=one.name,
    dtype=_dtype(one, described, path),
    channels_first=is_first,
    batch=shape[0] if _is_fixed(shape[0]) else 0,
    size=size,
  )


def _is_fixed(side: Any) -> bool:
  return isinstance(side, int) and side > 0


def _layout(shape: list[Any], layout: str) -> str | None:
  """'NCHW' or 'NHWC', 'unknown', or None where neither is possible."""
  if len(shape) != 4:
    return None
  axes = {'NCHW': shape[1], 'NHWC': shape[3]}
  sure = [name for name, side in axes.items() if side == 3]
  if not layout:
    free = not any(_is_fixed(side) for side in axes.values())
    return sure[0] if len(sure) == 1 else 'unknown' if sure or free else None
  possible = layout in sure or not (sure or _is_fixed(axes[layout]))
  return layout if possible else None


def _fixed_size(
  height: Any, width: Any, described: Description, path: pathlib.Path
) -> tuple[int, int] | None:
  """The only size that a network takes."""
  asked = described.input.size
  for side, name, index in ((height, 'height', 0), (width, 'width', 1)):
    if asked and _is_fixed(side) and asked[index] != side:
      raise UserError(
        f'{described.path}: input.size is {list(asked)}, but {path.name} takes '
        f'a {name} of {side} alone; give that, or export it with free sizes'
      )
  if _is_fixed(height) and _is_fixed(width):
    return height, width
  return None


def _dtype(one: Any, described: Description, path: pathlib.Path) -> Any:
  if one.type not in _TYPES:
    raise UserError(
      f'{path}: its input is of type {quoted(one.type, 40)}; export it with an '
      'input of float32, float16 or uint8'
    )
  dtype = _TYPES[one.type]
  how = described.input
  plain = (how.scale, how.mean, how.std) == (PLAIN.scale, PLAIN.mean, PLAIN.std)
  if dtype == np.uint8 and described.input_given and not plain:
    raise UserError(
      f'{path}: its input is whole numbers (uint8), which cannot be scaled; '
      f'give "scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1] in '
      f'{described.path}'
    )
  return dtype
