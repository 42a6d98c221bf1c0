"""Batch normalisation, with the two things that Flax's own lacks."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.models.layers import initializers


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last.

  Values, parameters and their names are those of `nn.BatchNorm`. Statistics
  are computed and kept in float32 (or wider) whatever the compute type.

  Attributes:
    use_running_average: False uses, and records, those of the batch.
    momentum: weight of the old running statistics; one minus PyTorch's.
    epsilon: added to the variance.
    unbiased: whether the running variance is PyTorch's, over n - 1 values;
      else it is Flax's, over n. Where n is the batch size alone, as in the
      image pooling of DeepLab, they differ by a factor of n / (n - 1).
    frozen_affine: whether scale and bias get no gradient. They stay
      parameters; an optimiser with weight decay must leave them out itself.
    dtype: of the result.
  """

  use_running_average: bool
  momentum: float = 0.9
  epsilon: float = 1e-5
  unbiased: bool = False
  frozen_affine: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, '*b k']) -> Float[Array, '*b k']:
    """Normalises.

    Args:
      x: [... k] features.

    Returns:
      The same shape, in `dtype`.

    Raises:
      UserError: a variance over n - 1 values is wanted of a single value.
    """
    shape = (x.shape[-1],)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, jnp.float32)
    var = self.variable('batch_stats', 'var', jnp.ones, shape, jnp.float32)
    scale = self.param('scale', initializers.ones, shape, jnp.float32)
    bias = self.param('bias', initializers.zeros, shape, jnp.float32)
    if self.frozen_affine:
      scale, bias = jax.lax.stop_gradient((scale, bias))
    x = x.astype(wide)
    if self.use_running_average:
      m, v = mean.value, var.value
    else:
      m, v = self._of_batch(x, mean, var)
    y = (x - m) * (jax.lax.rsqrt(v + self.epsilon) * scale) + bias
    return y.astype(self.dtype)

  def _of_batch(self, x: Array, mean: Any, var: Any) -> tuple[Array, Array]:
    """Statistics of the batch, recorded in the running ones."""
    axes = tuple(range(x.ndim - 1))
    m = x.mean(axes)
    v = jnp.maximum(0.0, jax.lax.square(x).mean(axes) - jax.lax.square(m))
    if not self.is_initializing():
      recorded = v * self._correction(x.size // x.shape[-1])
      old = self.momentum
      mean.value = old * mean.value + (1 - old) * m
      var.value = old * var.value + (1 - old) * recorded
    return m, v

  def _correction(self, count: int) -> float:
    if not self.unbiased:
      return 1.0
    if count == 1:
      raise UserError(
        'Batch normalisation has a single value for each channel, which has '
        'no variance: raise config.batch_size or lower '
        'config.accumulate_steps.'
      )
    return count / (count - 1)
