"""Grad-CAM by its public name; `explanation/gradcam` holds the parts."""

from segxal_jax.explanation.gradcam.core import (
  CamOptions,
  Explained,
  explain,
  grad_cam,
  unit_range,
)

__all__ = ['CamOptions', 'Explained', 'explain', 'grad_cam', 'unit_range']
