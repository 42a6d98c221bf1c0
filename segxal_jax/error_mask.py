"""The Explainable Error Mask by its public name; see `explanation`."""

from segxal_jax.explanation.error_mask import (
  explainable_error_mask,
  image_score,
)

__all__ = ['explainable_error_mask', 'image_score']
