"""Recordings of ROS: pictures out of a bag, and what a monitor says into one.

`rosbags` reads bags of ROS 1 and 2 and mcap files; ROS itself is not needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
from collections.abc import Generator, Iterator
from typing import Any

import cv2
import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.stream.frames import Frame
from fsnet_jax.monitor.stream.watch import Observation

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
# Channels of an encoding, and what brings them to RGB.
_ENCODINGS = {
  'rgb8': (3, None),
  'bgr8': (3, cv2.COLOR_BGR2RGB),
  '8UC3': (3, cv2.COLOR_BGR2RGB),
  'rgba8': (4, cv2.COLOR_RGBA2RGB),
  'bgra8': (4, cv2.COLOR_BGRA2RGB),
  'mono8': (1, cv2.COLOR_GRAY2RGB),
  '8UC1': (1, cv2.COLOR_GRAY2RGB),
}
_LONGEST_PX = 65_500
_TOPICS = {
  '/fsnet/label': IMAGE,
  '/fsnet/failure': IMAGE,
  '/fsnet/risk': 'std_msgs/msg/Float32',
}
_NANOSECONDS = 1_000_000_000


def parts(source: str) -> tuple[pathlib.Path, str] | None:
  """Folder or file and topic of `BAG:/topic`; None of anything else."""
  path, colon, topic = source.rpartition(':/')
  if not colon or not path or '//' in source[len(path) :]:
    return None
  return pathlib.Path(path).expanduser(), f'/{topic}'


def _library() -> Any:
  """`rosbags`, which not everybody needs.

  Raises:
    UserError: it is not installed.
  """
  if importlib.util.find_spec('rosbags') is None:
    raise UserError(
      'Bags of ROS need the package rosbags: pip install rosbags.'
    )
  import rosbags.highlevel
  import rosbags.rosbag2
  import rosbags.typesys

  return rosbags


def _typestore() -> Any:
  library = _library()
  return library.typesys.get_typestore(library.typesys.Stores.ROS2_JAZZY)


def count(path: pathlib.Path, topic: str) -> int:
  """Number of pictures of a topic.

  Raises:
    UserError: as `read`.
  """
  with _opened(path) as reader:
    return sum(one.msgcount for one in _connections(reader, path, topic))


def stamps(path: pathlib.Path, topic: str) -> Iterator[int]:
  """The stamps of `read`, without decoding a picture.

  Raises:
    UserError: as `read`.
  """
  with _opened(path) as reader:
    connections = _connections(reader, path, topic)
    for connection, recorded, raw in reader.messages(connections=connections):
      message = reader.deserialize(raw, connection.msgtype)
      yield _stamp(message, recorded)


def _stamp(message: Any, recorded: int) -> int:
  """Of a header, or of the recording where the header has none."""
  stamp = message.header.stamp
  return stamp.sec * _NANOSECONDS + stamp.nanosec or recorded


def read(path: pathlib.Path, topic: str) -> Iterator[Frame]:
  """The pictures of a topic, in the order in which they were recorded.

  Args:
    path: folder of a bag of ROS 2, a .bag of ROS 1 or an .mcap file.
    topic: of `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.

  Yields:
    Frames with the stamp of their header, or that of the recording where the
    header has none.

  Raises:
    UserError: no bag, no such topic, or a picture that cannot be read.
  """
  with _opened(path) as reader:
    connections = _connections(reader, path, topic)
    messages = reader.messages(connections=connections)
    for index, (connection, recorded, raw) in enumerate(messages):
      name = f'frame_{index:06d}'
      try:
        message = reader.deserialize(raw, connection.msgtype)
        image = picture(message)
      except (ValueError, KeyError, AttributeError, IndexError) as error:
        raise UserError(
          f'{path}:{topic}: message {index + 1} is no picture '
          f'({quoted(error, 120)}): record rgb8, bgr8, mono8, JPEG or PNG.'
        ) from None
      yield Frame(image, _stamp(message, recorded), name)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Generator[Any]:
  library = _library()
  if not path.exists():
    raise UserError(
      f'{path} does not exist: give BAG:/topic with the folder of a bag.'
    )
  try:
    reader = library.highlevel.AnyReader([path], default_typestore=_typestore())
    reader.open()
  except Exception as error:  # Of many libraries.
    raise UserError(
      f'{path} is no bag that can be read ({quoted(error, 120)}): give the '
      'folder of a ROS 2 bag, a .bag or an .mcap file.'
    ) from None
  try:
    yield reader
  finally:
    reader.close()


def _connections(reader: Any, path: pathlib.Path, topic: str) -> list[Any]:
  """Of a topic that has pictures."""
  pictures = [
    one for one in reader.connections if one.msgtype in (IMAGE, COMPRESSED)
  ]
  found = [one for one in pictures if one.topic == topic]
  if not found:
    names = sorted({one.topic for one in pictures})
    there = ', '.join(quoted(name, 80) for name in names) or 'none'
    raise UserError(
      f'{path} has no pictures under {topic}: give one of its topics of images '
      f'({there}).'
    )
  return found


def picture(message: Any) -> np.ndarray:
  """uint8 [h w 3], RGB, of a message.

  Args:
    message: `sensor_msgs/Image` or `CompressedImage`, as rosbags or rclpy give
      it.

  Raises:
    ValueError: it is no picture of 8 bits.
  """
  data = np.frombuffer(memoryview(message.data), np.uint8)
  if not hasattr(message, 'encoding'):
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
      raise ValueError(f'{message.format!r} cannot be decoded')
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
  encoding = str(message.encoding)
  if encoding not in _ENCODINGS:
    raise ValueError(f'its encoding is {encoding!r}')
  channels, conversion = _ENCODINGS[encoding]
  height, width, step = message.height, message.width, message.step
  if not 0 < height <= _LONGEST_PX or not 0 < width <= _LONGEST_PX:
    raise ValueError(f'it is {height}x{width} pixels')
  if step < width * channels or data.size < step * height:
    raise ValueError(f'{data.size} bytes are too few for {height}x{width}')
  rows = data[: step * height].reshape(height, step)[:, : width * channels]
  image = np.ascontiguousarray(rows).reshape(height, width, channels)
  if conversion is None:
    return image
  return cv2.cvtColor(image, conversion)


class Writer:
  """A new bag with what a monitor says: labels, P(wrong) and image risk.

  A sink of `stream.run`; use it in a `with`.
  """

  def __init__(self, path: pathlib.Path):
    """Nothing is written yet.

    Args:
      path: folder that must not be there.

    Raises:
      UserError: it is there, or rosbags is not.
    """
    library = _library()
    if path.exists():
      raise UserError(f'{path} is there already: remove it, or name another.')
    self._types = _typestore()
    self._bag = library.rosbag2.Writer(path, version=9)
    self._connections: dict[str, Any] = {}

  def __enter__(self) -> Writer:
    self._bag.open()
    for topic, kind in _TOPICS.items():
      self._connections[topic] = self._bag.add_connection(
        topic, kind, typestore=self._types
      )
    return self

  def __exit__(self, *raised: object) -> None:
    self._bag.close()

  def __call__(self, seen: Observation) -> None:
    """Writes the messages of a frame, with its stamp."""
    self.write(
      seen.frame.stamp_ns,
      seen.result.labels[0],
      seen.result.failure[0],
      seen.image_risk,
    )

  def write(
    self,
    stamp_ns: int,
    labels: np.ndarray,
    failure: np.ndarray,
    image_risk: float,
  ) -> None:
    """Writes the three messages of a frame.

    Args:
      stamp_ns: of the source.
      labels: uint8 [h w], as mono8.
      failure: float32 [h w], as 32FC1.
      image_risk: as Float32.
    """
    kinds = self._types.types
    risk = kinds['std_msgs/msg/Float32'](data=float(image_risk))
    found = {
      '/fsnet/label': self._image(stamp_ns, labels, 'mono8'),
      '/fsnet/failure': self._image(
        stamp_ns, np.asarray(failure, np.float32), '32FC1'
      ),
      '/fsnet/risk': risk,
    }
    for topic, message in found.items():
      raw = self._types.serialize_cdr(message, _TOPICS[topic])
      self._bag.write(self._connections[topic], stamp_ns, raw)

  def _image(self, stamp_ns: int, pixels: np.ndarray, encoding: str) -> Any:
    kinds = self._types.types
    seconds, rest = divmod(stamp_ns, _NANOSECONDS)
    header = kinds['std_msgs/msg/Header'](
      stamp=kinds['builtin_interfaces/msg/Time'](sec=seconds, nanosec=rest),
      frame_id='camera',
    )
    height, width = pixels.shape
    return kinds[IMAGE](
      header=header,
      height=height,
      width=width,
      encoding=encoding,
      is_bigendian=0,
      step=width * pixels.itemsize,
      data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
    )
