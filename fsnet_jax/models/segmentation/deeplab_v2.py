"""DeepLabV2 on ResNet101: the other segmentation network S of the paper."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.segmentation import fcn8, resnet101
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.models.sizes import grid_of

HEADS = ('synthcp', 'v2')
FEATURES = ('layer4', 'aspp')
ASPP_CHANNELS = 256
ASPP_DILATIONS = (6, 12, 18)
V2_DILATIONS = (6, 12, 18, 24)
# SynthCP passes it where PyTorch expects epsilon, meaning a momentum.
ASPP_EPSILON = 3e-4


@flax.struct.dataclass
class Encoded:
  """DeepLabV2 up to its dropout: all that is deterministic.

  Attributes:
    layer4: [b gh gw k] the last stage of ResNet101, at stride 8.
    fused: [b gh gw k] the ASPP features that the classifier sees; with head
      'v2', which has none, None.
  """

  # Not typed as arrays: JAX rebuilds such classes with shapes and sentinels.
  layer4: Any
  fused: Any


class ASPP(nn.Module):
  """Atrous spatial pyramid pooling as SynthCP has it, without classifier.

  A 1x1 convolution, 3x3 convolutions of dilation 6, 12 and 18, and the mean
  of the image through a 1x1 convolution, each with batch norm (eps 3e-4) and
  ReLU; concatenated and fused by another 1x1 convolution. Names are
  SynthCP's.

  Attributes:
    features: channels of each branch and of the result.
    dtype: of the computation.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool
  ) -> Float[Array, 'b h w k2']:
    """Pools.

    Args:
      x: [b h w k] features of the encoder.
      train: whether batch statistics are of the batch.

    Returns:
      [b h w k2] fused features.
    """

    def unit(x: Array, conv: str, norm: str, dilation: int = 0) -> Array:
      layer = basic.conv(
        self.features,
        3 if dilation else 1,
        dilation=dilation or 1,
        use_bias=False,
        kernel_init=initializers.normal(resnet101.CONV_STD),
        dtype=self.dtype,
        name=conv,
      )
      normalize = basic.batch_norm(
        train, self.dtype, norm, epsilon=ASPP_EPSILON, unbiased=True
      )
      return nn.relu(normalize(layer(x)))

    branches = [unit(x, 'aspp1', 'aspp1_bn')]
    for index, dilation in enumerate(ASPP_DILATIONS, 2):
      name = f'aspp{index}'
      branches.append(unit(x, name, f'{name}_bn', dilation))
    mean = basic.at_least_float32(x).mean((1, 2), keepdims=True)
    pooled = unit(mean.astype(x.dtype), 'aspp5', 'aspp5_bn')
    branches.append(jnp.broadcast_to(pooled, branches[0].shape))
    return unit(jnp.concatenate(branches, -1), 'conv2', 'bn2')


class DeepLabV2(nn.Module):
  """ResNet101 at stride 8 and atrous convolutions at several dilations.

  With `head='synthcp'` this is what SynthCP, whose networks the paper
  compares, calls DeepLabV2: the ASPP of DeepLabV3. With `head='v2'` it is
  the published DeepLabV2: the sum of four 3x3 convolutions of dilation 6,
  12, 18 and 24. Logits are upsampled with aligned corners. It works at any
  image size.

  `encode` is all that is deterministic outside training; Monte-Carlo dropout
  needs only `score` again, and `upsample` once.

  References: Chen et al., DeepLab, 2017; SynthCP.

  Attributes:
    num_classes: classes c.
    width: multiplier of the channels.
    head: 'synthcp' or 'v2'.
    features: what S_E(x) is: 'layer4', the last layer of ResNet101, or
      'aspp', the fused features before the classifier.
    frozen_bn: whether the backbone's batch norms keep their scale and bias,
      as SynthCP trains a pretrained backbone.
    dropout_rate: of whole channels, before the classifier of 'synthcp'.
      SynthCP's model has one of 0.5 and leaves it out in every script.
    input_scale: factor of the mean-free 0..255 image; 1 for the caffemodel
      that SynthCP starts from, about 1 / 57 for torchvision's weights.
    blocks: of the backbone in each stage.
    remat: whether blocks are computed again in the backward pass.
    dtype: of the computation; parameters, statistics of batch norm and
      logits are float32.
  """

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  head: str = 'synthcp'
  features: str = 'layer4'
  frozen_bn: bool = False
  dropout_rate: float = 0.0
  input_scale: float = 1.0
  blocks: Sequence[int] = (3, 4, 23, 3)
  remat: bool = False
  dtype: Any = jnp.float32

  def setup(self):
    """Builds the layers."""
    self._check()
    self.backbone = resnet101.ResNet101(
      self.width, self.blocks, self.frozen_bn, self.remat, self.dtype
    )
    if self.head == 'v2':
      last = basic.scaled(resnet101.STAGE_CHANNELS[-1], self.width)
      self.layer5 = [
        self._classifier(3, resnet101.EXPANSION * last, dilation)
        for dilation in V2_DILATIONS
      ]
      return
    channels = basic.scaled(ASPP_CHANNELS, self.width)
    self.aspp = basic.remat(ASPP, self.remat)(channels, self.dtype)
    self.classifier = self._classifier(1, channels)
    self.dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1, 2))

  @nn.nowrap
  def _classifier(self, size: int, inputs: int, dilation: int = 1) -> nn.Conv:
    return basic.conv(
      self.num_classes,
      size,
      dilation=dilation,
      kernel_init=initializers.normal(resnet101.CONV_STD),
      bias_init=initializers.uniform_fan_in(size * size * inputs),
      dtype=self.dtype,
    )

  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Segments a batch of images; see `SegmentationNetwork`."""
    encoded = self.encode(images, train)
    coarse, features = self.score(encoded, train)
    logits = self.upsample(encoded, coarse, grid_of(images))
    return SegmentationOutput(logits=logits, features=features)

  def encode(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> Encoded:
    """Everything up to the dropout.

    Args:
      images: [b h w 3] RGB, float32, 0..255.
      train: whether batch statistics are of the batch.

    Returns:
      The features at stride 8.
    """
    self.check_image_size(grid_of(images))
    mean = jnp.array(fcn8.MEAN_RGB, images.dtype)
    x = (images - mean) * self.input_scale
    layer4 = self.backbone(x, train)[-1]
    fused = self.aspp(layer4, train) if self.head == 'synthcp' else None
    return Encoded(layer4=layer4, fused=fused)

  def score(
    self, encoded: Encoded, train: bool = False
  ) -> tuple[Float[Array, 'b gh gw c'], Float[Array, 'b gh gw k']]:
    """The part with dropout: class scores at stride 8.

    Args:
      encoded: from `encode`.
      train: whether dropout is on; it draws from the 'dropout' stream.

    Returns:
      The scores, float32, and S_E(x).
    """
    if self.head == 'v2':
      scores = [classify(encoded.layer4) for classify in self.layer5]
      coarse = jnp.asarray(sum(map(basic.at_least_float32, scores)))
    else:
      x = self.dropout(encoded.fused, deterministic=not train)
      coarse = basic.at_least_float32(self.classifier(x))
    chosen = encoded.layer4 if self.features == 'layer4' else encoded.fused
    return coarse, chosen

  def sample(self, encoded: Encoded) -> Float[Array, 'b gh gw c']:
    """The class scores of `score` with dropout on, and nothing else."""
    return self.score(encoded, True)[0]

  def upsample(
    self,
    encoded: Encoded,
    coarse: Float[Array, 'b gh gw c'],
    image_size: tuple[int, int],
  ) -> Float[Array, 'b h w c']:
    """Goes up to image size; linear in `coarse`.

    Args:
      encoded: from `encode`.
      coarse: scores from `score`.
      image_size: (height, width) of the images.

    Returns:
      Logits at image size, float32.
    """
    del encoded  # No skips here; FCN8 has some.
    return resizing.resize_align_corners(coarse, tuple(image_size), planes=True)

  @nn.nowrap
  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Any size will do; see `SegmentationNetwork`."""

  @nn.nowrap
  def is_frozen(self, path: Sequence[str]) -> bool:
    """Whether a parameter never changes, so that no decay may touch it.

    Args:
      path: names from the root of the parameters to the leaf.
    """
    return (
      self.frozen_bn and path[0] == 'backbone' and resnet101.is_affine(path)
    )

  @nn.nowrap
  def _check(self) -> None:
    if self.head not in HEADS:
      raise UserError(
        f"DeepLabV2's head is {self.head!r}; use 'synthcp' or 'v2'."
      )
    if self.features not in FEATURES:
      raise UserError(
        f"DeepLabV2's features are {self.features!r}; use 'layer4' or 'aspp'."
      )
    if self.features == 'aspp' and self.head == 'v2':
      raise UserError(
        "DeepLabV2's head 'v2' has no ASPP features; use features 'layer4'."
      )
