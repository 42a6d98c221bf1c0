"""What a bootstrap draws: sequences where there are enough, else images.

Apart from the bootstrap itself, since reports say of what an interval is and
need no JAX.
"""

from typing import Literal, NamedTuple

import numpy as np

#: Below so many images there is no interval: draws of one image are all the
#: same, and those of a few hold hardly more than the few.
LEAST_IMAGES = 10


class Units(NamedTuple):
  """What is drawn.

  Attributes:
    name: of one.
    count: how many there are, m.
    of_image: int [n], the unit of each image, 0..m-1.
  """

  name: Literal['image', 'sequence']
  count: int
  of_image: np.ndarray


def units_of(sequence: np.ndarray) -> Units:
  """Sequences if there are enough to draw from, else images.

  Args:
    sequence: int [n], a number for each image, equal within a sequence.
  """
  _, of_image = np.unique(sequence, return_inverse=True)
  count = int(of_image.max(initial=-1)) + 1
  if LEAST_IMAGES <= count < len(sequence):
    return Units('sequence', count, of_image)
  return Units('image', len(sequence), np.arange(len(sequence)))
