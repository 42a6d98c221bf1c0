"""Do several views of one surface agree? (ViewAL, Siddiqui et al., CVPR 2020)

Each pixel is lifted to the world by its depth and looked up in the other
views; a view in which something else stands in front does not count. What the
views predict of the same point is averaged: the entropy of that mean is high
where views are unsure or contradict each other, and the divergence from it
tells which view differs most.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

# Added to probabilities before the logarithm of a ratio, as the authors do.
_EPSILON = 1e-8


class ViewScores(NamedTuple):
  """How far the views of a scene agree.

  Attributes:
    entropy: [v h w] of the mean over the views that see the point, over ln c.
    divergence: [v h w] mean KL divergence, in bits, of the pixel's own
      probabilities from those of the other views; 0 where none shows it.
  """

  entropy: np.ndarray
  divergence: np.ndarray


def unprojected(
  depth: Float[np.ndarray, 'h w'], camera: Float[np.ndarray, '13']
) -> Float[np.ndarray, 'h w 3']:
  """World coordinates of each pixel, metres.

  Args:
    depth: metres along the camera's z axis.
    camera: as `street_views.as_vector` lays it out.
  """
  height, width = depth.shape
  rotation, position, focal = _parts(camera)
  x = (np.arange(width) - (width - 1) / 2) / focal
  y = (np.arange(height) - (height - 1) / 2) / focal
  local = np.stack(
    [
      np.broadcast_to(x, depth.shape) * depth,
      np.broadcast_to(y[:, None], depth.shape) * depth,
      depth,
    ],
    axis=-1,
  )
  return local @ rotation + position


def looked_up(
  points: Float[np.ndarray, 'h w 3'],
  other_points: Float[np.ndarray, 'h w 3'],
  camera: Float[np.ndarray, '13'],
  tolerance: float,
) -> tuple[Int[np.ndarray, 'h w'], Bool[np.ndarray, 'h w']]:
  """Where another view shows each point, and whether it does.

  Args:
    points: world coordinates of a view's pixels.
    other_points: those of the other view's pixels.
    camera: of the other view.
    tolerance: metres that the two may be apart.

  Returns:
    The nearest pixel of the other view, as a flat number (0 where there is
    none), and True where it shows the point.
  """
  height, width = other_points.shape[:2]
  rotation, position, focal = _parts(camera)
  local = (points - position) @ rotation.T
  ahead = local[..., 2] > 1e-3
  scale = focal / np.where(ahead, local[..., 2], 1.0)
  column = np.rint(local[..., 0] * scale + (width - 1) / 2)
  row = np.rint(local[..., 1] * scale + (height - 1) / 2)
  inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
  seen = ahead & inside
  index = np.where(seen, row * width + column, 0).astype(np.int64)
  gap = np.linalg.norm(points - other_points.reshape(-1, 3)[index], axis=-1)
  return index, seen & (gap < tolerance)


def view_scores(
  probs: Float[np.ndarray, 'v h w c'],
  depth: Float[np.ndarray, 'v h w'],
  cameras: Float[np.ndarray, 'v 13'],
  tolerance: float = 1.0,
) -> ViewScores:
  """Entropy and divergence of each pixel of each view of one scene.

  Args:
    probs: class probabilities.
    depth: metres.
    cameras: one a view.
    tolerance: metres; 1 is the authors'.
  """
  views, height, width, classes = probs.shape
  probs = probs.astype(np.float64)
  flat = probs.reshape(views, -1, classes)
  points = [unprojected(d, c) for d, c in zip(depth, cameras, strict=True)]
  entropy = np.empty((views, height, width))
  divergence = np.zeros((views, height, width))
  for i in range(views):
    total, others = probs[i].copy(), np.zeros((height, width))
    for j in range(views):
      if i == j:
        continue
      index, seen = looked_up(points[i], points[j], cameras[j], tolerance)
      theirs = flat[j][index]
      total += np.where(seen[..., None], theirs, 0.0)
      ratio = np.log2((probs[i] + _EPSILON) / (theirs + _EPSILON))
      divergence[i] += np.where(seen, np.sum(probs[i] * ratio, axis=-1), 0.0)
      others += seen
    mean = total / (1 + others)[..., None]
    logs = np.log(np.where(mean > 0, mean, 1.0))
    entropy[i] = -np.sum(mean * logs, axis=-1) / max(math.log(classes), 1e-30)
    divergence[i] /= np.maximum(others, 1)
  return ViewScores(entropy, np.maximum(divergence, 0.0))


def _parts(camera: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
  """Rotation, position and focal length in pixels."""
  camera = camera.astype(np.float64)
  return camera[:9].reshape(3, 3), camera[9:12], float(camera[12])
