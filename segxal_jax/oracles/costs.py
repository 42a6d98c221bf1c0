"""Clicks that it takes to outline what is labelled."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from common_lib.class_table import VOID

# An outline may be this far from the true border.
TOLERANCE_PX = 1.0


def outline_clicks(mask: Bool[np.ndarray, 'h w']) -> int:
  """Corners of the polygons that outline a mask, holes included.

  The outline is simplified (Douglas-Peucker) to within a pixel, as a careful
  annotator would draw it.
  """
  contours, _ = cv2.findContours(
    mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
  )
  return sum(len(cv2.approxPolyDP(c, TOLERANCE_PX, True)) for c in contours)


def label_clicks(label: UInt8[np.ndarray, 'h w']) -> int:
  """Clicks to outline every region of one class; void needs none."""
  classes = np.unique(label[label != VOID])
  return sum(outline_clicks(label == value) for value in classes)
