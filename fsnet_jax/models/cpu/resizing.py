"""Bilinear resizing: whole factors as shift-and-lerp, others by matmul.

Upsampling by a whole factor needs two neighbours and a weight for each
output, so it is written as such: an elementwise program that every back end
fuses, where a transposed convolution of the same values is slow (on a CPU by
a factor of hundreds if it is grouped).

Logits on their way to the pixels are another matter on a CPU. Nineteen
classes side by side fill vectors badly, in the upsampling and in every softmax
and loss behind it. With `planes` the result is computed by two matrix
products and lies in memory class by class; what is taken over classes
afterwards runs on whole rows of pixels, two to five times as fast together.
"""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms, padding
from fsnet_jax.models.sizes import grid_of

# The functions below that an ONNX writer knows, by name.
ONNX_HALF_PIXEL = 'onnx_resize_half_pixel'
ONNX_ALIGN_CORNERS = 'onnx_resize_align_corners'


def bilinear_transposed(
  x: Float[Array, 'b h w k'],
  factor: int,
  offset: int = 0,
  size: tuple[int, int] | None = None,
  planes: bool = False,
) -> Float[Array, 'b h2 w2 k']:
  """A transposed convolution with the fixed bilinear kernel, exactly.

  The kernel has 2 * factor taps a side, the stride is `factor`, there is no
  padding, and each channel is taken by itself, as in FCN8. Outside the input
  the values are zero, so the outer half cells fade to zero.

  Args:
    x: [b h w k] values.
    factor: a whole number, at least 2, and even.
    offset: rows and columns of the output to drop at its start.
    size: rows and columns of the output to keep; the default keeps all of
      the (n + 1) * factor - offset that there are.
    planes: whether what follows is taken over channels, pixel by pixel.

  Returns:
    [b h2 w2 k], the kept part of the output. Only this part is computed.
  """
  if planes and conv_forms.rewriting():
    sizes = size or [(n + 1) * factor - offset for n in grid_of(x)]
    places = [(np.arange(n) + offset + 0.5) / factor - 1 for n in sizes]
    return _as_planes(x, places)
  for axis in (1, 2):
    full = (x.shape[axis] + 1) * factor - offset
    keep = full if size is None else size[axis - 1]
    x = _lerp(x, axis, factor, offset, keep, 'constant')
  return x


def resize_bilinear(
  x: Float[Array, 'b h w k'], size: tuple[int, int], planes: bool = False
) -> Float[Array, 'b h2 w2 k']:
  """Bilinear resizing with half-pixel centres, edge clamp, no antialiasing.

  The convention of PyTorch's `interpolate(align_corners=False)`.

  Args:
    x: [b h w k] values.
    size: rows and columns of the result.
    planes: whether what follows is taken over channels, pixel by pixel.

  Returns:
    [b h2 w2 k].
  """
  have = grid_of(x)
  whole = all(want % own == 0 for want, own in zip(size, have))
  if conv_forms.writing_onnx() and whole and tuple(size) != have:
    return onnx_resize_half_pixel(x, tuple(size))
  return _resize_bilinear(x, size, planes)


@functools.partial(jax.jit, static_argnums=1)
def onnx_resize_half_pixel(x: Array, size: tuple[int, int]) -> Array:
  """Upsampling by whole factors, as a call that an ONNX writer knows."""
  return _resize_bilinear(x, size, planes=False)


def _resize_bilinear(x: Array, size: tuple[int, int], planes: bool) -> Array:
  if planes and conv_forms.rewriting():
    places = [
      np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
      for have, want in zip(grid_of(x), size)
    ]
    return _as_planes(x, places)
  for axis, length in ((1, size[0]), (2, size[1])):
    have = x.shape[axis]
    if have == length:
      continue
    if length % have == 0 and (length // have) % 2 == 0:
      factor = length // have
      x = _lerp(x, axis, factor, factor // 2, length, 'edge')
    elif have == 2 * length:
      x = _halve(x, axis)
    else:
      shape = x.shape[:axis] + (length,) + x.shape[axis + 1 :]
      x = jax.image.resize(x, shape, 'linear', antialias=False)
  return x


def resize_align_corners(
  x: Float[Array, 'b h w k'], size: tuple[int, int], planes: bool = False
) -> Float[Array, 'b h2 w2 k']:
  """Bilinear resizing that maps corner pixels onto corner pixels.

  The convention of PyTorch's `interpolate(align_corners=True)`: output i
  lies at input i * (n - 1) / (m - 1). DeepLab's logits need it: at stride 8
  cell i is centred at pixel 8 i.

  Args:
    x: [b h w k] values.
    size: rows and columns of the result.
    planes: whether what follows is taken over channels, pixel by pixel.

  Returns:
    [b h2 w2 k]; a matrix product along each axis, in full precision.
  """
  if conv_forms.writing_onnx() and min(grid_of(x)) > 1 and min(size) > 1:
    return onnx_resize_align_corners(x, tuple(size))
  return _resize_align_corners(x, size, planes)


@functools.partial(jax.jit, static_argnums=1)
def onnx_resize_align_corners(x: Array, size: tuple[int, int]) -> Array:
  """The same as a call that an ONNX writer knows."""
  return _resize_align_corners(x, size, planes=False)


def _resize_align_corners(
  x: Array, size: tuple[int, int], planes: bool
) -> Array:
  if planes and conv_forms.rewriting():
    pairs = zip(grid_of(x), size)
    return _as_planes(x, [_corner_places(*pair) for pair in pairs])
  for axis, length in ((1, size[0]), (2, size[1])):
    if x.shape[axis] == length:
      continue
    if x.shape[axis] == 1:
      x = jnp.repeat(x, length, axis)
      continue
    places = _corner_places(x.shape[axis], length)
    weights = jnp.asarray(_weights(places, x.shape[axis]), x.dtype)
    subscripts = 'oh,bhwk->bowk' if axis == 1 else 'ow,bhwk->bhok'
    x = jnp.einsum(subscripts, weights, x, precision=jax.lax.Precision.HIGHEST)
  return x


def _corner_places(have: int, want: int) -> np.ndarray:
  """[want]: where outputs lie among the inputs, corner upon corner."""
  return np.arange(want) * ((have - 1) / max(want - 1, 1))


def _weights(places: np.ndarray, have: int) -> np.ndarray:
  """[want have] weights of each input in outputs at these places.

  Beyond the ends inputs are zero: there, rows sum to less than 1.
  """
  distance = np.abs(places[:, None] - np.arange(have)[None, :])
  return np.maximum(0, 1 - distance)


def _as_planes(x: Array, places: list[np.ndarray]) -> Array:
  """Bilinear values at places (of rows, of columns), channel by channel."""
  rows, columns = (
    jnp.asarray(_weights(at, have), x.dtype)
    for at, have in zip(places, grid_of(x))
  )
  exact = jax.lax.Precision.HIGHEST
  x = jnp.einsum('pw,bhwk->bkhp', columns, x, precision=exact)
  x = jnp.einsum('oh,bkhp->bkop', rows, x, precision=exact)
  return jnp.moveaxis(x, 1, -1)


def _lerp(
  x: Array, axis: int, factor: int, offset: int, size: int, mode: str
) -> Array:
  """Outputs offset .. offset + size of a bilinear upsampling along an axis.

  Output `j * factor + r` lies between inputs j - 1 and j, with the weight
  (r + 1/2) / factor on input j. Inputs beyond the ends are zero or, in mode
  'edge', repeat the end.
  """
  lerp = _lerp_with_gradient if conv_forms.rewriting() else _lerp_forward
  return lerp(x, _Lerp(axis, factor, offset, size, mode, x.shape[axis]))


class _Lerp(NamedTuple):
  """An upsampling along an axis, and the length of what it is of."""

  axis: int
  factor: int
  offset: int
  size: int
  mode: str
  have: int

  @property
  def first(self) -> int:
    """The first input, of the padded ones, that is needed."""
    return self.offset // self.factor

  @property
  def groups(self) -> int:
    """How many pairs of neighbours are interpolated between."""
    return (self.offset + self.size - 1) // self.factor - self.first + 1

  @property
  def start(self) -> int:
    """The first output that is kept of those between the first pair."""
    return self.offset - self.first * self.factor

  @property
  def weights(self) -> np.ndarray:
    """[factor] of the later neighbour."""
    return (np.arange(self.factor) + 0.5) / self.factor


def _lerp_forward(x: Array, lerp: _Lerp) -> Array:
  axis, first, groups = lerp.axis, lerp.first, lerp.groups
  padded = _with_ends(x, axis, lerp.mode)
  before = jax.lax.slice_in_dim(padded, first, first + groups, axis=axis)
  after = jax.lax.slice_in_dim(padded, first + 1, first + 1 + groups, axis=axis)
  shape = [1] * (x.ndim + 1)
  shape[axis + 1] = lerp.factor
  weight = lerp.weights.reshape(shape).astype(x.dtype)
  before = jnp.expand_dims(before, axis + 1)
  after = jnp.expand_dims(after, axis + 1)
  y = before * (1 - weight) + after * weight
  y = y.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
  return jax.lax.slice_in_dim(y, lerp.start, lerp.start + lerp.size, axis=axis)


def _with_ends(x: Array, axis: int, mode: str) -> Array:
  """One more value at both ends of an axis: zero, or in mode 'edge' the end's.

  Not by `jnp.pad`: with 'edge' it takes the first and the last of every axis,
  the batch's too, whose gradient moves images between devices.
  """
  if mode != 'edge':
    pads = [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)]
    return jnp.pad(x, pads)
  first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
  last = jax.lax.slice_in_dim(x, -1, None, axis=axis)
  return jnp.concatenate([first, x, last], axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _lerp_with_gradient(x: Array, lerp: _Lerp) -> Array:
  """With a gradient of its own: XLA:CPU's fuses badly, 30 ms for 1."""
  return _lerp_forward(x, lerp)


def _lerp_saving(x: Array, lerp: _Lerp) -> tuple[Array, None]:
  return _lerp_forward(x, lerp), None


def _lerp_gradient(lerp: _Lerp, _: None, g: Array) -> tuple[Array]:
  """Every output gives its two neighbours their shares back."""
  axis, have, groups, first = lerp.axis, lerp.have, lerp.groups, lerp.first
  factor = lerp.factor
  g = padding.along(
    g, axis, lerp.start, groups * factor - lerp.start - lerp.size
  )
  stop = (groups - 1) * factor + 1
  seen = [
    jax.lax.slice_in_dim(g, r, r + stop, factor, axis=axis)
    for r in range(factor)
  ]
  weights = lerp.weights.tolist()
  before = functools.reduce(
    operator.add, [(1 - w) * part for w, part in zip(weights, seen)]
  )
  after = functools.reduce(
    operator.add, [w * part for w, part in zip(weights, seen)]
  )
  last = first + groups
  total = padding.along(before, axis, first - 1, have + 1 - last)
  total += padding.along(after, axis, first, have - last)
  if lerp.mode == 'edge':
    # What lies beyond the ends repeats them.
    if first == 0:
      end = jax.lax.slice_in_dim(before, 0, 1, axis=axis)
      total += padding.along(end, axis, 0, have - 1)
    if last == have + 1:
      end = jax.lax.slice_in_dim(after, groups - 1, groups, axis=axis)
      total += padding.along(end, axis, have - 1, 0)
  return (total,)


_lerp_with_gradient.defvjp(_lerp_saving, _lerp_gradient)


def _halve(x: Array, axis: int) -> Array:
  """Means of neighbouring pairs: what half-pixel bilinear gives at 1/2."""
  pairs = (*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
  return x.reshape(pairs).mean(axis + 1)
