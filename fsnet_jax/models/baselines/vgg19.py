"""VGG19's first sixteen convolutions, for the perceptual loss."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import basic

# Convolutions and their channels, stage by stage; of the last stage only the
# first is looked at.
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))


class VGG19(nn.Module):
  """Layers named `conv1_1` .. `conv5_1`.

  Reference: Simonyan and Zisserman, Very Deep Convolutional Networks, 2015.

  Attributes:
    dtype: of the computation.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w 3']) -> list[Array]:
    """Encodes.

    Args:
      x: [b h w 3] pictures; SPADE gives them as they are, in [-1, 1].

    Returns:
      The first layer of each stage after its ReLU: relu1_1 .. relu5_1.
    """
    found = []
    for stage, (channels, depth) in enumerate(STAGES, 1):
      if stage > 1:
        x = nn.max_pool(x, (2, 2), (2, 2))
      for index in range(1, depth + 1):
        name = f'conv{stage}_{index}'
        x = nn.relu(basic.conv(channels, 3, dtype=self.dtype, name=name)(x))
        if index == 1:
          found.append(x)
    return found
