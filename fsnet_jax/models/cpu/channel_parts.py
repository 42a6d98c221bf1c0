"""A convolution whose input has a few channels behind many."""

from collections.abc import Callable

from jax import lax
from jaxtyping import Array, Float

from fsnet_jax.models.cpu.conv_choice import PART, Geometry


def convolve(
  x: Float[Array, 'b h w k'],
  kernel: Float[Array, 'r t k k2'],
  geometry: Geometry,
  own: Callable[..., Array],
) -> Float[Array, 'b h2 w2 k2']:
  """The sum of two: of whole vectors of channels, and of the few behind them.

  They came side by side, and need not be laid so if none reads them so.

  Args:
    x: of `PART` channels or more, and a few.
    kernel: of the convolution.
    geometry: of the convolution.
    own: a convolution, called as `lax.conv_general_dilated`.

  Returns:
    What the plain convolution gives, up to rounding; it is the plain one in
    half precision, where each of the two would be rounded.
  """
  whole = kernel.shape[2] // PART * PART
  if x.dtype.itemsize < 4:
    return _by(lax.conv_general_dilated, x, kernel, geometry)
  many = _by(own, x[..., :whole], kernel[:, :, :whole], geometry)
  return many + _by(own, x[..., whole:], kernel[:, :, whole:], geometry)


def _by(
  convolution: Callable[..., Array],
  x: Array,
  kernel: Array,
  geometry: Geometry,
) -> Array:
  return convolution(
    x,
    kernel,
    geometry.strides,
    geometry.pads,
    rhs_dilation=geometry.dilation,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
