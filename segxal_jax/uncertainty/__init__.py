"""Uncertainty of a prediction, one file a score; higher = less certain."""

from segxal_jax.uncertainty.pixelwise import (
  entropy,
  least_confidence,
  margin,
  patch_histogram_entropy,
)

__all__ = ['entropy', 'least_confidence', 'margin', 'patch_histogram_entropy']
