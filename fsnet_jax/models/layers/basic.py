"""The layers that every network here is built of."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import batch_norms, initializers

# ImageNet's statistics of RGB 0..1: what most pretrained networks expect.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def scaled(channels: int, width: float) -> int:
  """Channels of a layer at a width: whole multiples of 8, at least 8.

  Args:
    channels: of the published network (width 1).
    width: multiplier, above 0.

  Returns:
    channels * width rounded to the nearest multiple of 8; at width 1 the
    published number itself.
  """
  if width == 1:
    return channels
  return max(8, 8 * round(channels * width / 8))


def at_least_float32(x: Array) -> Array:
  """`x` as float32, or unchanged where it is wider (float64 checks).

  Args:
    x: an array of any floating type.

  Returns:
    The same values, in float32 or wider.
  """
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def imagenet_normalized(
  images: Float[Array, 'b h w 3'],
) -> Float[Array, 'b h w 3']:
  """Images less ImageNet's mean, over its standard deviation.

  Args:
    images: [b h w 3] RGB, 0..255.

  Returns:
    The same shape and type, of mean 0 and deviation 1 on ImageNet.
  """
  mean = jnp.array(_IMAGENET_MEAN, images.dtype)
  std = jnp.array(_IMAGENET_STD, images.dtype)
  return (images / 255 - mean) / std


def conv(
  features: int,
  size: int,
  *,
  stride: int = 1,
  dilation: int = 1,
  padding: int | str | None = None,
  groups: int = 1,
  use_bias: bool = True,
  kernel_init: Any = None,
  bias_init: Any = initializers.zeros,
  dtype: Any = jnp.float32,
  name: str | None = None,
) -> nn.Conv:
  """A square convolution, channels last, in the back end's fastest form.

  Args:
    features: output channels.
    size: rows and columns of the kernel.
    stride: of both axes.
    dilation: distance between kernel taps, in both axes.
    padding: zeros added on each side, or 'SAME' for TensorFlow's, which adds
      more after than before where the sum is odd; the default keeps the size
      at stride 1.
    groups: of channels that a kernel sees apart from the others.
    use_bias: whether to add a bias.
    kernel_init: the default is He's with fan-out.
    bias_init: the default is zeros.
    dtype: of the computation; parameters are float32.
    name: of the parameters.

  Returns:
    The layer.
  """
  pad = dilation * (size - 1) // 2 if padding is None else padding
  pads = pad if isinstance(pad, str) else ((pad, pad), (pad, pad))
  return nn.Conv(
    features,
    (size, size),
    strides=(stride, stride),
    padding=pads,
    kernel_dilation=(dilation, dilation),
    feature_group_count=groups,
    use_bias=use_bias,
    kernel_init=kernel_init or initializers.he_fan_out(),
    bias_init=bias_init,
    dtype=dtype,
    param_dtype=jnp.float32,
    conv_general_dilated=conv_forms.conv_general_dilated,
    name=name,
  )


def batch_norm(
  train: bool,
  dtype: Any = jnp.float32,
  name: str | None = None,
  *,
  epsilon: float = 1e-5,
  unbiased: bool = False,
  frozen_affine: bool = False,
) -> batch_norms.BatchNorm:
  """Batch normalisation with PyTorch's defaults: momentum 0.1, eps 1e-5.

  Args:
    train: whether to use, and record, the statistics of the batch.
    dtype: of the computation; statistics and parameters are float32.
    name: of the parameters.
    epsilon: added to the variance.
    unbiased: see `BatchNorm`.
    frozen_affine: see `BatchNorm`.

  Returns:
    The layer.
  """
  return batch_norms.BatchNorm(
    use_running_average=not train,
    epsilon=epsilon,
    unbiased=unbiased,
    frozen_affine=frozen_affine,
    dtype=dtype,
    name=name,
  )


def remat(block: type[nn.Module], wanted: bool) -> type[nn.Module]:
  """A block that is computed again in the backward pass, if so wanted.

  Only the block's inputs are then kept until the gradient needs what is
  inside: less memory for about a third more work. Names, parameters, values
  and gradients stay the same.

  Args:
    block: a module called with (x, train), both positional.
    wanted: whether to wrap it.

  Returns:
    The class to build the block from; give it a name explicitly.
  """
  return nn.remat(block, static_argnums=(2,)) if wanted else block
