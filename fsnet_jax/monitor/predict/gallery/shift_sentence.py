"""What tests for a shift say of what was predicted on, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fsnet_jax.monitor import shift
from fsnet_jax.monitor.calibration_file import CalibrationFile


def of_images(
  calibration: CalibrationFile, found: Mapping[str, np.ndarray]
) -> tuple[str, bool]:
  """What is said of images, and whether they are unlike the calibration's.

  Args:
    calibration: of the monitor.
    found: by `statistics.NAMES`, of all images that were read; [n] each.
  """
  tested = shift.compare(calibration.reference, found)
  if tested.found():
    return (
      'These images are not like those the threshold was calibrated on '
      f'(p = {tested.p_value:.2g}, {tested.statistic}): the limit of '
      f'{_limit(calibration)} does not hold.'
    ), True
  return (
    'No difference from the images that the threshold was calibrated on was '
    f'found (p = {tested.p_value:.2g}, {tested.images} images), which is no '
    'proof that there is none.'
  ), False


def of_stream(
  calibration: CalibrationFile,
  found: Mapping[str, np.ndarray],
  names: Sequence[str],
  fps: float,
) -> tuple[str, bool]:
  """What the test of a stream says of a video, a frame a second.

  Neighbouring frames depend on each other, which the test would take for a
  shift.

  Args:
    calibration: of the monitor.
    found: by `statistics.NAMES`, of all frames; [n] each.
    names: of the frames, in their order.
    fps: frames a second.
  """
  test = shift.StreamTest(calibration.reference)
  for index in range(0, len(names), max(1, round(fps))):
    values = {name: float(own[index]) for name, own in found.items()}
    if test.update(names[index], values):
      return (
        f'From {test.alarm} on at the latest, the video is not like the images '
        'that the threshold was calibrated on (conformal test martingale, '
        f'false alarms {100 * test.level:g} %): the limit of '
        f'{_limit(calibration)} does not hold.'
      ), True
  return (
    'No difference of the video from the images that the threshold was '
    'calibrated on was found (one frame a second), which is no proof that '
    'there is none.'
  ), False


def _limit(calibration: CalibrationFile) -> str:
  return f'{100 * calibration.limit:g} %'
