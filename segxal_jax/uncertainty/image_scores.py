"""Numbers of an image that are no mean of a map."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from common_lib.class_table import VOID
from segxal_jax.uncertainty import pixelwise

# A prediction without any edge still takes a person some clicks: as many as a
# hundredth of its pixels in outlines.
_LEAST_EDGES = 0.01


def balanced_entropy(
  logits: Float[Array, 'b h w c'], usable: Bool[Array, 'b h w']
) -> Float[Array, ' b']:
  """Mean over the classes predicted in an image of their pixels' mean entropy.

  So an unsure pole counts as much as an unsure road (the mean over pixels is
  that of the large classes). Not in the papers; macro averages are how the
  field measures classes of unequal size.

  Args:
    logits: of S.
    usable: pixels that count.

  Returns:
    float32 in [0, 1]; 0 for an image without a usable pixel.
  """
  entropy = pixelwise.entropy(logits)
  classes = jax.nn.one_hot(jnp.argmax(logits, -1), logits.shape[-1])
  inside = classes * usable[..., None]
  count = jnp.sum(inside, axis=(1, 2))
  total = jnp.einsum('bhw,bhwc->bc', entropy, inside)
  means = total / jnp.maximum(count, 1.0)
  return jnp.sum(means, -1) / jnp.maximum(jnp.sum(count > 0, -1), 1)


def entropy_per_click(
  logits: Float[Array, 'b h w c'], usable: Bool[Array, 'b h w']
) -> Float[Array, ' b']:
  """Entropy of an image over the length of the outlines in its prediction.

  A cost-aware strategy asks where the expected gain per click is highest;
  clicks are corners of polygons, whose number grows with the length of what
  is outlined.

  Args:
    logits: of S.
    usable: pixels that count.

  Returns:
    float32, at most 100; 0 for an image without a usable pixel.
  """
  entropy = jnp.where(usable, pixelwise.entropy(logits), 0.0)
  predicted = jnp.argmax(logits, -1)
  down = (predicted[:, 1:] != predicted[:, :-1]) & usable[:, 1:]
  right = (predicted[:, :, 1:] != predicted[:, :, :-1]) & usable[:, :, 1:]
  count = jnp.maximum(jnp.sum(usable, axis=(1, 2)), 1)
  edges = (jnp.sum(down, (1, 2)) + jnp.sum(right, (1, 2))) / count
  return jnp.sum(entropy, (1, 2)) / count / jnp.maximum(edges, _LEAST_EDGES)


def true_error(
  logits: Float[Array, 'b h w c'], label: UInt8[Array, 'b h w']
) -> Float[Array, 'b h w']:
  """Where a prediction is wrong, which nobody knows who does not cheat.

  What a perfect map of failures would be worth: the bound that comparisons of
  strategies show.

  Args:
    logits: of S.
    label: the ground truth; void is no error.

  Returns:
    float32 0 or 1.
  """
  wrong = (jnp.argmax(logits, -1) != label) & (label != VOID)
  return wrong.astype(jnp.float32)


# (logits, usable) -> [b], by the name of the score.
IMAGE_SCORES = {
  'balanced_entropy': balanced_entropy,
  'entropy_per_click': entropy_per_click,
}
