"""Where the backward passes of Grad-CAM begin.

A target sums, over some pixels, the logit of one class each. Where the logits
are one convolution W of features F (U-Net's `score`), its gradient with
respect to F is a sum of kernel columns,

  dy / dF(p) = sum_tap W[tap, :, class of pixel p - tap],

which costs a look-up for each tap; the convolution's own gradient multiplies
W by a one-hot image of all classes. Where the logits are made in another way,
the one-hot image is where the backward pass begins.
"""

import dataclasses
import functools
import operator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True)
class Head:
  """The convolution that makes the logits, in one forward pass.

  Attributes:
    features: [b h w k] what it is applied to.
    kernel: [kh kw k c].
  """

  features: Any
  kernel: Any


class Finder:
  """Records the convolutions of a forward pass, and finds the head.

  To be shown every module call, innermost first.
  """

  def __init__(self):
    self._output: Any = None
    self._head: Head | None = None

  def see(self, context: Any, args: tuple[Any, ...], output: Any) -> None:
    """A module call as `nn.intercept_methods` gives it."""
    module = context.module
    if not isinstance(module, nn.Conv) or context.method_name != '__call__':
      return
    self._output, self._head = output, None
    if _plain(module) and args and args[0].ndim == output.ndim == 4:
      kernel = module.get_variable('params', 'kernel')
      self._head = Head(args[0], kernel)

  def head(self, logits: Any) -> Head | None:
    """The head, if the last convolution's very output is the logits.

    None where anything comes in between (an enlargement, a cast), or where
    the convolution strides, dilates, groups or changes the size.
    """
    return self._head if logits is self._output else None


def _plain(module: nn.Conv) -> bool:
  """Whether it keeps the size, with taps at a distance of 1."""

  def ones(value: Any) -> bool:
    return value is None or set(jax.tree.leaves(value)) <= {1}

  size = tuple(jax.tree.leaves(module.kernel_size))
  same = tuple(((n - 1) // 2, (n - 1) // 2) for n in size)
  padding = module.padding
  if not isinstance(padding, str):
    padding = jax.tree.leaves(padding)
    same = jax.tree.leaves(same)
  centred = padding in ('SAME', same)
  odd = len(size) == 2 and all(n % 2 for n in size)
  apart = (module.strides, module.kernel_dilation, module.input_dilation)
  return (
    odd
    and centred
    and all(ones(value) for value in apart)
    and module.feature_group_count == 1
    and module.mask is None
  )


def predicted_seed(
  kernel: Float[Array, 'kh kw k c'], winner: Int[Array, 'b h w']
) -> Float[Array, 'b h w k']:
  """Gradient, with respect to F, of the summed logits of each pixel's class.

  Args:
    kernel: of the head.
    winner: class of each pixel; c where a pixel does not count.

  Returns:
    float32.
  """
  classes = kernel.shape[-1]
  table = jnp.moveaxis(kernel.astype(jnp.float32), -1, 2)
  # The last row is that of pixels that do not count, or lie outside.
  table = jnp.pad(table, ((0, 0), (0, 0), (0, 1), (0, 0)))
  parts = (
    jnp.take(table[tap], seen, axis=0, mode='clip')
    for tap, seen in _shifted(kernel, winner, classes)
  )
  return functools.reduce(operator.add, parts)


def class_seed(
  kernel: Float[Array, 'kh kw k c'], winner: Int[Array, 'b h w'], index: Any
) -> Float[Array, 'b h w k']:
  """As `predicted_seed`, for the pixels of one class alone.

  Args:
    kernel: of the head.
    winner: class of each pixel; c where a pixel does not count.
    index: int, the class.

  Returns:
    float32.
  """
  column = jnp.take(kernel.astype(jnp.float32), index, axis=-1)
  hits = (winner == index).astype(jnp.float32)
  parts = (
    seen[..., None] * column[tap] for tap, seen in _shifted(kernel, hits, 0)
  )
  return functools.reduce(operator.add, parts)


def _shifted(kernel: Array, pixels: Array, outside: Any):
  """For each tap of the kernel, the outputs [b h w] that it feeds."""
  rows, columns = kernel.shape[:2]
  height, width = pixels.shape[1:]
  reach = ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2)
  padded = jnp.pad(pixels, reach, constant_values=outside)
  for i in range(rows):
    for j in range(columns):
      top, left = rows - 1 - i, columns - 1 - j
      seen = padded[:, top : top + height, left : left + width]
      yield (i, j), seen
