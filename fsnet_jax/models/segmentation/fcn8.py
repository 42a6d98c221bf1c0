"""FCN8 on VGG16: the segmentation network S of the paper's main tables."""

import functools
import math
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from fsnet_jax.models.cpu import conv_forms, resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.segmentation import fcn8_dropout_head, vgg
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.models.sizes import check_multiple, grid_of

# Subtracted from RGB 0..255. Blue is 0.408 * 255, not ImageNet's 0.406 * 255:
# SynthCP, whose FCN8 the paper uses, has it so.
MEAN_RGB = (0.485 * 255, 0.458 * 255, 0.408 * 255)
_PAD = 99


@flax.struct.dataclass
class Encoded:
  """FCN8 up to its first dropout: all that is deterministic.

  Attributes:
    features: [b fh fw k] the encoder output S_E(x).
    fc6: [b gh gw k] the first head layer after its ReLU.
    pool4: [b . . k] cropped to where it joins the score.
    pool3: [b . . k] likewise.
  """

  # Not typed as arrays: JAX rebuilds such classes with shapes and sentinels.
  features: Any
  fc6: Any
  pool4: Any
  pool3: Any


class FCN8(nn.Module):
  """VGG16, two wide head layers, and two skips into a fixed upsampling.

  The call is `upsample(encoded, score(encoded, train))` with
  `encoded = encode(images)`. The parts can be called by themselves
  (`module.apply(..., method='score')`): Monte-Carlo dropout needs only
  `score` again, for everything before it is deterministic, and `sample` is
  what of it it needs.

  With `padding='pad99'` this is the network of SynthCP: the image gains 99
  zeros on every side, pooling rounds up, the 7x7 head layer is unpadded, and
  the fixed bilinear transposed convolutions are cropped by 5, 9 and 31.
  It works at any image size. `padding='same'` is for small machines: no
  padding of the image, a 7x7 layer that keeps the size, and bilinear
  upsampling that repeats the border; 2.7 times less work, the same
  parameters, other values near the borders. Sizes must be multiples of 32.

  Reference: Long et al., Fully Convolutional Networks, 2015; paper section
  IV. The head layers begin with He's initialisation (fan-in), close to
  torchvision's N(0, 0.01) for the ImageNet layers that they stand for.

  Attributes:
    num_classes: classes c.
    width: multiplier of the channels of VGG16.
    head_width: channels of the head layers; the default is 4096 * width.
    padding: 'pad99' or 'same'.
    dropout_rate: of whole channels, after each head layer.
    features: what S_E(x) is: 'pool5', the last layer of VGG16 (the paper's
      wording), or 'fc7', after its ReLU and before dropout.
    skip_scale: factors of pool4 and pool3 before their score layers, which
      begin at zero. The default suits pretrained weights, whose activations
      are large; a network from scratch learns faster with (1, 1).
    input_scale: factor of the normalised image; 1 for pretrained weights,
      about 1 / 64 for a network from scratch.
    remat: whether stages of VGG16 are computed again in the backward pass.
    dtype: of the computation; parameters and logits are float32.
  """

  # See `protocol`; measured at the demo's size.
  compiles_frugally = True

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  head_width: int | None = None
  padding: str = 'pad99'
  dropout_rate: float = 0.5
  features: str = 'pool5'
  skip_scale: tuple[float, float] = (0.01, 0.0001)
  input_scale: float = 1.0
  remat: bool = False
  dtype: Any = jnp.float32

  def setup(self):
    """Builds the layers."""
    if self.padding not in ('pad99', 'same'):
      raise UserError(
        f"FCN8's padding is {self.padding!r}; use 'pad99' or 'same'."
      )
    if self.features not in ('pool5', 'fc7'):
      raise UserError(
        f"FCN8's features are {self.features!r}; use 'pool5' or 'fc7'."
      )
    head = self.head_width or basic.scaled(4096, self.width)
    he = initializers.he_fan_in()
    self.vgg = vgg.VGG16(
      self.width, self.padding == 'pad99', self.remat, self.dtype
    )
    self.fc6 = basic.conv(
      head,
      7,
      padding=0 if self.padding == 'pad99' else 3,
      kernel_init=he,
      dtype=self.dtype,
    )
    self.fc7 = basic.conv(head, 1, kernel_init=he, dtype=self.dtype)
    self.score_fr = basic.conv(
      self.num_classes,
      1,
      kernel_init=initializers.uniform_fan_in(),
      bias_init=initializers.uniform_fan_in(head),
      dtype=self.dtype,
    )
    zero = {'kernel_init': initializers.zeros, 'dtype': self.dtype}
    self.score_pool4 = basic.conv(self.num_classes, 1, **zero)
    self.score_pool3 = basic.conv(self.num_classes, 1, **zero)
    self.dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1, 2))

  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Segments a batch of images; see `SegmentationNetwork`."""
    encoded = self.encode(images)
    coarse, features = self.score(encoded, train)
    logits = self.upsample(encoded, coarse, grid_of(images))
    return SegmentationOutput(logits=logits, features=features)

  def encode(self, images: Float[Array, 'b h w 3']) -> Encoded:
    """Everything up to the first dropout.

    Args:
      images: [b h w 3] RGB, float32, 0..255.

    Returns:
      The deterministic part of the network.
    """
    self.check_image_size(grid_of(images))
    x = (images - jnp.array(MEAN_RGB, images.dtype)) * self.input_scale
    if self.padding == 'pad99':
      x = jnp.pad(x, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)))
    pools = self.vgg(x.astype(self.dtype))
    fc6 = nn.relu(self.fc6(pools['pool5']))
    pool3, pool4, pool5 = pools['pool3'], pools['pool4'], pools['pool5']
    if self.padding == 'pad99':
      up2 = [2 * (n + 1) for n in fc6.shape[1:3]]
      up4 = [2 * (n + 1) for n in up2]
      pool4 = _crop(pool4, 5, up2)
      pool3 = _crop(pool3, 9, up4)
      # Cell i of pool5 is centred at pixel 32 (i - 3) + 12.5.
      pool5 = _crop(pool5, 3, _grid(grid_of(images)))
    return Encoded(features=pool5, fc6=fc6, pool4=pool4, pool3=pool3)

  def score(
    self, encoded: Encoded, train: bool = False
  ) -> tuple[Float[Array, 'b gh gw c'], Float[Array, 'b fh fw k']]:
    """The part with dropout: class scores at stride 32.

    Args:
      encoded: from `encode`.
      train: whether dropout is on; it draws from the 'dropout' stream.

    Returns:
      The scores before the skips, float32, and S_E(x).
    """
    x = self.dropout(encoded.fc6, deterministic=not train)
    fc7 = nn.relu(self.fc7(x))
    x = self.dropout(fc7, deterministic=not train)
    coarse = basic.at_least_float32(self.score_fr(x))
    if self.features == 'fc7':
      # Cell j of fc7 sees pool5 around cell j + 3.
      return coarse, _crop(fc7, 0, encoded.features.shape[1:3])
    return coarse, encoded.features

  def sample(self, encoded: Encoded) -> Float[Array, 'b gh gw c']:
    """The class scores of `score` with dropout on, and nothing else.

    On a CPU, a head layer works on the channels alone that its dropout
    keeps: half of them on either side, a quarter of the products.

    Args:
      encoded: from `encode`.

    Returns:
      The scores before the skips, float32; the same masks as in `score`.
    """
    b, h, w, head = encoded.fc6.shape
    if not conv_forms.rewriting() or h * w < fcn8_dropout_head.FEWEST_PLACES:
      return self.score(encoded, True)[0]
    slots = fcn8_dropout_head.slots_for(head, 1 - self.dropout_rate)
    whole = jnp.ones((b, 1, 1, head), self.dtype)
    kept = [
      fcn8_dropout_head.kept_channels(
        self.dropout(whole, deterministic=False)[:, 0, 0], slots
      )
      for _ in range(2)
    ]
    fc7, last = (
      layer.variables['params'] for layer in (self.fc7, self.score_fr)
    )
    scores = functools.partial(fcn8_dropout_head.kept_scores, fc7, last)
    return jax.vmap(scores)(encoded.fc6, *kept)

  def upsample(
    self,
    encoded: Encoded,
    coarse: Float[Array, 'b gh gw c'],
    image_size: tuple[int, int],
  ) -> Float[Array, 'b h w c']:
    """Adds the skips and goes up to image size; linear in `coarse`.

    Args:
      encoded: from `encode`.
      coarse: scores from `score`.
      image_size: (height, width) of the images.

    Returns:
      Logits at image size, float32.
    """
    scale4, scale3 = self.skip_scale
    skip4 = self.score_pool4(scale4 * encoded.pool4)
    skip3 = self.score_pool3(scale3 * encoded.pool3)
    skip4, skip3 = map(basic.at_least_float32, (skip4, skip3))
    if self.padding == 'pad99':
      x = resizing.bilinear_transposed(coarse, 2) + skip4
      x = resizing.bilinear_transposed(x, 2) + skip3
      return resizing.bilinear_transposed(
        x, 8, 31, tuple(image_size), planes=True
      )
    x = resizing.resize_bilinear(coarse, grid_of(skip4)) + skip4
    x = resizing.resize_bilinear(x, grid_of(skip3)) + skip3
    return resizing.resize_bilinear(x, tuple(image_size), planes=True)

  @nn.nowrap
  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Checks an image size; see `SegmentationNetwork`.

    Args:
      image_size: (height, width) in pixels.

    Raises:
      UserError: with padding 'same', a size that is no multiple of 32.
    """
    if self.padding != 'pad99':
      check_multiple("FCN8 with padding 'same'", image_size, 32)


def _grid(image_size: tuple[int, int]) -> tuple[int, ...]:
  """The stride-32 grid of an image."""
  return tuple(math.ceil(n / 32) for n in image_size)


def _crop(x: Array, start: int, size: tuple[int, ...] | list[int]) -> Array:
  return x[:, start : start + size[0], start : start + size[1]]
