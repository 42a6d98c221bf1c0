"""SynthCP's comparison network, and Direct prediction, its half.

Both look at the image and at S's softmax and say where S is right; the
comparison network also looks at the image as re-synthesised from S's
prediction, in a second encoder.

References: Xia et al., Synthesize then Compare, 2020; Direct prediction is
what its scripts call so, one encoder without the re-synthesised image.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.class_table import CITYSCAPES
from fsnet_jax.models.failure import failure_decoders, resnet
from fsnet_jax.models.layers import basic, initializers


class ComparisonNet(nn.Module):
  """ResNet18 on each picture with a map of the softmax; two heads.

  The map is one channel, `w1`: a 1x1 convolution of the softmax with batch
  norm and ReLU, the same for both encoders. The pixel head takes each of the
  four stages of the encoders together to 64 channels, lays them over the
  image, concatenates them and maps them to one channel. The image head maps
  the mean of the last stage linearly to the IoU of each class.

  Encoders are named `encoder1` (image) and `encoder2` (re-synthesised), with
  torchvision's names inside.

  Attributes:
    num_classes: classes c.
    width: multiplier of the channels.
    remat: whether blocks are computed again in the backward pass.
    dtype: of the computation; parameters and results are float32.
  """

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    pictures: tuple[Array, ...],
    seg_logits: Float[Array, 'b h w c'],
    train: bool = False,
  ) -> tuple[Float[Array, 'b h w'], Float[Array, 'b c']]:
    """Says where S is right, and how well it does each class.

    Args:
      pictures: the image, and for the comparison network the re-synthesised
        one; each [b h w 3] RGB, float32, 0..255.
      seg_logits: [b h w c] of S.
      train: whether batch statistics are of the batch.

    Returns:
      [b h w] logits of S being right, and [b c] IoU of each class as a
      fraction, not clipped to [0, 1]; both float32.
    """
    probs = jax.nn.softmax(basic.at_least_float32(seg_logits), axis=-1)
    unit = failure_decoders.ConvUnit(1, 1, self.dtype, name='w1')
    w1 = unit(probs.astype(self.dtype), train)
    encoded = []
    for number, picture in enumerate(pictures, 1):
      x = basic.imagenet_normalized(picture).astype(self.dtype)
      encoder = resnet.ResNet18(
        self.width, self.dtype, self.remat, name=f'encoder{number}'
      )
      encoded.append(encoder(jnp.concatenate([x, w1], -1), train))
    stages = list(zip(*encoded))
    last = jnp.concatenate(stages[3], -1)
    head = failure_decoders.FourScaleDecoder(
      self.width, self.dtype, self.remat, name='decoder'
    )
    right = basic.at_least_float32(head(last, stages, w1, train)[..., 0])
    pooled = basic.at_least_float32(last).mean((1, 2))
    ious = nn.Dense(
      self.num_classes,
      kernel_init=initializers.uniform_fan_in(),
      bias_init=initializers.uniform_fan_in(pooled.shape[-1]),
      param_dtype=jnp.float32,
      name='iou',
    )(pooled)
    return right, ious
