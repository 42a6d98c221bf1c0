"""Monitors whose latencies are compared: FCN8 without F, with it, or light."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from fsnet_jax.models.failure import pixel_grid
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.failure.pixel_inference import centred, corrections
from fsnet_jax.models.failure.pixel_maps import pixel_maps
from fsnet_jax.models.failure.pixel_net import PixelFailureNet
from fsnet_jax.models.segmentation.fcn8 import FCN8

_CLASSES = 19
_CENTRING = 0.5
_PIXEL = 'pixel'
#: Those with a peer in PyTorch, and how many blocks a stage of F's encoders
#: has: the default's, and the paper's ResNet18. 0: there is no F.
BLOCKS = {'S': 0, 'S + F': 1, "S + the paper's F": 2}


class Light(nn.Module):
  """`failure.preset='light'`: one pass of S, every second row and column."""

  @nn.compact
  def __call__(self, images: Array, logits: Array, features: Array) -> Array:
    """Log-odds [b h w] that a class is wrong."""
    del features
    maps = pixel_maps(images, logits, stride=pixel_grid.STRIDE)
    if self.is_initializing():
      found = PixelFailureNet(_CLASSES, name=_PIXEL)(maps)
    else:
      own = {kind: tree[_PIXEL] for kind, tree in self.variables.items()}
      # As a monitor runs it.
      found = corrections(PixelFailureNet(_CLASSES, parent=None), own, maps)
    valid = jnp.ones(maps.first.shape)
    own = centred(found, maps.first, valid, _CLASSES, _CENTRING)
    first = jnp.argmax(logits, axis=-1)
    return miss_logit(logits) + pixel_grid.carried(own, first)


def networks(
  width: float, dtype: Any = jnp.float32
) -> tuple[FCN8, dict[str, Any]]:
  """S, and F by the name of the monitor; None for S alone.

  Args:
    width: of both networks.
    dtype: of the computation.
  """
  s = FCN8(width=width, padding='same', input_scale=1 / 64, dtype=dtype)
  forms = {
    'S': None,
    **{
      form: FailureNet(width=width, decoder='skips', blocks=blocks, dtype=dtype)
      for form, blocks in BLOCKS.items()
      if blocks
    },
    'S + light F': Light(),
  }
  return s, forms
