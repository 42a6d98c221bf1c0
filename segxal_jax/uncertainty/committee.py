"""A committee by Monte-Carlo dropout, and how much its members disagree.

Gal and Ghahramani, ICML 2016; query by committee: Seung et al., COLT 1992.
The dropout layers of a network are switched on, at the committee's own rate,
while batch norm stays in evaluation mode; no network needs to know. Under
`vmap` only what follows the first dropout layer is computed for each member.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.errors import UserError


def member_logits(
  apply_fn: Callable[..., Array],
  variables: Any,
  images: Float[Array, 'b h w 3'],
  key: Any,
  members: int,
  rate: float,
) -> Float[Array, 'm b h w c']:
  """Logits of each member.

  Args:
    apply_fn: (variables, images, rngs=...) -> logits, in evaluation mode.
    variables: of the network.
    images: as the network takes them.
    key: PRNG key.
    members: size of the committee.
    rate: share of the channels that each dropout layer drops.

  Raises:
    UserError: the network has no dropout layer.
  """
  dropped = []

  def drop(next_fn, args, kwargs, context):
    layer = context.module
    if not isinstance(layer, nn.Dropout) or context.method_name != '__call__':
      return next_fn(*args, **kwargs)
    dropped.append(layer.path)
    x = args[0]
    # Whole channels of each image: single values of a smooth map say little.
    shape = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
    kept = jax.random.bernoulli(layer.make_rng('dropout'), 1.0 - rate, shape)
    return jnp.where(kept, x / (1.0 - rate), 0.0).astype(x.dtype)

  def one(key):
    with nn.intercept_methods(drop):
      return apply_fn(variables, images, rngs={'dropout': key})

  logits = jax.vmap(one)(jax.random.split(key, members))
  if not dropped:
    raise UserError(
      'A Monte-Carlo dropout committee needs a network with dropout layers: '
      'choose another config.segmentation.name or another strategy.'
    )
  return logits


def vote_entropy(
  logits: Float[Array, 'm b h w c'],
) -> Float[Array, 'b h w']:
  """Entropy of the members' votes over ln min(m, c): 1 = no two agree."""
  members, classes = logits.shape[0], logits.shape[-1]
  votes = jax.nn.one_hot(jnp.argmax(logits, -1), classes)
  return _entropy(jnp.mean(votes, axis=0)) / _largest(min(members, classes))


def consensus_entropy(
  logits: Float[Array, 'm b h w c'],
) -> Float[Array, 'b h w']:
  """Entropy of the mean of the members' softmax, over ln c."""
  mean = jnp.mean(jax.nn.softmax(logits, -1), axis=0)
  return _entropy(mean) / _largest(logits.shape[-1])


def disagreement(
  logits: Float[Array, 'm b h w c'],
) -> Float[Array, 'b h w']:
  """Mean KL divergence of the members from their mean, over ln c.

  Equal to the consensus entropy less the members' mean entropy (BALD).
  """
  probs = jax.nn.softmax(logits, -1)
  within = jnp.mean(_entropy(probs), axis=0)
  between = _entropy(jnp.mean(probs, axis=0)) - within
  return jnp.maximum(between, 0.0) / _largest(logits.shape[-1])


MEASURES = {
  'vote_entropy': vote_entropy,
  'consensus_entropy': consensus_entropy,
  'disagreement': disagreement,
}


def _entropy(probs: Array) -> Array:
  """In nats, over the last axis."""
  logs = jnp.log(jnp.where(probs > 0, probs, 1.0))
  return -jnp.sum(probs * logs, axis=-1)


def _largest(outcomes: int) -> float:
  return max(math.log(outcomes), 1e-30)
