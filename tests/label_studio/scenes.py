"""Questions about made-up images."""

import cv2
import numpy as np

from common_lib import class_table
from segxal_jax.queries import regions
from segxal_jax.queries.types import Question


def question(index, cycle=1, size=(48, 96)):
  """A question with smooth regions of random classes."""
  rng = np.random.default_rng([cycle, index])
  height, width = size
  field = rng.standard_normal((6, 8, 5)).astype(np.float32)
  large = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
  prediction = rng.permutation(19)[:5][large.argmax(-1)].astype(np.uint8)
  noise = rng.integers(-20, 20, (*size, 3))
  image = np.clip(class_table.CITYSCAPES.colorize(prediction) + noise, 0, 255)
  eem = 1 / (1 + np.exp(large.max(-1)))
  usable = np.ones(size, bool)
  usable[-4:] = False
  segments = regions.patches(size, 16)
  return Question(
    cycle=cycle,
    index=index,
    id=f'scene_{index}',
    image=image.astype(np.uint8),
    prediction=prediction,
    confidence=(1 - eem).astype(np.float32),
    eem=eem.astype(np.float32),
    usable=usable,
    segments=segments,
    regions=regions.rank(eem.astype(np.float32), segments, usable, 2),
    parts={'entropy': (0.5 * eem).astype(np.float32)},
  )


def questions(count, cycle=1):
  return [question(index, cycle) for index in range(count)]
