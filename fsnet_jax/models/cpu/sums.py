"""Sums over channels in the form that the back end runs fastest."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms


def of_products(
  a: Float[Array, '...'], b: Float[Array, '...'], axis: int = -1
) -> Float[Array, '...']:
  """Sum of a times b over an axis.

  What XLA's CPU back end makes of a sum over the product of an exponential and
  its exponent, an entropy's, takes five times as long as the dot product.

  Args:
    a: any numbers.
    b: of the same shape.
    axis: what is summed over; it is gone in the result.
  """
  if conv_forms.rewriting() and axis in (-1, a.ndim - 1):
    return jnp.einsum('...c,...c->...', a, b)
  return jnp.sum(a * b, axis=axis)
