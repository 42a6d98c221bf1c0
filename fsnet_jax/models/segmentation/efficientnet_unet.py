"""A U-Net on EfficientNet-Lite0: the network for a few hundred real images."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.class_table import CITYSCAPES
from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.segmentation.efficientnet_lite import EfficientNetLite0
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.models.sizes import check_multiple, grid_of

STRIDE = 32
# Of the decoder's levels, at strides 16, 8, 4 and 2.
CHANNELS = (128, 96, 64, 48)


class Level(nn.Module):
  """One level of the decoder: twice as large, with the encoder's skip.

  Attributes:
    features: output channels.
    dtype: of the computation.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'],
    skip: Float[Array, 'b h2 w2 k2'],
    train: bool,
  ) -> Float[Array, 'b h2 w2 k3']:
    """Upsamples, joins the skip, and convolves 3x3 once.

    Args:
      x: [b h w k] features of the level below.
      skip: [b h2 w2 k2] features of the encoder, twice as large.
      train: whether batch statistics are of the batch.

    Returns:
      [b h2 w2 features].
    """
    x = resizing.resize_bilinear(x, grid_of(skip))
    x = jnp.concatenate([x, skip], -1)
    x = basic.conv(
      self.features, 3, use_bias=False, dtype=self.dtype, name='conv'
    )(x)
    return nn.relu(basic.batch_norm(train, self.dtype, 'bn', unbiased=True)(x))


class EfficientNetUNet(nn.Module):
  """U-Net on EfficientNet-Lite0, with the classifier at stride 2.

  In three parts, so that Monte-Carlo dropout repeats the last only: `encode`
  has no dropout, `sample` is dropout and the 1x1 classifier, `upsample` is
  bilinear. Height and width must be multiples of 32.

  References: Ronneberger et al., U-Net, 2015; Tan and Le, EfficientNet,
  2019. Decoder: bilinear upsampling and one 3x3 convolution a level, as
  segmentation_models.pytorch has it with two.

  Attributes:
    num_classes: classes c.
    width: multiplier of the channels.
    dropout_rate: before the classifier.
    remat: whether the encoder's blocks are computed again in the backward
      pass.
    dtype: of the computation; parameters, statistics of batch norm and
      logits are float32.
  """

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  dropout_rate: float = 0.0
  remat: bool = False
  dtype: Any = jnp.float32

  def setup(self):
    """Builds the layers: encoder, level16 .. level2, score."""
    self.encoder = EfficientNetLite0(self.width, self.remat, self.dtype)
    for index, channels in enumerate(CHANNELS):
      features = basic.scaled(channels, self.width)
      setattr(self, f'level{16 >> index}', Level(features, self.dtype))
    self.score = basic.conv(
      self.num_classes,
      1,
      kernel_init=initializers.uniform_fan_in(),
      dtype=self.dtype,
    )
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Segments a batch of images; see `SegmentationNetwork`."""
    deepest, last = self._run(images, train)
    coarse = self._classify(last, deterministic=not train)
    logits = self.upsample(last, coarse, grid_of(images))
    return SegmentationOutput(logits=logits, features=deepest)

  def encode(
    self, images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h2 w2 k']:
    """Everything before dropout, in evaluation mode.

    Args:
      images: [b h w 3] RGB, float32, 0..255.

    Returns:
      The decoder's output, at stride 2.
    """
    return self.decoded(images, False)

  def decoded(
    self, images: Float[Array, 'b h w 3'], train: bool
  ) -> Float[Array, 'b h2 w2 k']:
    """The decoder's output, at stride 2.

    Args:
      images: [b h w 3] RGB, float32, 0..255.
      train: whether batch statistics are of the batch.
    """
    return self._run(images, train)[1]

  def sample(
    self, encoded: Float[Array, 'b h2 w2 k']
  ) -> Float[Array, 'b h2 w2 c']:
    """Scores with dropout on.

    Args:
      encoded: from `encode`.

    Returns:
      Scores at stride 2, float32.
    """
    return self._classify(encoded, deterministic=False)

  @nn.nowrap
  def upsample(
    self, encoded: Array, coarse: Array, size: tuple[int, int]
  ) -> Float[Array, 'b h w c']:
    """Bilinear to image size: linear in the scores.

    Args:
      encoded: from `encode`; not used.
      coarse: [b h2 w2 c] scores.
      size: (height, width) of the images.
    """
    del encoded
    return resizing.resize_bilinear(coarse, size, planes=True)

  def _run(self, images: Array, train: bool) -> tuple[Array, Array]:
    self.check_image_size(grid_of(images))
    x = basic.imagenet_normalized(images).astype(self.dtype)
    *skips, deepest = self.encoder(x, train)
    x = deepest
    for skip, stride in zip(reversed(skips), (16, 8, 4, 2)):
      x = getattr(self, f'level{stride}')(x, skip, train)
    return deepest, x

  def _classify(self, x: Array, *, deterministic: bool) -> Array:
    x = self.dropout(x, deterministic=deterministic)
    return basic.at_least_float32(self.score(x))

  @nn.nowrap
  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Checks an image size; see `SegmentationNetwork`.

    Args:
      image_size: (height, width) in pixels.

    Raises:
      UserError: a size that is no multiple of 32.
    """
    check_multiple('efficientnet_unet', image_size, STRIDE)
