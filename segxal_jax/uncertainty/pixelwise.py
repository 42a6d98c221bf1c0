"""Uncertainty of a prediction (EBU, paper 3.2 i) and its peers.

Every map lies in [0, 1], higher = less certain, and is computed from logits:
softmax probabilities that underflow to 0 would make 0 * -inf.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer


def entropy(logits: Float[Array, '*b h w c']) -> Float[Array, '*b h w']:
  """Entropy of the softmax in bits, over log2 c (paper eq. 1).

  The division makes images and numbers of classes comparable: 0 for a sure
  prediction, 1 for the uniform one. With one class there is nothing to doubt:
  0 everywhere.

  Args:
    logits: unnormalised class scores; -inf stands for an impossible class.

  Example:
    >>> undecided, sure = [2.0, 2.0], [2.0, -jnp.inf]
    >>> entropy(jnp.array([[[undecided, sure]]])).tolist()
    [[[1.0, 0.0]]]
  """
  classes = logits.shape[-1]
  log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  probs = jnp.exp(log_probs)
  # p ln p -> 0 as p -> 0, also where ln p is -inf.
  terms = jnp.where(probs > 0, probs * log_probs, 0.0)
  nats = -jnp.sum(terms, axis=-1)
  # ln and log2 differ by a factor that cancels.
  return jnp.clip(nats / max(math.log(classes), 1e-30), 0.0, 1.0)


def margin(logits: Float[Array, '*b h w c']) -> Float[Array, '*b h w']:
  """1 - (p1 - p2), with the two largest probabilities p1 and p2.

  With one class p2 is 0, so the map is 0.
  """
  probs = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  if probs.shape[-1] == 1:
    return jnp.zeros(probs.shape[:-1], jnp.float32)
  # Two max passes: a full top-k of each pixel is many times slower on CPU.
  best = jnp.argmax(probs, axis=-1, keepdims=True)
  first = jnp.max(probs, axis=-1)
  classes = jnp.arange(probs.shape[-1])
  second = jnp.max(jnp.where(classes == best, 0.0, probs), axis=-1)
  return 1.0 - (first - second)


def least_confidence(
  logits: Float[Array, '*b h w c'],
) -> Float[Array, '*b h w']:
  """(1 - p1) c / (c - 1): 1 for the uniform prediction.

  With one class the map is 0.
  """
  classes = logits.shape[-1]
  if classes == 1:
    return jnp.zeros(logits.shape[:-1], jnp.float32)
  probs = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
  return (1.0 - jnp.max(probs, axis=-1)) * (classes / (classes - 1))


def patch_histogram_entropy(
  prediction: Integer[Array, '*b h w'], num_classes: int, patch: int = 8
) -> Float[Array, '*b h w']:
  """Entropy of the classes predicted within each patch.

  What the authors' released code draws as "entropy": it sees only how mixed
  the predicted classes are, not how sure the network is. Here in bits over
  log2 min(patch area, classes), so that 1 is the most mixed patch there can
  be. A patch cut by the border counts the pixels that it has.

  Args:
    prediction: classes 0..num_classes - 1.
    num_classes: c.
    patch: side of a patch, pixels.

  Returns:
    The value of a patch at each of its pixels.
  """
  h, w = prediction.shape[-2:]
  rows, columns = -(-h // patch), -(-w // patch)
  votes = jax.nn.one_hot(prediction, num_classes, dtype=jnp.float32)
  pad = ((0, rows * patch - h), (0, columns * patch - w), (0, 0))
  votes = jnp.pad(votes, [(0, 0)] * (votes.ndim - 3) + list(pad))
  shape = votes.shape[:-3] + (rows, patch, columns, patch, num_classes)
  counts = jnp.sum(votes.reshape(shape), axis=(-4, -2))
  share = counts / jnp.sum(counts, axis=-1, keepdims=True)
  logs = jnp.log(jnp.where(share > 0, share, 1.0))
  nats = -jnp.sum(share * logs, axis=-1)
  most = max(math.log(min(patch * patch, num_classes)), 1e-30)
  tiles = jnp.clip(nats / most, 0.0, 1.0)
  tiles = jnp.repeat(jnp.repeat(tiles, patch, axis=-2), patch, axis=-1)
  return tiles[..., :h, :w]
