"""Maps of classes: as planes, resized, and convolved."""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import basic

_TAPS = [(row, column) for row in range(3) for column in range(3)]


def one_hot(
  labels: Integer[Array, 'b h w'], num_classes: int
) -> Float[Array, 'b h w c']:
  """Classes as planes; all zero where the label is void.

  Args:
    labels: trainIds; anything outside 0 .. c - 1 is void.
    num_classes: c.
  """
  classes = jnp.arange(num_classes)
  return (labels[..., None] == classes).astype(jnp.float32)


def resize_floor(
  labels: Integer[Array, 'b h w'], size: tuple[int, int]
) -> Integer[Array, 'b h2 w2']:
  """Nearest neighbour by PyTorch's rule: output i takes floor(i * n / m)."""
  for axis, length in ((1, size[0]), (2, size[1])):
    have = labels.shape[axis]
    if have != length:
      places = jnp.arange(length) * have // length
      labels = jnp.take(labels, places, axis=axis)
  return labels


def convolve(
  labels: Integer[Array, 'b h w'], kernel: Float[Array, '3 3 c k']
) -> Float[Array, 'b h w k']:
  """A 3x3 convolution of `one_hot`, with a border of zeros.

  Of the planes at most one is not zero, so each tap adds one row of the
  kernel. On a CPU it is looked up: a seventh of the convolution's time for 8
  channels, and no planes.

  Args:
    labels: as for `one_hot`, with the kernel's number of classes.
    kernel: of the convolution; gives the result its type.
  """
  if not conv_forms.rewriting():
    return _convolved(labels, kernel)
  return _looked_up(labels, kernel)


def _convolved(labels: Array, kernel: Array) -> Array:
  planes = one_hot(labels, kernel.shape[2]).astype(kernel.dtype)
  return conv_forms.convolve_3x3(planes, kernel)


@jax.custom_vjp
def _looked_up(labels: Array, kernel: Array) -> Array:
  _, height, width = labels.shape
  void = kernel.shape[2]
  labels = labels.astype(jnp.int32)
  labels = jnp.where((labels >= 0) & (labels < void), labels, void)
  labels = jnp.pad(labels, ((0, 0), (1, 1), (1, 1)), constant_values=void)
  # The row of void, and of what lies beyond the border.
  table = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0)))
  # Else the nine loops work all of the above out again, and compile longer.
  labels, table = jax.lax.optimization_barrier(
    (labels, basic.at_least_float32(table))
  )

  def looked_up(tap: tuple[int, int]) -> Array:
    row, column = tap
    seen = labels[:, row : row + height, column : column + width]
    return table[row, column].at[seen].get(mode='promise_in_bounds')

  total = functools.reduce(operator.add, map(looked_up, _TAPS))
  return total.astype(kernel.dtype)


def _forward(labels: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _looked_up(labels, kernel), (labels, kernel)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[None, Array]:
  """By the convolution: a CPU is slow at the scatter that look-ups have."""
  labels, kernel = saved
  _, pull = jax.vjp(lambda kernel: _convolved(labels, kernel), kernel)
  return None, pull(g)[0]


_looked_up.defvjp(_forward, _backward)
