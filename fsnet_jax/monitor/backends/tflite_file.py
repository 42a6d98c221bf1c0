"""A monitor's networks out of a .tflite file: numpy and LiteRT alone."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.backends import archive, other_sizes
from fsnet_jax.monitor.backends.card import FIX, Card
from fsnet_jax.runtime import tflite

MODEL = 'model'
# Of an array inside: 64 channels of 4096x8192.
_MOST_VALUES = 1 << 31
_OUTPUTS = {'labels': np.uint8, 'failure': np.float32, 'flagged': np.bool_}


class TfliteBackend:
  """What `--mode=export --output=x.tflite` wrote; see `monitor.Backend`.

  Attributes:
    classes: see `Backend`.
    threshold: see `Backend`.
    statement: see `Backend`.
    reference: see `Backend`.
    image_size: (h, w) that the model takes; other images are resized.
  """

  def __init__(self, card: Card, content: bytes, path: object):
    """Takes what is in a file; see `open`.

    Raises:
      UserError: LiteRT is missing, or it is no model of the card's size.
    """
    self.classes, self.threshold = card.classes, card.threshold
    self.reference = card.reference
    self.statement, self.image_size = card.statement, card.sizes[0]
    problem = ''
    try:
      self._interpreter = tflite.interpreter(content, path)
      _check_arrays(self._interpreter, self.image_size)
      # Only now is there memory for any of them.
      self._run = tflite.runner(self._interpreter)
    except (ValueError, RuntimeError) as error:
      problem = quoted(error, 160)
    if problem:
      raise UserError(f'{path} is no exported monitor ({problem}): {FIX}.')

  @classmethod
  def open(cls, path: str | os.PathLike[str]) -> TfliteBackend:
    """Opens a file.

    Raises:
      UserError: as the constructor; the file is damaged.
    """
    card, parts = archive.read(path, MODEL)
    return cls(card, parts[MODEL], path)

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See `Backend`; one image after the other."""
    return other_sizes.call(self._networks, images, self.image_size)

  def _networks(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of images at the model's size."""
    labels = np.empty(images.shape[:3], np.uint8)
    failure = np.empty(images.shape[:3], np.float32)
    for index, image in enumerate(images):
      found = self._run(images=image[None])
      labels[index], failure[index] = found['labels'][0], found['failure'][0]
    return labels, failure


def _check_arrays(interpreter: Any, size: tuple[int, int]) -> None:
  """Raises ValueError for a model of other or of larger arrays than ours."""
  signatures = interpreter.get_signature_list()
  names = next(iter(signatures.values()), {})
  if len(signatures) != 1 or (
    names['inputs'] != ['images'] or set(names['outputs']) != set(_OUTPUTS)
  ):
    raise ValueError('it does not take images alone')
  (images,) = interpreter.get_input_details()
  found = sorted(
    (str(np.dtype(one['dtype'])), tuple(map(int, one['shape'])))
    for one in interpreter.get_output_details()
  )
  wanted = sorted(
    (str(np.dtype(kind)), (1, *size)) for kind in _OUTPUTS.values()
  )
  if images['dtype'] != np.uint8 or found != wanted:
    raise ValueError('it gives other arrays than its card says')
  if tuple(map(int, images['shape'])) != (1, *size, 3):
    raise ValueError('it takes images of another size than its card says')
  for one in interpreter.get_tensor_details():
    sides = [int(side) for side in one['shape']]
    if min(sides, default=1) < 0 or math.prod(sides) > _MOST_VALUES:
      raise ValueError('an array in it is too large')
