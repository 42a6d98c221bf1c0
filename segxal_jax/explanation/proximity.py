"""From depth to proximity and attention (paper 3.2 ii).

Proximity is in [0, 1], 1 = nearest. The paper does not say how depth becomes
attention; every choice here is in docs/architecture.md.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

# Metres below this are taken for this; a depth of 0 would be infinitely near.
_NEAREST_M = 0.1


def proximity(
  depth: Float[np.ndarray, 'h w'],
  usable: Bool[np.ndarray, 'h w'] | None = None,
  *,
  inverse: bool = False,
  percentiles: tuple[float, float] = (2.0, 98.0),
) -> Float[np.ndarray, 'h w']:
  """Scales one image's depth to proximity.

  Metric depth is inverted first (1 / depth is linear in disparity, which is
  what MiDaS-like networks give at once), then scaled by two percentiles of
  the usable pixels, so that neither one noisy pixel nor the ego vehicle's
  bonnet, the nearest thing in every image, sets the scale.

  Args:
    depth: metres, or relative inverse depth if `inverse`; NaN = unknown.
    usable: pixels that set the scale and may be near; False on the ego
      vehicle. Default: all.
    inverse: whether larger values are nearer.
    percentiles: values below the first become 0, above the second 1.

  Returns:
    float32 in [0, 1]; 0 where unknown or not usable, and everywhere if there
    is no contrast at all.
  """
  known = np.isfinite(depth)
  if usable is not None:
    known &= usable
  near = np.zeros(depth.shape, np.float64)
  values = depth[known].astype(np.float64)
  if values.size == 0:
    return near.astype(np.float32)
  if not inverse:
    values = 1.0 / np.maximum(values, _NEAREST_M)
  low, high = np.percentile(values, percentiles)
  if not high > low:
    return near.astype(np.float32)
  near[known] = np.clip((values - low) / (high - low), 0.0, 1.0)
  return near.astype(np.float32)


def otsu_threshold(values: Float[np.ndarray, '...']) -> float:
  """The threshold that splits values in [0, 1] into two classes (Otsu 1979).

  Args:
    values: in [0, 1].

  Returns:
    The lower end of the upper class, in steps of 1/255; 0 without contrast.
  """
  levels = np.clip(np.rint(np.asarray(values) * 255), 0, 255).astype(np.uint8)
  if levels.size == 0 or levels.min() == levels.max():
    return 0.0
  level, _ = cv2.threshold(
    levels.reshape(1, -1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU
  )
  # OpenCV's lower class includes the level itself.
  return (level + 1) / 255


def near_field(
  near: Float[np.ndarray, 'h w'], threshold: str = 'otsu'
) -> Float[np.ndarray, 'h w']:
  """Applies the per-image threshold.

  Args:
    near: of `proximity`.
    threshold: 'otsu' keeps what is nearer than Otsu's threshold of the
      positive values and drops the rest; 'soft' keeps all as it is (what the
      authors' code does).

  Returns:
    Attention in [0, 1].
  """
  if threshold == 'soft':
    return near
  if threshold != 'otsu':
    raise ValueError(f'unknown proximity threshold {threshold!r}')
  positive = near[near > 0]
  if positive.size == 0:
    return near
  return np.where(near >= otsu_threshold(positive), near, 0).astype(np.float32)
