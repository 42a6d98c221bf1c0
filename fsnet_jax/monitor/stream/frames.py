"""One picture of a stream, and streams that OpenCV opens."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time
from collections.abc import Iterator

import cv2
import numpy as np

from common_lib.errors import UserError

_USUAL_FPS = 25.0
_MOST_FPS = 1000.0


@dataclasses.dataclass(frozen=True)
class Frame:
  """One picture.

  Attributes:
    image: uint8 [h w 3], RGB.
    stamp_ns: when it was taken, in nanoseconds since any moment.
    name: what logs call it.
  """

  image: np.ndarray
  stamp_ns: int
  name: str


def of_opencv(source: str) -> Iterator[Frame]:
  """The frames of a camera or a video.

  Args:
    source: number of a camera, the address of a stream, or a file.

  Yields:
    Frames; those of a file are stamped by its rate from 0, others by the clock.

  Raises:
    UserError: it cannot be opened.
  """
  is_file = not source.isdecimal() and pathlib.Path(source).exists()
  if source.isdecimal():
    capture = cv2.VideoCapture(int(source))
  else:
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
  try:
    if not capture.isOpened():
      raise UserError(
        f'--input={source} cannot be opened: give the number of a camera, the '
        'address of a stream, a video, or BAG:/topic.'
      )
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    if not (math.isfinite(fps) and 0 < fps <= _MOST_FPS):
      fps = _USUAL_FPS
    index = 0
    while True:
      read, picture = capture.read()
      if not read:
        return
      stamp = round(1e9 * index / fps) if is_file else time.time_ns()
      image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
      yield Frame(image, stamp, f'frame_{index:06d}')
      index += 1
  finally:
    capture.release()
