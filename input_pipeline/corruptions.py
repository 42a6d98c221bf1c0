"""Weather, light and sensor faults painted over images, in five severities.

A shift that any labelled data set can be given: the label stays what it is,
the image gets worse. Severities of noise and JPEG are those of ImageNet-C
(Hendrycks & Dietterich, ICLR 2019); blur is its Gaussian one, relative to the
height of the image, since sizes differ here. Fog follows the scattering law
I t + A (1 - t), t = exp(-air * distance) (Koschmieder), with a distance that
grows from the foot of the image to its middle, as a street's does; rain and
night are drawn in the same spirit. They are stand-ins: real fog and real night
are in the data sets of that name.

Made of OpenCV and NumPy. The libraries for it do not fit here: imagecorruptions
and its continuation ask for the OpenCV with windows, which excludes the one
without, and for numba; albumentations is no longer maintained, and its
successor is under the AGPL.
"""

from __future__ import annotations

import copy
import operator
import re
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from common_lib.errors import UserError
from input_pipeline.class_groups import CoarseSource, GroupedSource
from input_pipeline.sources import Source

SEVERITIES = (1, 2, 3, 4, 5)

_SPEC = re.compile(r'(?P<name>[a-z]+)(?P<severity>\d+)')
# Height that lengths in pixels are for; ImageNet-C's.
_HEIGHT_PX = 224


def fog(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """Air that scatters light: far things vanish in grey, in drifts."""
  height, width = image.shape[:2]
  air = (0.6, 1.0, 1.5, 2.1, 2.8)[severity - 1]
  # 0 at the foot of the image, 1 from a little above its middle on.
  row = np.linspace(0, 1, height, dtype=np.float32)[:, None]
  distance = np.clip(1 / (0.15 + 1.5 * np.maximum(row - 0.4, 0)) / 6, 0, 1)
  drifts = _drifts(height, width, generator)
  passed = np.exp(-air * distance * (0.6 + 0.8 * drifts) - 0.1 * air * drifts)
  grey = 200 + 25 * drifts[..., None]
  return _to_uint8(image * passed[..., None] + grey * (1 - passed[..., None]))


def rain(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """Bright slanted streaks, a thin veil and less light."""
  height, width = image.shape[:2]
  share = (0.002, 0.004, 0.008, 0.013, 0.02)[severity - 1]
  length = max(3, round(height * (0.06 + 0.02 * severity)))
  drops = generator.random((height, width), np.float32)
  drops = (drops < share * 12 / length).astype(np.float32)
  slant = generator.uniform(-0.35, 0.35)
  streaks = cv2.filter2D(
    drops, -1, _streak(length, slant), borderType=cv2.BORDER_REFLECT
  )
  streaks = np.clip(streaks, 0, 1)[..., None]
  dark = 1 - 0.06 * severity
  veil = 0.04 * severity
  wet = (image * dark) * (1 - veil) + 150 * veil
  return _to_uint8(wet + (215 - wet) * 0.6 * streaks)


def night(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """Little light, bluish, with the shot noise that comes with it."""
  light = (0.45, 0.32, 0.22, 0.15, 0.10)[severity - 1]
  linear = (image / np.float32(255)) ** 2.2
  linear *= light * np.array([0.85, 0.95, 1.15], np.float32)
  # Photons at full scale: a good camera at high gain.
  photons = (900.0, 600.0, 400.0, 260.0, 170.0)[severity - 1]
  counted = generator.poisson(linear * photons) / photons
  counted += generator.normal(0, 0.6 / photons, image.shape)
  return _to_uint8(255 * np.clip(counted, 0, 1) ** (1 / 2.2))


def blur(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """A Gaussian blur of 1 to 6 pixels at a height of 224."""
  del generator
  sigma = (1.0, 2.0, 3.0, 4.0, 6.0)[severity - 1] * len(image) / _HEIGHT_PX
  return cv2.GaussianBlur(image, (0, 0), max(sigma, 0.2))


def noise(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """Gaussian noise of 8 to 38 % of the full scale, ImageNet-C's."""
  sigma = 255 * (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
  grain = generator.standard_normal(image.shape, np.float32)
  return _to_uint8(image + sigma * grain)


def jpeg(
  image: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
  """JPEG at quality 25 down to 7, ImageNet-C's."""
  del generator
  quality = (25, 18, 15, 10, 7)[severity - 1]
  settings = (cv2.IMWRITE_JPEG_QUALITY, quality)
  _, file = cv2.imencode('.jpg', image[..., ::-1], settings)
  decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
  assert decoded is not None  # It has just been encoded.
  return np.ascontiguousarray(decoded[..., ::-1])


Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

CORRUPTIONS: dict[str, Corruption] = {
  function.__name__: function
  for function in (fog, rain, night, blur, noise, jpeg)
}


def parse(spec: str) -> tuple[str, int]:
  """Reads a corruption as specs name it.

  Args:
    spec: for example 'fog3'.

  Returns:
    Its name and severity.

  Raises:
    UserError: there is no such corruption or severity.
  """
  match = _SPEC.fullmatch(spec)
  if match and match['name'] in CORRUPTIONS:
    severity = int(match['severity'])
    if severity in SEVERITIES:
      return match['name'], severity
  raise UserError(
    f'unknown corruption {spec!r}; write one of {", ".join(CORRUPTIONS)} and'
    ' a severity from 1 to 5, for example fog3'
  )


def corrupt(
  image: np.ndarray, name: str, severity: int, index: int
) -> np.ndarray:
  """Paints a corruption over an image.

  Args:
    image: uint8 [h, w, 3], RGB; it is not changed.
    name: a key of `CORRUPTIONS`.
    severity: 1 (slight) to 5 (severe).
    index: place of the image in its data set. It alone decides what is
      random, so all severities of an image share drifts, drops and grain.

  Returns:
    uint8 [h, w, 3].
  """
  purpose = zlib.crc32(name.encode())
  generator = np.random.default_rng((purpose, index))
  return CORRUPTIONS[name](image, severity, generator)


class CorruptedSource:
  """A source with every image corrupted; a source itself, picklable."""

  def __init__(self, source: Source, name: str, severity: int):
    """Wraps a source.

    Args:
      source: the scenes; all but 'image' is passed on as it is.
      name: a key of `CORRUPTIONS`.
      severity: 1 to 5.
    """
    self._source = source
    self._name = name
    self._severity = severity

  @property
  def folders(self) -> tuple[str, ...]:
    """The folders of the copies that this source reads."""
    return getattr(self._source, 'folders', ())

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    # Not `dict(...)`: a scene may be of a class of its own.
    scene = copy.copy(self._source[index])
    image = np.array(scene['image'])
    # Fog and rain follow the scene, not the bars of a letterbox around it.
    top, left, bottom, right = scene.get('content', (0, 0, *image.shape[:2]))
    image[top:bottom, left:right] = corrupt(
      np.ascontiguousarray(image[top:bottom, left:right]),
      self._name,
      self._severity,
      operator.index(index),
    )
    scene['image'] = image
    return scene


class CorruptedGroupedSource(CorruptedSource):
  """The same of a source with `groups` to compare."""

  def __init__(self, source: GroupedSource, name: str, severity: int):
    super().__init__(source, name, severity)
    self.groups = source.groups


class CorruptedCoarseSource(CorruptedSource):
  """The same of a source with labels of its own (`class_groups`)."""

  def __init__(self, source: CoarseSource, name: str, severity: int):
    super().__init__(source, name, severity)
    self._coarse = source

  def for_evaluation(self) -> CorruptedGroupedSource:
    """The same scenes with 'label' in trainIds, and `groups` to compare."""
    inner = self._coarse.for_evaluation()
    return CorruptedGroupedSource(inner, self._name, self._severity)


def corrupted(source: Source, spec: str) -> CorruptedSource:
  """Wraps a source with the corruption of a spec such as 'fog3'.

  Raises:
    UserError: there is no such corruption or severity.
  """
  name, severity = parse(spec)
  if isinstance(source, CoarseSource):
    return CorruptedCoarseSource(source, name, severity)
  return CorruptedSource(source, name, severity)


def _drifts(
  height: int, width: int, generator: np.random.Generator
) -> np.ndarray:
  """Smooth noise of several sizes, float32 [h, w] in [0, 1]."""
  total = np.zeros((height, width), np.float32)
  for octave in range(1, 5):
    cells = generator.random((2**octave + 1, 2 ** (octave + 1) + 1), np.float32)
    smooth = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    total += smooth / 2**octave
  low, high = total.min(), total.max()
  return (total - low) / max(high - low, 1e-6)


def _streak(length: int, slant: float) -> np.ndarray:
  """A line to draw drops out with, float32, 1 along it."""
  kernel = np.zeros((length, length), np.float32)
  middle = (length - 1) / 2
  reach = slant * middle
  start = (round(middle - reach), 0)
  stop = (round(middle + reach), length - 1)
  return cv2.line(kernel, start, stop, 1.0, 1, cv2.LINE_AA)


def _to_uint8(image: np.ndarray) -> np.ndarray:
  return np.clip(np.rint(image), 0, 255).astype(np.uint8)
