"""DINOv2 backbones, alone and with their depth heads.

Reference: Oquab et al., DINOv2, 2024.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp

from segxal_jax.depth.networks import dpt, vit
from segxal_jax.depth.networks.network import DepthNetwork


@dataclasses.dataclass(frozen=True)
class Size:
  """The numbers of a backbone.

  Attributes:
    width: channels of the tokens.
    depth: number of blocks.
    heads: of the attention.
    taps: blocks that the depth heads read.
    gated: whether the feed-forward parts are SwiGLU.
  """

  width: int
  depth: int
  heads: int
  taps: tuple[int, int, int, int]
  gated: bool = False


SIZES = {
  'small': Size(384, 12, 6, (2, 5, 8, 11)),
  'base': Size(768, 12, 12, (2, 5, 8, 11)),
  'large': Size(1024, 24, 16, (4, 11, 17, 23)),
  'giant': Size(1536, 40, 24, (9, 19, 29, 39), gated=True),
}


def backbone(
  encoder: str,
  *,
  positions: str = 'bicubic_offset',
  norm_taps: bool = False,
  last_only: bool = False,
  dtype: Any = jnp.float32,
) -> vit.ViT:
  """A DINOv2 backbone without registers.

  Args:
    encoder: a key of `SIZES`.
    positions: 'bicubic_offset' as in the authors' code, 'bicubic' as in
      `transformers`.
    norm_taps: whether the final norm is applied to every tap.
    last_only: whether only the last block is read, not four.
    dtype: of the computation.

  Returns:
    The backbone, for images of multiples of 14.
  """
  size = SIZES[encoder]
  return vit.ViT(
    width=size.width,
    depth=size.depth,
    heads=size.heads,
    taps=size.taps[-1:] if last_only else size.taps,
    gated=size.gated,
    positions=positions,
    norm_taps=norm_taps,
    dtype=dtype,
  )


def dinov2_dpt(
  encoder: str = 'small',
  *,
  positions: str = 'bicubic_offset',
  dtype: Any = jnp.float32,
) -> DepthNetwork:
  """DINOv2 with its DPT head.

  Args:
    encoder: a key of `SIZES`.
    positions: as for `backbone`.
    dtype: of the computation.

  Returns:
    The network: images [b h w 3] of multiples of 14, normalised by
    ImageNet's mean and deviation, to depth [b 16h/14 16w/14] in metres less
    the head's smallest depth (0.001), which is to be added.
  """
  width = SIZES[encoder].width
  return DepthNetwork(
    backbone=backbone(encoder, positions=positions, dtype=dtype),
    head=dpt.DPTHead(
      channels=(width // 8, width // 4, width // 2, width),
      features=256,
      readout=True,
      unit_bias=False,
      projection=True,
      dtype=dtype,
    ),
  )


def dinov2_linear(
  encoder: str = 'small',
  *,
  layers: int = 4,
  positions: str = 'bicubic_offset',
  min_depth: float = 0.001,
  max_depth: float = 80.0,
  dtype: Any = jnp.float32,
) -> DepthNetwork:
  """DINOv2 with its linear head.

  Args:
    encoder: a key of `SIZES`.
    layers: blocks that the head reads: 4, or 1, the last.
    positions: as for `backbone`.
    min_depth: smallest depth, in metres.
    max_depth: largest depth, in metres.
    dtype: of the computation.

  Returns:
    The network: images [b h w 3] of multiples of 14, normalised by
    ImageNet's mean and deviation, to depth [b 4h/14 4w/14] in metres.

  Raises:
    ValueError: `layers` is neither 1 nor 4.
  """
  if layers not in (1, 4):
    raise ValueError(f'A linear head reads 1 or 4 layers, not {layers}.')
  return DepthNetwork(
    backbone=backbone(
      encoder, positions=positions, last_only=layers == 1, dtype=dtype
    ),
    head=dpt.LinearHead(min_depth, max_depth, dtype=dtype),
  )
