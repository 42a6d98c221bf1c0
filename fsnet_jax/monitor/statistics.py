"""What is kept of an image to tell whether later ones are like it."""

from __future__ import annotations

from typing import Any

import numpy as np

from common_lib import json_values
from fsnet_jax.monitor.monitor import MonitorResult

# ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)
NAMES = (
  'failure_mean',
  'failure_q90',
  'flagged_share',
  'label_entropy',
  'brightness',
)


def of_images(
  images: np.ndarray, result: MonitorResult, num_classes: int
) -> dict[str, np.ndarray]:
  """Five numbers an image, by `NAMES`.

  Mean and 90 % quantile of P(wrong), share of flagged pixels, entropy of the
  predicted classes' shares over ln c (what is in the picture), and mean luma
  over 255. All of them are known of any back end, without labels.

  Args:
    images: uint8 [b h w 3].
    result: of a monitor, for them.
    num_classes: c.

  Returns:
    float64 [b] each, all in [0, 1].
  """
  count = len(images)
  flat = result.failure.reshape(count, -1)
  shares = np.stack(
    [
      np.bincount(label.reshape(-1), minlength=num_classes)[:num_classes]
      for label in result.labels
    ]
  ) / max(flat.shape[1], 1)
  with np.errstate(divide='ignore', invalid='ignore'):
    terms = np.where(shares > 0, shares * np.log(shares), 0.0)
  luma = _mean_colors(images) @ np.asarray(_LUMA)
  return {
    'failure_mean': flat.mean(axis=1, dtype=np.float64),
    'failure_q90': np.quantile(flat, 0.9, axis=1).astype(np.float64),
    'flagged_share': result.flagged.reshape(count, -1).mean(axis=1),
    'label_entropy': -terms.sum(axis=1) / np.log(max(num_classes, 2)),
    'brightness': luma / 255,
  }


def _mean_colors(images: np.ndarray) -> np.ndarray:
  """Mean red, green and blue of each image, float64 [b 3].

  Down the columns first, whose bytes lie side by side: fifteen times as fast.
  """
  count, height, width, _ = images.shape
  rows = images.reshape(count, height, 3 * width)
  columns = rows.sum(axis=1, dtype=np.uint32)
  return columns.reshape(count, width, 3).sum(axis=1) / (height * width)


def parsed(value: Any) -> dict[str, tuple[float, ...]]:
  """The numbers of calibration images, as a file has them.

  Args:
    value: of JSON: by `NAMES`, a list with a number for each image.

  Raises:
    BadValue: it is anything else.
  """
  json_values.fields(value, 'reference', NAMES)
  found = {
    name: tuple(
      float(json_values.number(one, name))
      for one in json_values.entries(value[name], name)
    )
    for name in NAMES
  }
  lengths = {len(own) for own in found.values()}
  if len(lengths) != 1 or lengths == {0}:
    raise json_values.BadValue('reference has no or several numbers of images')
  return found
