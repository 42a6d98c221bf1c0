"""Videos through OpenCV: frames one after the other, and back into a file."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from common_lib.errors import UserError
from fsnet_jax.monitor.predict.inputs import Item, Pending

FILE = 'annotated.mp4'
_USUAL_FPS = 25.0
# Some containers have units of time in place of a rate.
_MOST_FPS = 1000.0
# Of streams they say anything at all.
_MOST_FRAMES = 10_000_000


class Video:
  """The frames of a video, upright as OpenCV turns them.

  Attributes:
    total: see `Input`; what the container says, which may be wrong; 0 where
      it says nothing.
    fps: frames a second.
    stamp: size and time of change of the file.
  """

  def __init__(self, path: pathlib.Path):
    """Opens it once, to see whether it is one.

    Raises:
      UserError: it is not.
    """
    self._path = path
    capture = self._opened()
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    self.total = int(count) if 0 < count <= _MOST_FRAMES else 0
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    usable = math.isfinite(fps) and 0 < fps <= _MOST_FPS
    self.fps = fps if usable else _USUAL_FPS
    status = path.stat()
    self.stamp = (status.st_size, status.st_mtime_ns)

  @property
  def items(self) -> Iterator[Item]:
    """The frames that it says it has."""
    return map(frame_item, range(self.total))

  def _opened(self) -> cv2.VideoCapture:
    # By itself OpenCV takes a picture's name for a numbered sequence of them.
    capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
      raise UserError(
        f'--input={self._path} cannot be decoded as a video: give one that '
        'OpenCV reads, such as an mp4, or its frames as a folder of images.'
      )
    return capture

  def pending(self, done: Callable[[Item], bool]) -> Iterator[Pending]:
    """See `Input`."""
    capture = self._opened()
    try:
      index = 0
      # A frame is decoded with those before it, but copied only if wanted.
      while capture.grab():
        item = frame_item(index)
        index += 1
        if done(item):
          continue
        read, frame = capture.retrieve()
        if not read:
          break
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        yield Pending(item, lambda image=image: image, image[..., 0].size)
        del frame, image
    finally:
      capture.release()


def frame_item(index: int) -> Item:
  """How a frame is called, by its number from 0."""
  name = f'frame_{index:06d}'
  return Item(image=name, name=name, group='')


def write(
  path: pathlib.Path,
  frames: Iterable[pathlib.Path],
  fps: float,
  check: Callable[[], None],
) -> bool:
  """Writes pictures as a video; an older one is replaced when it is whole.

  Args:
    path: of an mp4.
    frames: JPEG files, all of the first one's size, in their order.
    fps: frames a second.
    check: called after each frame; raises to stop.

  Returns:
    Whether there is one: OpenCV may lack the encoder, or there is no frame.
  """
  scratch = path.with_name(f'.{path.stem}.partial{path.suffix}')
  writer, size = None, None
  try:
    for file in frames:
      frame = cv2.imdecode(
        np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR
      )
      if frame is None:
        continue
      if writer is None:
        size = frame.shape[1], frame.shape[0]
        code = cv2.VideoWriter.fourcc(*'mp4v')
        writer = cv2.VideoWriter(str(scratch), cv2.CAP_FFMPEG, code, fps, size)
        if not writer.isOpened():
          return False
      if (frame.shape[1], frame.shape[0]) == size:
        writer.write(frame)
      check()
    if writer is None:
      return False
    writer.release()
    os.replace(scratch, path)
    return True
  finally:
    if writer is not None:
      writer.release()
    scratch.unlink(missing_ok=True)
