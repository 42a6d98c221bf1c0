"""A topic of a recording of ROS, predicted on like a video."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from fsnet_jax.monitor.predict import batches
from fsnet_jax.monitor.predict.inputs import Item, Pending
from fsnet_jax.monitor.predict.video import frame_item
from fsnet_jax.monitor.stream import bags

FOLDER = 'bag'
_USUAL_FPS = 10.0


class Bag:
  """The pictures of a topic.

  Attributes:
    total: see `Input`.
    fps: pictures a second, by their stamps.
    stamp: sizes and times of change of the bag's files.
  """

  def __init__(self, path: pathlib.Path, topic: str):
    """Opens it once, to see whether it has pictures.

    Raises:
      UserError: it has none.
    """
    self._path, self._topic = path, topic
    self.total = bags.count(path, topic)
    self.fps = _rate(np.array(list(bags.stamps(path, topic)), np.int64))
    files = [path] if path.is_file() else sorted(path.iterdir())
    self.stamp = tuple(
      number
      for file in files
      for number in (file.stat().st_size, file.stat().st_mtime_ns)
    )

  @property
  def items(self) -> Iterator[Item]:
    """The pictures."""
    return map(frame_item, range(self.total))

  def pending(self, done: Callable[[Item], bool]) -> Iterator[Pending]:
    """See `Input`."""
    for index, frame in enumerate(bags.read(self._path, self._topic)):
      item, image = frame_item(index), frame.image
      if not done(item):
        yield Pending(item, lambda image=image: image, image[..., 0].size)

  def write(
    self,
    output: pathlib.Path,
    known: Collection[str],
    risks: Mapping[str, float],
    check: Callable[[], None],
  ) -> None:
    """Writes `output/bag`, with the stamps of the source; replaces an old one.

    Args:
      output: folder of the prediction.
      known: names of the pictures that were predicted on.
      risks: image risk of each.
      check: called before each picture; may raise.
    """
    folder = output / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    with bags.Writer(folder) as writer:
      stamps = bags.stamps(self._path, self._topic)
      for index, stamp in enumerate(stamps):
        check()
        name = frame_item(index).name
        if name in known:
          labels, failure = batches.maps_of(output, name)
          writer.write(stamp, labels, failure, risks[name])


def _rate(stamps: np.ndarray) -> float:
  """Pictures a second, by the median of their distances."""
  if len(stamps) < 2:
    return _USUAL_FPS
  distance = float(np.median(np.diff(stamps)))
  return 1e9 / distance if distance > 0 else _USUAL_FPS
