"""Losses of SPADE's generator and discriminator (Park et al. 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

FEATURE_WEIGHT = 10.0
PERCEPTUAL_WEIGHT = 10.0
_LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

Judged = Sequence[Sequence[Array]]


def discriminator_hinge(real: Judged, fake: Judged) -> Float[Array, '']:
  """mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)), over scales.

  Args:
    real: of `MultiscaleDiscriminator`, for photographs.
    fake: the same, for drawn pictures.
  """
  terms = [
    jnp.mean(jax.nn.relu(1 - r[-1])) + jnp.mean(jax.nn.relu(1 + f[-1]))
    for r, f in zip(real, fake)
  ]
  return jnp.asarray(sum(terms)) / len(terms)


def generator_hinge(fake: Judged) -> Float[Array, '']:
  """-mean D(fake), over scales."""
  return -jnp.asarray(sum(jnp.mean(f[-1]) for f in fake)) / len(fake)


def feature_matching(real: Judged, fake: Judged) -> Float[Array, '']:
  """Mean absolute difference of every layer but the last.

  Summed over layers, averaged over scales; no gradient through `real`.
  """
  total = 0.0
  for r, f in zip(real, fake):
    for ours, theirs in zip(f[:-1], r[:-1]):
      total += jnp.mean(jnp.abs(ours - jax.lax.stop_gradient(theirs)))
  return jnp.asarray(total) / len(fake)


def perceptual(
  real: Sequence[Array], fake: Sequence[Array]
) -> Float[Array, '']:
  """Weighted mean absolute differences of VGG19's layers.

  Args:
    real: of `VGG19`, for photographs; no gradient goes through them.
    fake: the same, for drawn pictures.
  """
  return jnp.asarray(
    sum(
      weight * jnp.mean(jnp.abs(f - jax.lax.stop_gradient(r)))
      for weight, r, f in zip(_LAYER_WEIGHTS, real, fake)
    )
  )
