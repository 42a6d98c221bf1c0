"""Random changes of training scenes, image and label together.

A transform is `(element, generator) -> element`, where the element holds
`image` (uint8 [h, w, 3], RGB) and `label` (uint8 [h, w], trainIds or 255). It
keeps sizes and types, writes to none of its inputs (they may be shared) and
draws all its randomness from the generator it is given, so a scene's changes
depend on the run's seed and the scene's place in the run alone.

FSNet and SynthCP use `flip` alone. The rest is for those who train longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from common_lib.class_table import VOID
from common_lib.errors import UserError
from input_pipeline import corruptions
from input_pipeline.resizing import FILL

Element = dict[str, np.ndarray]
Transform = Callable[[Element, np.random.Generator], Element]

_LUMA = (0.299, 0.587, 0.114)


def random_flip(element: Element, generator: np.random.Generator) -> Element:
  """Mirrors left and right with probability 1/2."""
  if generator.random() < 0.5:
    return element
  return {
    **element,
    # Twenty times as fast as numpy's copy of a reversed view.
    'image': cv2.flip(element['image'], 1),
    'label': cv2.flip(element['label'], 1),
  }


def random_scale_crop(
  element: Element,
  generator: np.random.Generator,
  scales: tuple[float, float] = (0.5, 2.0),
) -> Element:
  """Scales and cuts out a window of the same size at a random place.

  Above scale 1 it resizes a smaller window of the scene; only that window is
  computed. Below 1 the whole scene shrinks and lies somewhere on a canvas
  whose rest is void. Image pixels are interpolated (bilinear, area mean when
  shrinking), labels take the nearest pixel centre of the same window.

  Args:
    element: image and label.
    generator: draws scale (log-uniform) and place.
    scales: smallest and largest factor, above 0.

  Returns:
    Element of the same size.
  """
  image, label = element['image'], element['label']
  height, width = label.shape
  low, high = np.log(scales)
  scale = math.exp(generator.uniform(low, high))
  if scale >= 1:
    window = max(1, round(height / scale)), max(1, round(width / scale))
    top, left = _place(generator, (height, width), window)
    rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
    return {
      **element,
      'image': _resize_image(image[rows, columns], (height, width)),
      'label': _resize_label(label[rows, columns], (height, width)),
    }
  small = max(1, round(height * scale)), max(1, round(width * scale))
  top, left = _place(generator, (height, width), small)
  rows, columns = slice(top, top + small[0]), slice(left, left + small[1])
  image_canvas = np.empty_like(image)
  image_canvas[:] = FILL
  image_canvas[rows, columns] = _resize_image(image, small)
  label_canvas = np.full_like(label, VOID)
  label_canvas[rows, columns] = _resize_label(label, small)
  return {**element, 'image': image_canvas, 'label': label_canvas}


def color_jitter(
  element: Element,
  generator: np.random.Generator,
  brightness: float = 0.3,
  contrast: float = 0.3,
  saturation: float = 0.3,
  hue: float = 0.03,
) -> Element:
  """Changes brightness, contrast, saturation and hue of the image.

  All four are linear in RGB (hue as a rotation about the grey axis), so they
  are one 3x4 matrix and one pass, rounded and clipped once to 0..255. Other
  libraries clip after each step and turn hue in HSV.

  Args:
    element: image and label; the label stays.
    generator: draws the four amounts, uniformly.
    brightness: factor within 1 -+ this.
    contrast: factor within 1 -+ this, about the image's mean luma.
    saturation: factor within 1 -+ this, about each pixel's luma.
    hue: turn within -+ this, as a share of the circle.

  Returns:
    Element with the changed image.
  """
  image = element['image']
  light, sharpness, color = (
    generator.uniform(1 - amount, 1 + amount)
    for amount in (brightness, contrast, saturation)
  )
  turn = 2 * math.pi * generator.uniform(-hue, hue)
  luma = np.tile(_LUMA, (3, 1))
  # Rodrigues' rotation about (1, 1, 1) / sqrt(3).
  cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
  rotation = (
    math.cos(turn) * np.eye(3)
    + math.sin(turn) * cross
    + (1 - math.cos(turn)) * np.full((3, 3), 1 / 3)
  )
  matrix = (luma + color * (np.eye(3) - luma)) @ rotation
  mean_luma = np.dot(_LUMA, cv2.mean(image)[:3])
  matrix = light * sharpness * matrix
  offset = np.full((3, 1), light * (1 - sharpness) * mean_luma)
  changed = cv2.transform(image, np.hstack([matrix, offset]))
  return {**element, 'image': changed}


def gaussian_blur(
  element: Element,
  generator: np.random.Generator,
  sigma_px: tuple[float, float] = (0.1, 1.5),
) -> Element:
  """Blurs the image with probability 1/2; the label stays.

  Args:
    element: image and label.
    generator: draws whether, and the standard deviation (uniform).
    sigma_px: smallest and largest standard deviation, pixels.

  Returns:
    Element with the changed image.
  """
  if generator.random() < 0.5:
    return element
  sigma = generator.uniform(*sigma_px)
  return {**element, 'image': cv2.GaussianBlur(element['image'], (0, 0), sigma)}


def gaussian_noise(
  element: Element,
  generator: np.random.Generator,
  sigma: tuple[float, float] = (0.0, 10.0),
) -> Element:
  """Adds independent noise to each value of the image; the label stays.

  Args:
    element: image and label.
    generator: draws the standard deviation (uniform) and the noise.
    sigma: smallest and largest standard deviation, on the scale 0..255.

  Returns:
    Element with the changed image, rounded and clipped to 0..255.
  """
  image = element['image']
  noise = generator.standard_normal(image.shape, np.float32)
  noisy = image + noise * np.float32(generator.uniform(*sigma))
  return {
    **element,
    'image': np.clip(np.rint(noisy), 0, 255).astype(np.uint8),
  }


def gamma(
  element: Element,
  generator: np.random.Generator,
  log_range: tuple[float, float] = (-0.5, 0.7),
) -> Element:
  """Raises the image's values, as shares of 255, to a power.

  Args:
    element: image and label; the label stays.
    generator: draws the logarithm of the power, uniformly.
    log_range: its smallest and largest value; above 0 darkens.

  Returns:
    Element with the changed image.
  """
  power = math.exp(generator.uniform(*log_range))
  table = 255.0 * (np.arange(256) / 255.0) ** power
  table = np.rint(table).astype(np.uint8)
  return {**element, 'image': cv2.LUT(element['image'], table)}


def mild_shift(element: Element, generator: np.random.Generator) -> Element:
  """Another camera, light or weather, slightly; each part at times.

  Scale and crop (p 0.6), colour jitter, gamma (p 0.6) and, with p 0.5, one
  corruption of severity 1 or 2 (noise: 1), so that a network sees its own
  errors outside of what it was trained on.

  Args:
    element: image and label.
    generator: draws everything.

  Returns:
    Element of the same size.
  """
  return _shift(element, generator, 2)


def strong_shift(element: Element, generator: np.random.Generator) -> Element:
  """As `mild_shift`, with severities from 1 to 4 (noise: to 3).

  Under the worst of them networks answer with a few classes only, which is
  no use for images near the training set.
  """
  return _shift(element, generator, 4)


def _shift(
  element: Element, generator: np.random.Generator, worst: int
) -> Element:
  if generator.random() < 0.6:
    element = random_scale_crop(element, generator)
  element = color_jitter(element, generator, 0.4, 0.4, 0.5, 0.04)
  if generator.random() < 0.6:
    element = gamma(element, generator)
  if generator.random() < 0.5:
    return element
  names = list(corruptions.CORRUPTIONS)
  name = names[generator.integers(len(names))]
  most = worst - 1 if name == 'noise' else worst
  severity = int(generator.integers(1, most + 1))
  image = corruptions.CORRUPTIONS[name](element['image'], severity, generator)
  return {**element, 'image': image}


TRANSFORMS: Mapping[str, Transform] = {
  'flip': random_flip,
  'scale_crop': random_scale_crop,
  'color_jitter': color_jitter,
  'blur': gaussian_blur,
  'noise': gaussian_noise,
  'gamma': gamma,
  'mild_shift': mild_shift,
  'strong_shift': strong_shift,
}


def resolve(names: Sequence[str | Transform]) -> tuple[Transform, ...]:
  """Finds transforms by name.

  Args:
    names: names of `TRANSFORMS`, applied in this order; a function stands for
      itself.

  Returns:
    The functions.

  Raises:
    UserError: an unknown name.
  """
  if isinstance(names, str):
    raise UserError(f"data.augment is {names!r}; write ('{names}',)")
  unknown = [n for n in names if not callable(n) and n not in TRANSFORMS]
  if unknown:
    raise UserError(
      f'data.augment has the unknown transform {unknown[0]!r}; there are'
      f' {", ".join(TRANSFORMS)}'
    )
  return tuple(n if callable(n) else TRANSFORMS[n] for n in names)


def _place(
  generator: np.random.Generator,
  outer: tuple[int, int],
  inner: tuple[int, int],
) -> tuple[int, int]:
  """Top left corner of a window placed anywhere inside a larger one."""
  return (
    int(generator.integers(outer[0] - inner[0] + 1)),
    int(generator.integers(outer[1] - inner[1] + 1)),
  )


def _resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  shrinks = size[0] < image.shape[0]
  method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
  return cv2.resize(image, size[::-1], interpolation=method)


def _resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  # INTER_NEAREST takes the corner of the cell instead of its centre and would
  # shift labels against images by half a pixel.
  return cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
