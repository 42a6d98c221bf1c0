"""Segmentation networks S: one file a network, one contract (`protocol`)."""

from fsnet_jax.models.segmentation.protocol import (
  SegmentationNetwork,
  SegmentationOutput,
)

__all__ = ['SegmentationNetwork', 'SegmentationOutput']
