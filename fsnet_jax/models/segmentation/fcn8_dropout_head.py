"""FCN8's head on the channels alone that dropout keeps.

Of a layer between two dropouts of whole channels, only the kept inputs and
the kept outputs matter: at a rate of one half, a quarter of its products. The
channels are drawn anew for each pass, so their part of the kernel has to be
picked out, which pays on a CPU where the layer sees many places.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import basic

#: With fewer places than this, picking the kernel's part out takes longer
#: than all of its products.
FEWEST_PLACES = 64


def slots_for(channels: int, kept: float) -> int:
  """How many channels a dropout keeps at most.

  Eight standard deviations above the mean: more are kept once in 10^15 draws.
  """
  deviation = math.sqrt(channels * kept * (1 - kept))
  return min(channels, math.ceil(channels * kept + 8 * deviation))


def kept_channels(
  masks: Float[Array, 'b k'], slots: int
) -> tuple[Array, Array]:
  """Places of the channels that dropout keeps, and their factors.

  Args:
    masks: 0 where a channel is dropped, the factor of those that are not.
    slots: channels to return.

  Returns:
    int32 [b s] and [b s]; the factor is 0 where no further channel is kept.
  """
  kept = masks > 0
  channels = jnp.argsort(~kept, axis=1)[:, :slots]  # stable: kept ones first
  return channels, jnp.take_along_axis(masks, channels, axis=1)


def kept_scores(
  fc7: Any,
  last: Any,
  fc6: Float[Array, 'h w k'],
  kept6: tuple[Array, Array],
  kept7: tuple[Array, Array],
) -> Float[Array, 'h w c']:
  """The head of one image on the channels that are kept.

  Args:
    fc7: parameters of the layer between the two dropouts.
    last: of the one after them.
    fc6: features before the first dropout.
    kept6: of the first dropout, channels and factors.
    kept7: of the second.
  """
  (places6, factors6), (places7, factors7) = kept6, kept7
  kernel = fc7['kernel'][0, 0].at[places6[:, None], places7[None]]
  inside = kernel.get(mode='promise_in_bounds').astype(fc6.dtype)
  x = (fc6[..., places6] * factors6) @ inside
  x = nn.relu(x + fc7['bias'][places7]) * factors7
  scores = x @ last['kernel'][0, 0][places7] + last['bias']
  return basic.at_least_float32(scores)
