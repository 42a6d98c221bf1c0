"""A convolution's matrix products alone, their operands lying ready.

All of XLA's products on a CPU are one library's. A form of a convolution that
writes the patches of a whole batch and multiplies them takes as long as these
and then some; where these take longer than PyTorch does for the whole, it is
not to be had that way, and what goes by rows or bands in the cache has to be
faster than they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Call = Callable[[], Array]
#: Of a part, the orders in which its operands may lie. p: pixels, k: inputs of
#: all taps of the kernel, o: outputs; what both have is summed over.
_ORDERS = {
  'forward': (('pk', 'ko'), ('kp', 'ko'), ('pk', 'ok')),
  'input gradient': (('po', 'ok'), ('op', 'ok'), ('po', 'ko')),
  'kernel gradient': (('pk', 'po'), ('kp', 'po'), ('kp', 'op'), ('pk', 'op')),
}


def calls(part: str, pixels: int, inputs: int, outputs: int) -> list[Call]:
  """Functions that each compute the part's products and wait for them.

  Args:
    part: `forward`, `input gradient` or `kernel gradient`.
    pixels: of the output, of all images.
    inputs: channels that reach an output, of all taps of the kernel.
    outputs: channels.

  Returns:
    One for each order of the operands, of the same random numbers.
  """
  size = {'p': pixels, 'k': inputs, 'o': outputs}
  return [_call(one, size) for one in _ORDERS[part]]


def _call(orders: tuple[str, str], size: dict[str, int]) -> Call:
  """The product of operands that lie in these orders."""
  both = ''.join(orders)
  left = ''.join(axis for axis in both if both.count(axis) < 2)
  rng = np.random.default_rng(0)
  given = [_operand(axes, size, rng) for axes in orders]
  run = jax.jit(functools.partial(jnp.einsum, f'{",".join(orders)}->{left}'))
  return lambda: run(*given).block_until_ready()


def _operand(
  axes: str, size: dict[str, int], rng: np.random.Generator
) -> Array:
  """Random numbers, the same whatever the order of their axes."""
  by_name = sorted(axes)
  drawn = rng.standard_normal([size[axis] for axis in by_name], np.float32)
  ordered = drawn.transpose([by_name.index(axis) for axis in axes])
  return jax.device_put(np.ascontiguousarray(ordered))
