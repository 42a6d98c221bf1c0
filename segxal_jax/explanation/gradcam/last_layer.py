"""Grad-CAM at the input of the classifier, without a backward pass.

Where the logits are one convolution W of the tapped features A, the pooled
gradient is a weighted count: a target that sums class c's logit over a set of
pixels has

  sum_ij dy / dA_k(ij) = sum_tap W[tap, k, c] n_c(tap),

n_c(tap) being how many of those pixels have that tap of the kernel inside the
image. All classes then share one product A alpha, which costs what the
classifier itself does.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def pooled_gradients(
  kernel: Float[Array, 'kh kw k c'], hits: Bool[Array, 'b h w c']
) -> Float[Array, 'b k c']:
  """Sum over all cells of the gradient of each class's summed logits.

  Args:
    kernel: of a convolution of stride 1 that keeps the size (odd sides).
    hits: pixels over which a class's logit is summed.

  Returns:
    float32, the sum over cells of dy_c / dA_k.
  """
  rows, columns = kernel.shape[:2]
  counted = hits.astype(jnp.float32)
  total = jnp.zeros((hits.shape[0], *kernel.shape[2:]), jnp.float32)
  for j in range(columns):
    lines = jnp.sum(_reaching(counted, j - columns // 2, 2), axis=2)
    for i in range(rows):
      count = jnp.sum(_reaching(lines, i - rows // 2, 1), axis=1)
      total += kernel[i, j].astype(jnp.float32) * count[:, None, :]
  return total


def class_maps(
  activation: Float[Array, 'b ah aw k'],
  kernel: Float[Array, 'kh kw k c'],
  hits: Bool[Array, 'b h w c'],
) -> Float[Array, 'b c ah aw']:
  """Grad-CAM of every class (Z = number of cells), before scaling.

  Args:
    activation: what the classifier is applied to.
    kernel: of the classifier.
    hits: pixels of each class's target; of other sizes than the activation
      where the logits of a 1x1 convolution were enlarged.

  Returns:
    ReLU(sum_k alpha_kc A_k), float32.
  """
  cells = activation.shape[1] * activation.shape[2]
  alpha = pooled_gradients(kernel, hits) / cells
  wide = activation.astype(jnp.float32)
  return nn.relu(jnp.einsum('bhwk,bkc->bchw', wide, alpha))


def summed_map(
  activation: Float[Array, 'b ah aw k'],
  kernel: Float[Array, 'kh kw k c'],
  hits: Bool[Array, 'b h w c'],
) -> Float[Array, 'b ah aw']:
  """Grad-CAM of the sum of all classes' targets, before scaling.

  Args:
    activation: what the classifier is applied to.
    kernel: of the classifier.
    hits: pixels of each class's target; of other sizes than the activation
      where the logits of a 1x1 convolution were enlarged.

  Returns:
    ReLU(sum_k (sum_c alpha_kc) A_k), float32.
  """
  cells = activation.shape[1] * activation.shape[2]
  alpha = jnp.sum(pooled_gradients(kernel, hits), axis=-1) / cells
  wide = activation.astype(jnp.float32)
  return nn.relu(jnp.einsum('bhwk,bk->bhw', wide, alpha))


def _reaching(values: Array, offset: int, axis: int) -> Array:
  """Those rows or columns whose neighbour at an offset is in the image."""
  chosen = [slice(None)] * values.ndim
  chosen[axis] = slice(max(0, -offset), values.shape[axis] - max(0, offset))
  return values[tuple(chosen)]
