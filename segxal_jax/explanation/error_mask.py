"""The Explainable Error Mask (EEM, paper eq. 3) and the score of an image."""

import functools
import operator
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def explainable_error_mask(
  cam: Float[Array, '*b h w'],
  entropy: Float[Array, '*b h w'],
  alpha: float = 0.5,
  beta: float = 0.5,
  gamma: float = 0.0,
  failure: Float[Array, '*b h w'] | None = None,
) -> Float[Array, '*b h w']:
  """EEM = (alpha PAE + beta EBU + gamma F) / (alpha + beta + gamma).

  The division changes nothing at the paper's alpha = beta = 0.5; with other
  weights it keeps the mask in [0, 1] and ablations (a weight of 0) on the
  same scale. F, the probability that FSNet gives a pixel of being wrong, is
  not in the paper.

  Args:
    cam: proximity-aware Grad-CAM (PAE), in [0, 1].
    entropy: EBU, in [0, 1].
    alpha: weight of PAE; 0 = the ablation without it.
    beta: weight of EBU; 0 = the ablation without it.
    gamma: weight of the failure score.
    failure: in [0, 1]; needed only if gamma is positive.

  Raises:
    ValueError: a negative weight, all weights 0, or a failure score missing.

  Example:
    >>> cam, entropy = jnp.array([[[1.0, 0.0]]]), jnp.array([[[0.5, 0.5]]])
    >>> explainable_error_mask(cam, entropy).tolist()
    [[[0.75, 0.25]]]
    >>> explainable_error_mask(cam, entropy, beta=0.0).tolist()
    [[[1.0, 0.0]]]
  """
  total = alpha + beta + gamma
  if min(alpha, beta, gamma) < 0 or not total > 0:
    raise ValueError(
      f'weights {(alpha, beta, gamma)} must be non-negative, not all 0'
    )
  if gamma and failure is None:
    raise ValueError('gamma is positive but there is no failure score')
  # A weight of 0 leaves the map out altogether: 0 * NaN would be NaN.
  parts = ((alpha, cam), (beta, entropy), (gamma, failure))
  kept = [w * part for w, part in parts if w and part is not None]
  return functools.reduce(operator.add, kept) / total


def by_cost(
  mask: Float[Array, '*b h w'], near: Float[Array, '*b h w'], weight: float
) -> Float[Array, '*b h w']:
  """An error mask of errors that cost more the nearer they are.

  mask (1 + weight near) / (1 + weight): proximity says what an error costs, not
  whether there is one, which is what PAE takes it for. Not in the paper.

  Args:
    mask: in [0, 1].
    near: attention to what is near, in [0, 1]; 0 beyond the near field.
    weight: how much more the nearest counts, not negative; 0 changes nothing.

  Returns:
    The mask, in [0, 1].

  Raises:
    ValueError: a negative weight.
  """
  if weight < 0:
    raise ValueError(f'the weight {weight} of near pixels must not be negative')
  return mask * (1 + weight * near) / (1 + weight) if weight else mask


def image_score(
  mask: Float[Array, '*b h w'],
  usable: Bool[Array, '*b h w'],
  top_share: float = 1.0,
) -> Any:
  """One number for each image: the mean of its mask.

  Args:
    mask: any map; higher = label this first.
    usable: pixels that count (not those of the ego vehicle).
    top_share: mean of the largest values only, this share of the image's
      pixels; 1 = all.

  Returns:
    float32 [*b]; 0 for an image without a usable pixel.
  """
  count = jnp.sum(usable, axis=(-2, -1))
  if top_share >= 1.0:
    total = jnp.sum(jnp.where(usable, mask, 0.0), axis=(-2, -1))
    return total / jnp.maximum(count, 1)
  flat = jnp.where(usable, mask, -jnp.inf).reshape(*mask.shape[:-2], -1)
  ordered = -jnp.sort(-flat, axis=-1)
  kept = jnp.ceil(top_share * count).astype(jnp.int32)[..., None]
  among = jnp.arange(flat.shape[-1]) < kept
  total = jnp.sum(jnp.where(among, ordered, 0.0), axis=-1)
  return jnp.where(count > 0, total / jnp.maximum(kept[..., 0], 1), 0.0)
