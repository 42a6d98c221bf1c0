"""Which form of a convolution measured fastest on a CPU, by its shapes."""

import dataclasses
from collections.abc import Sequence

from fsnet_jax.models.cpu import column_folding


@dataclasses.dataclass(frozen=True)
class Geometry:
  """The static part of a two-dimensional convolution.

  Attributes:
    strides: of the output grid, (rows, columns).
    pads: zeros added (before, after) for rows and for columns.
    dilation: distance between kernel taps, (rows, columns).
  """

  strides: tuple[int, int]
  pads: tuple[tuple[int, int], tuple[int, int]]
  dilation: tuple[int, int]


# Of a 3x3 kernel: keeps the size.
_SAME = Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
# Whole vectors of channels.
PART = 32
# Of a 7x7 kernel: ResNet's first layer.
_STEM = Geometry((2, 2), ((3, 3), (3, 3)), (1, 1))


@dataclasses.dataclass(frozen=True)
class Forms:
  """How to write a convolution and its two gradients.

  Attributes:
    forward: 'plain', 'evened' (the same with channels of zeros, as many as the
      back end reads well: `column_folding.evened`), 'parted' (whole vectors of
      channels and the rest, each by itself), 'patches' (what each output sees
      is gathered, then one matrix product) or 'winograd' (of a 3x3 kernel that
      keeps the size with unit strides: fewer products, see `winograd`).
    input_gradient: 'plain', 'taps' (a matrix product for each kernel tap),
      'flipped' (a convolution of the output's gradient with the flipped,
      transposed kernel) or 'winograd' (the same, written so).
    kernel_gradient: 'plain', 'taps', 'patches', 'bands' (a few rows of the
      image at a time), 'rows' (one at a time, all taps in one product) or
      'swapped' (with input and output exchanged), these three for unit strides.
    columns: how many neighbouring columns a 'plain' convolution computes as
      one (`column_folding`).
    gradient_columns: the same of a 'flipped' input gradient; only for `_SAME`
      and a 3x3 kernel.
  """

  forward: str = 'plain'
  input_gradient: str = 'plain'
  kernel_gradient: str = 'plain'
  columns: int = 1
  gradient_columns: int = 1


def choose(
  kernel_shape: Sequence[int],
  geometry: Geometry,
  input_size: Sequence[int],
) -> Forms:
  """The forms that measured fastest on a CPU for a layer's shapes.

  A kernel with more rows or columns than the input (a deep layer on a small
  image) falls off XLA's fast path: 3x3 on 2x4 cells took ten times as long as
  matrix products, forwards and back. Patches take as long as a product for
  each tap, and compile in a tenth of a second instead of four. They must not
  be many: a 7x7 kernel on 22 channels of a whole image took ten times as long
  in that form.

  Args:
    kernel_shape: (rows, columns, in, out).
    geometry: strides, padding, dilation.
    input_size: (rows, columns) of the input without padding.

  Returns:
    One form for the convolution and for each gradient.
  """
  rows, columns, inputs, outputs = kernel_shape
  if rows > input_size[0] or columns > input_size[1] or rows == columns == 1:
    return Forms('patches', 'taps', 'patches')
  unit = tuple(geometry.strides) == (1, 1)
  fold = gradient_fold = 1
  width = -(-input_size[1] // geometry.strides[1])
  if ((rows, columns), geometry) in (((3, 3), _SAME), ((7, 7), _STEM)):
    fold = column_folding.columns_to_fold(inputs, outputs, width)
  if (rows, columns) == (3, 3) and geometry == _SAME:
    gradient_fold = column_folding.columns_to_fold(outputs, inputs, width)
  if inputs <= 4:
    return Forms(columns=fold)
  if max(rows, columns) >= 5:
    if inputs < 64:
      return Forms(columns=fold)
    # FCN8's fc6 and its like; with fewer channels the plain form wins.
    return Forms('patches', 'taps', 'patches' if inputs >= 256 else 'plain')
  cells = input_size[0] * input_size[1]
  wide = min(inputs, outputs) >= 48 and cells >= 512
  # Or an image so large that the plain form falls out of the cache.
  wide = wide or (inputs + outputs >= 64 and cells >= 32_768)
  if unit and wide:
    # A fifth to two thirds of the plain form's time, least on large images.
    kernel_gradient = 'bands'
  elif max(inputs, outputs) > 128:
    kernel_gradient = 'taps'
  elif unit and inputs >= 32 and outputs >= 16 and cells >= 2048:
    # Half the time of the better of the next two, and more.
    kernel_gradient = 'rows'
  elif unit and _swap(inputs, outputs):
    kernel_gradient = 'swapped'
  else:
    kernel_gradient = 'plain'
  if _winograd(kernel_shape, geometry, cells):
    return Forms('winograd', 'winograd', kernel_gradient)
  input_gradient = 'flipped' if unit else 'plain'
  forward = _forward(inputs, outputs, cells) if fold == 1 else 'plain'
  return Forms(forward, input_gradient, kernel_gradient, fold, gradient_fold)


def _forward(inputs: int, outputs: int, cells: int) -> str:
  """Of layers that are neither folded nor Winograd's.

  A few channels behind many came beside them, as F's inputs in its decoder:
  by themselves they take three quarters of the time, and what lays them side
  by side is saved. Even numbers read well, and may be sums of any two.
  """
  few = inputs > PART and inputs % PART < 8 and inputs % 2 == 1
  if few and outputs <= 48 and cells >= 8192:
    return 'parted'
  return 'evened' if _even(inputs, outputs) else 'plain'


def _even(inputs: int, outputs: int) -> bool:
  """Whether channels of zeros on the input are worth their copy.

  A third to four fifths of the plain form's time: 39 to 16 channels at 256x512
  took 23 ms and take 17 with a 40th. More than that for many outputs, whose
  products outlast the reading, and for even numbers of channels.
  """
  if inputs % 2 == 0:
    return inputs % 4 == 2 and inputs <= 64 and outputs <= 16
  few = 9 <= inputs <= 11
  return inputs <= 64 and (17 if few else 1) <= outputs <= 48


def _winograd(
  kernel_shape: Sequence[int], geometry: Geometry, cells: int
) -> bool:
  """Whether fewer products are worth the sums around them.

  Two thirds to nine tenths of the plain form's time. Narrower layers spend what
  they save on the sums, on large images more of it; on small ones it is spent
  on the kernel's.
  """
  inputs, outputs = kernel_shape[2:]
  taps = geometry.dilation
  same = Geometry((1, 1), ((taps[0],) * 2, (taps[1],) * 2), taps)
  return (
    tuple(kernel_shape[:2]) == (3, 3)
    and geometry == same
    and cells >= 256
    and min(inputs, outputs) >= 128
    and (cells <= 4096 or inputs + outputs >= 384)
  )


def _swap(inputs: int, outputs: int) -> bool:
  """Whether a kernel's gradient is faster with input and output exchanged.

  What stands for the output had better fill vectors: 16 to 19 channels take
  20 ms as they are and 7 exchanged, 24 to 16 take 9 and 20. Where both or
  neither do, it is the one with more channels.
  """

  def fills(channels: int) -> bool:
    return channels <= 16 or channels % 16 == 0

  if fills(inputs) != fills(outputs):
    return fills(inputs)
  return inputs > outputs
