"""U-Net: the segmentation network of SegXAL."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.class_table import CITYSCAPES
from fsnet_jax.models.cpu import pooling
from fsnet_jax.models.layers import basic, initializers, transposed
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.models.sizes import check_multiple, grid_of

CHANNELS = (64, 128, 256, 512, 1024)
STRIDE = 16


@flax.struct.dataclass
class Encoded:
  """The encoder's half of U-Net.

  Attributes:
    bottleneck: [b h/16 w/16 k] the deepest block's output, S_E(x).
    skips: outputs of the encoder's other blocks, at strides 1, 2, 4 and 8.
  """

  # Not typed as arrays: JAX rebuilds such classes with shapes and sentinels.
  bottleneck: Any
  skips: Any


class Block(nn.Module):
  """Twice: 3x3 convolution, ReLU, batch norm, in this order.

  Attributes:
    features: output channels.
    dtype: of the computation.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool
  ) -> Float[Array, 'b h w k2']:
    """Applies the block.

    Args:
      x: [b h w k] features.
      train: whether batch statistics are of the batch.

    Returns:
      [b h w k2], of the same size.
    """
    for index in (1, 2):
      conv = basic.conv(
        self.features,
        3,
        kernel_init=initializers.he_fan_in(),
        dtype=self.dtype,
        name=f'conv{index}',
      )
      x = nn.relu(conv(x))
      norm = basic.batch_norm(train, self.dtype, f'bn{index}', unbiased=True)
      x = norm(x)
    return x


class UNet(nn.Module):
  """U-Net of five levels, from random weights.

  SegXAL's variant: ReLU before batch norm, 3x3 transposed convolutions,
  concatenation of (upsampled, skip), a 3x3 convolution to the classes.
  Height and width must be multiples of 16.

  The call is `classify(decode(encode(images)))`, and each part can be called
  by itself (`module.apply(..., method='encode')`).

  References: Ronneberger et al., U-Net, 2015; SegXAL, 2024.

  Attributes:
    num_classes: classes c.
    width: multiplier of the channels.
    dropout_rate: after the bottleneck and after the last block; the
      published network has none, Monte-Carlo dropout needs some.
    remat: whether blocks are computed again in the backward pass.
    dtype: of the computation; parameters, statistics of batch norm and
      logits are float32.
  """

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  dropout_rate: float = 0.0
  remat: bool = False
  dtype: Any = jnp.float32

  def setup(self):
    """Builds the layers: down1 .. down5, up4 .. up1, block4 .. block1."""
    block = basic.remat(Block, self.remat)
    widths = [basic.scaled(channels, self.width) for channels in CHANNELS]
    for level, channels in enumerate(widths, 1):
      setattr(self, f'down{level}', block(channels, self.dtype))
    for level, channels in enumerate(widths[:-1], 1):
      setattr(self, f'up{level}', transposed.UpConv(channels, self.dtype))
      setattr(self, f'block{level}', block(channels, self.dtype))
    self.score = basic.conv(
      self.num_classes,
      3,
      kernel_init=initializers.uniform_fan_in(),
      bias_init=initializers.uniform_fan_in(9 * widths[0]),
      dtype=self.dtype,
    )
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Segments a batch of images; see `SegmentationNetwork`."""
    encoded = self.encode(images, train)
    logits = self.classify(self.decode(encoded, train), train)
    return SegmentationOutput(logits=logits, features=encoded.bottleneck)

  def encode(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> Encoded:
    """The encoder.

    Args:
      images: [b h w 3] RGB, float32, 0..255.
      train: whether batch statistics are of the batch.

    Returns:
      The bottleneck and the skips; outside training, deterministic.
    """
    self.check_image_size(grid_of(images))
    x = basic.imagenet_normalized(images).astype(self.dtype)
    skips = []
    for level in range(1, len(CHANNELS) + 1):
      x = getattr(self, f'down{level}')(x, train)
      if level < len(CHANNELS):
        skips.append(x)
        x = pooling.max_pool_2x2(x)
    return Encoded(bottleneck=x, skips=tuple(skips))

  def decode(
    self, encoded: Encoded, train: bool = False
  ) -> Float[Array, 'b h w k']:
    """Dropout and the decoder.

    Args:
      encoded: from `encode`.
      train: whether dropout is on and batch statistics are of the batch.

    Returns:
      [b h w k] output of the last block, at image size.
    """
    x = self.dropout(encoded.bottleneck, deterministic=not train)
    for level in range(len(CHANNELS) - 1, 0, -1):
      x = getattr(self, f'up{level}')(x)
      x = jnp.concatenate([x, encoded.skips[level - 1]], -1)
      x = getattr(self, f'block{level}')(x, train)
    return x

  def classify(
    self, last_block: Float[Array, 'b h w k'], train: bool = False
  ) -> Float[Array, 'b h w c']:
    """Dropout and the classifier.

    Args:
      last_block: from `decode`.
      train: whether dropout is on.

    Returns:
      Logits at image size, float32.
    """
    x = self.dropout(last_block, deterministic=not train)
    return basic.at_least_float32(self.score(x))

  @nn.nowrap
  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Checks an image size; see `SegmentationNetwork`.

    Args:
      image_size: (height, width) in pixels.

    Raises:
      UserError: a size that is no multiple of 16.
    """
    check_multiple('U-Net', image_size, STRIDE)
