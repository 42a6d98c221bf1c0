"""Depth Anything V2: DINOv2 with a DPT head.

Reference: Yang et al., Depth Anything V2, 2024.
"""

from typing import Any

import jax.numpy as jnp

from segxal_jax.depth.networks import dinov2, dpt
from segxal_jax.depth.networks.network import DepthNetwork

# Channels of the pyramid's maps, and of the fused ones.
_HEADS = {
  'small': ((48, 96, 192, 384), 64),
  'base': ((96, 192, 384, 768), 128),
  'large': ((256, 512, 1024, 1024), 256),
}
ENCODERS = tuple(_HEADS)


def depth_anything(
  encoder: str = 'small',
  *,
  positions: str = 'bicubic_offset',
  max_depth: float | None = None,
  dtype: Any = jnp.float32,
) -> DepthNetwork:
  """Depth Anything V2.

  Args:
    encoder: one of `ENCODERS`.
    positions: how position embeddings reach another grid: 'bicubic_offset'
      as in the authors' code, 'bicubic' as in `transformers`.
    max_depth: of a metric network, in metres (20 for Hypersim, 80 for
      Virtual KITTI); None is the relative network.
    dtype: of the computation.

  Returns:
    The network: images [b h w 3] of multiples of 14, normalised by
    ImageNet's mean and deviation, to [b h w]: inverse depth up to scale and
    shift, or metres if `max_depth` is given.
  """
  channels, features = _HEADS[encoder]
  return DepthNetwork(
    backbone=dinov2.backbone(
      encoder, positions=positions, norm_taps=True, dtype=dtype
    ),
    head=dpt.DPTHead(
      channels=channels,
      features=features,
      follow_skip=True,
      patch=14,
      max_value=max_depth,
      dtype=dtype,
    ),
  )
