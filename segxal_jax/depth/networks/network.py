"""A backbone read at several depths, and a head that makes a map of it."""

import flax.linen as nn
from jaxtyping import Array, Float


class DepthNetwork(nn.Module):
  """Normalised images to a map of depth, or of inverse depth.

  Attributes:
    backbone: images to a list of `vit.Tap`.
    head: those taps to a map.
  """

  backbone: nn.Module
  head: nn.Module

  def __call__(
    self, images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h2 w2']:
    """Estimates depth.

    Args:
      images: [b h w 3], normalised as the network's file asks for; h and w
        are multiples of its patch.

    Returns:
      [b h2 w2] at the network's own resolution, float32 or wider.
    """
    return self.head(self.backbone(images))
