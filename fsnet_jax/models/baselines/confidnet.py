"""ConfidNet on a segmentation network: predicts its true class probability.

The network is in two parts: what of S the head looks at (`confidence_maps`,
S's own layers) and the head (`ConfidenceHead`, new ones).

References: Corbiere et al., Addressing Failure Prediction by Learning Model
Confidence, 2019; layers and inputs as SynthCP applies it to FCN8 and DeepLab.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.segmentation import fcn8
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.models.segmentation.unet import UNet

WIDTHS = (400, 120, 64, 64)
_REDUCED = 256
_PAD = 99
# Of FCN8's maps with 'pad99': cell i is centred at pixel stride * i + start.
_PLACES = ((8.0, -95.5), (16.0, -91.5), (32.0, 12.5))
ALIGNMENTS = ('aligned', 'stretched')
INPUTS = ('segmentation', 'synthcp')


def wrongly_scaled(images: Float[Array, 'b h w 3']) -> Float[Array, 'b h w 3']:
  """What FCN8 and DeepLab must be given to see what SynthCP's TCP shows them.

  SynthCP trains both on mean-free images of 0..255 and feeds their copies
  under the confidence head images divided by ImageNet's deviation of 0..1:
  about 57 times too small.

  Args:
    images: [b h w 3] RGB, 0..255.

  Returns:
    Images from which those networks' own normalisation makes that.
  """
  mean = jnp.array(fcn8.MEAN_RGB, images.dtype)
  return basic.imagenet_normalized(images) + mean


def confidence_maps(
  network: SegmentationNetwork,
  images: Float[Array, 'b h w 3'],
  train: bool = False,
) -> tuple[Array, ...]:
  """What the head looks at; call it by `network.apply(..., method=...)`.

  Args:
    network: S, bound to its variables.
    images: [b h w 3] RGB, 0..255.
    train: whether dropout is on and batch statistics are of the batch.

  Returns:
    FCN8: pool3, pool4 and fc7, of the padded image where it pads; DeepLab:
    the features before the classifier; the U-Nets: their last block; any
    other network: S_E(x).
  """
  if isinstance(network, fcn8.FCN8):
    x = images - jnp.array(fcn8.MEAN_RGB, images.dtype)
    x = x * network.input_scale
    if network.padding == 'pad99':
      x = jnp.pad(x, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)))
    pools = network.vgg(x.astype(network.dtype))
    x = nn.relu(network.fc6(pools['pool5']))
    x = nn.relu(network.fc7(network.dropout(x, deterministic=not train)))
    fc7 = network.dropout(x, deterministic=not train)
    return pools['pool3'], pools['pool4'], fc7
  if isinstance(network, DeepLabV2):
    encoded = network.encode(images, train)
    return (encoded.layer4 if encoded.fused is None else encoded.fused,)
  if isinstance(network, UNet):
    return (network.decode(network.encode(images, train), train),)
  if isinstance(network, EfficientNetUNet):
    return (network.decoded(images, train),)
  return (network(images, train).features,)


class ConfidenceHead(nn.Module):
  """Five 3x3 convolutions, 400, 120, 64, 64 and 1 channels wide.

  Several maps are laid over the image and concatenated at its size, the last
  of them reduced to 256 channels first. (A 1x1 convolution and bilinear
  resizing commute, so it is reduced at its own stride.) A single map is
  worked on at its own stride and the result resized with aligned corners, as
  DeepLab's logits are.

  Attributes:
    width: multiplier of the channels.
    places: by map, (stride, first centre) in pixels of the image; empty
      stretches each map to the image's size.
    dtype: of the computation; parameters and logits are float32.
  """

  width: float = 1.0
  places: Sequence[tuple[float, float]] = ()
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, maps: tuple[Array, ...], image_size: tuple[int, int]
  ) -> Float[Array, 'b h w']:
    """Predicts the confidence of each pixel.

    Args:
      maps: of `confidence_maps`.
      image_size: (height, width) of the images.

    Returns:
      Logits of the true class's probability, float32.
    """
    x = maps[0]
    if len(maps) > 1:
      reduced = self._conv(_REDUCED, 1, 'reduce', maps[-1])
      laid = [
        self._laid(index, x, image_size)
        for index, x in enumerate((*maps[:-1], reduced))
      ]
      x = jnp.concatenate(laid, -1)
    for index, channels in enumerate(WIDTHS, 1):
      x = nn.relu(self._conv(channels, 3, f'conv{index}', x))
    x = basic.conv(
      1,
      3,
      kernel_init=initializers.uniform_fan_in(),
      bias_init=initializers.uniform_fan_in(9 * x.shape[-1]),
      dtype=self.dtype,
      name='conv5',
    )(x)
    x = basic.at_least_float32(x)
    return resizing.resize_align_corners(x, image_size)[..., 0]

  @nn.nowrap
  def _conv(self, channels: int, size: int, name: str, x: Array) -> Array:
    return basic.conv(
      basic.scaled(channels, self.width),
      size,
      kernel_init=initializers.uniform_fan_in(),
      bias_init=initializers.uniform_fan_in(size * size * x.shape[-1]),
      dtype=self.dtype,
      name=name,
    )(x.astype(self.dtype))

  @nn.nowrap
  def _laid(self, index: int, x: Array, size: tuple[int, int]) -> Array:
    if not self.places:
      return resizing.resize_bilinear(x, size)
    return place_bilinear(x, size, *self.places[index])


def head_for(
  network: SegmentationNetwork, width: float, alignment: str, dtype: Any
) -> ConfidenceHead:
  """The head that suits a segmentation network.

  Args:
    network: S.
    width: multiplier of the head's channels.
    alignment: one of `ALIGNMENTS`; it matters to FCN8 with 'pad99' alone.
    dtype: of the computation.
  """
  padded = isinstance(network, fcn8.FCN8) and network.padding == 'pad99'
  places = _PLACES if padded and alignment == 'aligned' else ()
  return ConfidenceHead(width, places, dtype)


def place_bilinear(
  x: Float[Array, 'b h w k'],
  size: tuple[int, int],
  stride: float,
  start: float,
) -> Float[Array, 'b h2 w2 k']:
  """Bilinear samples of a map whose cells lie anywhere over the image.

  Args:
    x: [b h w k] map; cell i is centred at pixel `stride * i + start` along
      both axes.
    size: rows and columns of the image.
    stride: pixels from cell to cell.
    start: pixel of the first cell's centre; pixel centres are whole numbers.

  Returns:
    [b h2 w2 k] at the image's pixels; beyond the outer cells, their values.
  """
  for axis, length in ((1, size[0]), (2, size[1])):
    have = x.shape[axis]
    position = np.clip((np.arange(length) - start) / stride, 0, have - 1)
    distance = np.abs(position[:, None] - np.arange(have)[None, :])
    weights = jnp.asarray(np.maximum(0, 1 - distance), x.dtype)
    subscripts = 'oh,bhwk->bowk' if axis == 1 else 'ow,bhwk->bhok'
    x = jnp.einsum(subscripts, weights, x, precision=jax.lax.Precision.HIGHEST)
  return x
