"""The two losses of FSNet (paper III-B), masked where the label is void."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Integer

_FORMS = ('balanced', 'pos_weight', 'bce', 'wce')


def _masked_mean(values: Array, valid: Array) -> Array:
  """Mean of `values` where `valid`; 0 where nothing is valid."""
  count = jnp.sum(valid.astype(jnp.float32))
  total = jnp.sum(jnp.where(valid, values, 0.0))
  return total / jnp.maximum(count, 1.0)


def segmentation_loss(
  seg_logits: Float[Array, 'b h w c'],
  labels: Integer[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
  weights: Float[Array, 'b h w'] | None = None,
) -> Float[Array, '']:
  """Cross-entropy in nats, averaged over valid pixels (paper eq. 2, L1).

  Args:
    seg_logits: logits of the segmentation network.
    labels: trainIds; any value where `valid` is False.
    valid: True on pixels that count; void pixels are False.
    weights: what each pixel counts, 1 on average; None: all alike.

  Returns:
    The mean, or 0 if no pixel is valid.
  """
  # A label outside [0, c) makes the cross-entropy NaN and its gradient with
  # it, even if it is masked afterwards: replace it first.
  safe_labels = jnp.where(valid, labels, 0).astype(jnp.int32)
  losses = optax.softmax_cross_entropy_with_integer_labels(
    seg_logits.astype(jnp.float32), safe_labels
  )
  if weights is not None:
    losses = losses * weights
  return _masked_mean(losses, valid)


def failure_target(
  seg_logits: Float[Array, 'b h w c'], labels: Integer[Array, 'b h w']
) -> Bool[Array, 'b h w']:
  """True where the predicted class is not the label (paper eq. 3).

  A void label is never equal to a prediction: mask the result with `valid`.
  No gradient flows: an argmax has none.
  """
  return jnp.argmax(seg_logits, axis=-1) != labels.astype(jnp.int32)


def failure_loss(
  failure_logits: Float[Array, '*b'],
  target: Bool[Array, '*b'],
  valid: Bool[Array, '*b'],
  form: str = 'balanced',
  beta_range: tuple[float, float] = (0.5, 0.99),
) -> Float[Array, '']:
  """Balanced binary cross-entropy (paper eq. 4, L2), over valid pixels.

  The printed equation has a sign slip that makes it unbounded below. The two
  valid readings are, with y the target and p the sigmoid of the logit:

  - `balanced` (HED, Xie & Tu 2015): -[b y log p + (1-b) (1-y) log(1-p)] with
    b the share of right pixels in the batch;
  - `pos_weight`: -[r y log p + (1-y) log(1-p)] with r = b / (1-b), which is
    the first divided by (1-b): the same ranking, about 1/error-rate larger.

  DEAL's two are `bce`, without any weight, and `wce`, see `_two_sided`. Phase 3
  takes `bce`: a proper loss, whose least value is at P(wrong).

  Args:
    failure_logits: output of the failure network; higher = wrong.
    target: True where the segmentation is wrong.
    valid: True on pixels that count.
    form: `balanced` or `pos_weight`.
    beta_range: b is clipped to this range, so that a batch with almost no
      error does not put all its weight on a few pixels.

  Returns:
    The mean over valid pixels; 0 for a batch without any wrong pixel, which
    has nothing to balance.

  Raises:
    ValueError: for an unknown form.
  """
  if form not in _FORMS:
    raise ValueError(f'unknown form {form!r}, expected one of {_FORMS}')
  wrong = jnp.logical_and(target, valid)
  if form in ('bce', 'wce'):
    return _two_sided(failure_logits, wrong, valid, form == 'wce')
  num_wrong = jnp.sum(wrong.astype(jnp.float32))
  num_valid = jnp.sum(valid.astype(jnp.float32))
  beta = 1.0 - num_wrong / jnp.maximum(num_valid, 1.0)
  beta = jnp.clip(beta, *beta_range)
  if form == 'balanced':
    positive_weight, negative_weight = beta, 1.0 - beta
  else:
    positive_weight, negative_weight = beta / (1.0 - beta), 1.0
  losses = jnp.where(
    wrong,
    -positive_weight * jax.nn.log_sigmoid(failure_logits),
    -negative_weight * jax.nn.log_sigmoid(-failure_logits),
  )
  loss = _masked_mean(losses, valid)
  return jnp.where(num_wrong > 0, loss, 0.0)


def _two_sided(
  logits: Array, wrong: Array, valid: Array, weighted: bool
) -> Array:
  """Cross-entropy against `wrong`, over valid pixels.

  Weighted, wrong and right pixels are averaged apart and joined by weights
  in proportion to 1 / sqrt(n + 1) of their numbers n (DEAL's code).
  """
  values = jnp.where(
    wrong, -jax.nn.log_sigmoid(logits), -jax.nn.log_sigmoid(-logits)
  )
  if not weighted:
    return _masked_mean(values, valid)
  sides = (wrong, valid & ~wrong)
  weights = [1 / jnp.sqrt(jnp.sum(s.astype(jnp.float32)) + 1) for s in sides]
  means = [_masked_mean(values, side) for side in sides]
  total = jnp.asarray(sum(w * m for w, m in zip(weights, means)))
  return total / sum(weights)
