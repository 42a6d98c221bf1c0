"""VGG16's convolutions (configuration D), the encoder of FCN8."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import pooling
from fsnet_jax.models.layers import basic

# Convolutions and their channels, stage by stage.
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class VGG16(nn.Module):
  """Thirteen 3x3 convolutions with ReLU and five max-pools, no batch norm.

  The layers are named `conv1_1` ... `conv5_3`.

  Reference: Simonyan and Zisserman, Very Deep Convolutional Networks, 2015.

  Attributes:
    width: multiplier of the channels.
    ceil_mode: whether pooling rounds odd sizes up.
    remat: whether stages are computed again in the backward pass.
    dtype: of the computation.
  """

  width: float = 1.0
  ceil_mode: bool = True
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> dict[str, Array]:
    """Encodes normalised images.

    Args:
      x: [b h w 3] images, already normalised and padded.

    Returns:
      'pool3', 'pool4' and 'pool5', at strides 8, 16 and 32.
    """
    run = nn.remat(_stage, static_argnums=(2,)) if self.remat else _stage
    pools = {}
    for stage in range(1, len(STAGES) + 1):
      x = run(self, x, stage)
      pools[f'pool{stage}'] = x
    return {name: pools[name] for name in ('pool3', 'pool4', 'pool5')}


def _stage(vgg: VGG16, x: Array, stage: int) -> Array:
  """The convolutions of a stage, counted from 1, and its pooling."""
  channels, depth = STAGES[stage - 1]
  for index in range(1, depth + 1):
    x = basic.conv(
      basic.scaled(channels, vgg.width),
      3,
      dtype=vgg.dtype,
      name=f'conv{stage}_{index}',
    )(x)
    x = nn.relu(x)
  return pooling.max_pool_2x2(x, vgg.ceil_mode)
