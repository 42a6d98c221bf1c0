"""The layers that every network here is built of."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from fsnet_jax.models import conv_forms, initializers


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


def conv(
  features: int,
  size: int,
  *,
  stride: int = 1,
  padding: int | None = None,
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
    padding: zeros added on each side; the default keeps the size at
      stride 1.
    use_bias: whether to add a bias.
    kernel_init: the default is He's with fan-out.
    bias_init: the default is zeros.
    dtype: of the computation; parameters are float32.
    name: of the parameters.

  Returns:
    The layer.
  """
  pad = (size - 1) // 2 if padding is None else padding
  return nn.Conv(
    features,
    (size, size),
    strides=(stride, stride),
    padding=((pad, pad), (pad, pad)),
    use_bias=use_bias,
    kernel_init=kernel_init or initializers.he_fan_out(),
    bias_init=bias_init,
    dtype=dtype,
    param_dtype=jnp.float32,
    conv_general_dilated=conv_forms.conv_general_dilated,
    name=name,
  )


def batch_norm(
  train: bool, dtype: Any = jnp.float32, name: str | None = None
) -> nn.BatchNorm:
  """Batch normalisation with PyTorch's defaults: momentum 0.1, eps 1e-5.

  Flax's momentum is one minus PyTorch's. Unlike PyTorch, Flax keeps the
  biased variance (divided by n) in its running statistics, not the unbiased
  one; at the sizes of images the factor n / (n - 1) is all but 1.

  Args:
    train: whether to use, and record, the statistics of the batch.
    dtype: of the computation; statistics and parameters are float32.
    name: of the parameters.

  Returns:
    The layer.
  """
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    epsilon=1e-5,
    dtype=dtype,
    scale_init=initializers.ones,
    bias_init=initializers.zeros,
    name=name,
  )
