"""A monitor that watches a stream: frames in, alarms and a log out.

Needs what the monitor needs: of an exported file no jax. `StreamMonitor` is
called with one frame after the other, from a loop of one's own (a ROS node);
`run` is such a loop, with a queue that drops the oldest frame.

Example:

  watched = StreamMonitor(Monitor.load('monitor.onnx'))
  seen = watched(Frame(image, stamp_ns, 'camera 1, frame 17'))
  if seen.risk_alarm or seen.shift_alarm:
    slow_down()
"""

from fsnet_jax.monitor.stream.frames import Frame
from fsnet_jax.monitor.stream.latest import LatestFrames
from fsnet_jax.monitor.stream.watch import Observation, Options, StreamMonitor

__all__ = [
  'Frame',
  'LatestFrames',
  'Observation',
  'Options',
  'StreamMonitor',
]
