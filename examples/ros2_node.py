"""A ROS 2 node: `python -m examples.ros2_node --ros-args -p monitor:=m.onnx`.

Subscribes to `image`; publishes `fsnet/label` (mono8), `fsnet/failure`
(32FC1), `fsnet/risk` (Float32) and `fsnet/alarm` (Bool) with the camera's
stamps. A queue of one frame: a late answer about an old frame helps nobody.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.stream import Frame, Observation, StreamMonitor, bags


class Node:
  """The callbacks; everything of ROS is given to it.

  Args:
    monitor: path of an exported monitor or a run.
    publish: called with a topic and a message.
    messages: `Image`, `Float32` and `Bool` of ROS.
  """

  def __init__(self, monitor: str, publish: Any, messages: Any):
    self._watched = StreamMonitor(Monitor.load(monitor))
    self._publish, self._messages = publish, messages

  def on_image(self, message: Any) -> Observation:
    """Looks at an `Image` or `CompressedImage` and publishes what it says."""
    stamp = message.header.stamp
    name = f'{stamp.sec}.{stamp.nanosec:09d}'
    taken = stamp.sec * 1_000_000_000 + stamp.nanosec
    seen = self._watched(Frame(bags.picture(message), taken, name))
    labels, failure = seen.result.labels[0], seen.result.failure[0]
    self._publish('fsnet/label', self._image(message, labels, 'mono8'))
    self._publish('fsnet/failure', self._image(message, failure, '32FC1'))
    self._publish('fsnet/risk', self._messages.Float32(data=seen.image_risk))
    alarm = seen.risk_alarm or seen.shift_alarm
    self._publish('fsnet/alarm', self._messages.Bool(data=alarm))
    return seen

  def _image(self, source: Any, pixels: np.ndarray, encoding: str) -> Any:
    found = self._messages.Image()
    found.header = source.header
    found.height, found.width = pixels.shape
    found.encoding, found.step = encoding, pixels.shape[1] * pixels.itemsize
    found.data = np.ascontiguousarray(pixels).tobytes()
    return found


def main() -> None:
  """Runs the node until it is stopped."""
  import rclpy
  from rclpy import qos
  from sensor_msgs.msg import Image
  from std_msgs.msg import Bool, Float32

  messages = types.SimpleNamespace(Image=Image, Float32=Float32, Bool=Bool)
  rclpy.init()
  node = rclpy.create_node('fsnet_monitor')
  path = node.declare_parameter('monitor', 'monitor.onnx').value
  kinds = {'fsnet/risk': Float32, 'fsnet/alarm': Bool}
  topics = ('fsnet/label', 'fsnet/failure', *kinds)
  senders = {
    topic: node.create_publisher(kinds.get(topic, Image), topic, 1)
    for topic in topics
  }
  callbacks = Node(path, lambda topic, m: senders[topic].publish(m), messages)
  best_effort = qos.ReliabilityPolicy.BEST_EFFORT
  latest = qos.QoSProfile(depth=1, reliability=best_effort)
  node.create_subscription(Image, 'image', callbacks.on_image, latest)
  rclpy.spin(node)


if __name__ == '__main__':
  main()
