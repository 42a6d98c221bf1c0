"""What a monitor says of a stream, frame by frame."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.monitor import Monitor, MonitorResult
from fsnet_jax.monitor.shift import LEVEL, StreamTest
from fsnet_jax.monitor.stream.frames import Frame


@dataclasses.dataclass(frozen=True)
class Options:
  """When there is an alarm.

  Attributes:
    risk_on: image risk from which an image is alarming.
    risk_off: image risk below which it no longer is; at most `risk_on`.
    frames: so many frames in a row turn the alarm on or off.
    shift_every_secs: between two frames that are tested for a shift;
      neighbours depend on each other, which the test would take for one.
    shift_level: probability that the test ever alarms without a shift.
  """

  risk_on: float = 0.3
  risk_off: float = 0.2
  frames: int = 3
  shift_every_secs: float = 1.0
  shift_level: float = LEVEL

  def __post_init__(self):
    """Raises ValueError for limits in the wrong order."""
    if not 0 <= self.risk_off <= self.risk_on <= 1:
      raise ValueError(
        f'risk_off {self.risk_off} and risk_on {self.risk_on} are not '
        '0 <= risk_off <= risk_on <= 1'
      )
    if self.frames < 1:
      raise ValueError(f'{self.frames} frames cannot turn an alarm on')


@dataclasses.dataclass(frozen=True)
class Observation:
  """What is known of a frame.

  Attributes:
    frame: which one.
    result: of the monitor, a batch of one.
    image_risk: expected share of misclassified pixels, in [0, 1].
    flagged_share: of its pixels.
    risk_alarm: whether the stream is alarming by its risk now.
    shift_alarm: whether the stream is no longer like the images that the
      threshold was calibrated on; once on, it stays.
    milliseconds: that the monitor took.
  """

  frame: Frame
  result: MonitorResult
  image_risk: float
  flagged_share: float
  risk_alarm: bool
  shift_alarm: bool
  milliseconds: float


class RiskAlarm:
  """An alarm with hysteresis: it neither flickers nor sticks.

  Attributes:
    is_on: now.
  """

  def __init__(self, options: Options):
    """Off."""
    self._options = options
    self._row, self.is_on = 0, False

  def update(self, risk: float) -> bool:
    """Takes the risk of the next frame; returns whether the alarm is on."""
    options = self._options
    against = risk < options.risk_off if self.is_on else risk >= options.risk_on
    self._row = self._row + 1 if against else 0
    if self._row == options.frames:
      self.is_on, self._row = not self.is_on, 0
    return self.is_on


class StreamMonitor:
  """A monitor, an alarm by risk and one by shift.

  Attributes:
    tests_shift: whether the monitor knows what it was calibrated on.
  """

  def __init__(self, monitor: Monitor, options: Options | None = None):
    """Nothing seen yet.

    Args:
      monitor: calibrated, for the alarm by shift.
      options: when there is an alarm.
    """
    self._monitor = monitor
    self._options = options if options is not None else Options()
    self._alarm = RiskAlarm(self._options)
    reference = monitor.reference
    self._shift = None
    if reference is not None:
      self._shift = StreamTest(reference, self._options.shift_level)
    self._tested_ns: int | None = None

  @property
  def tests_shift(self) -> bool:
    """See above."""
    return self._shift is not None

  def __call__(self, frame: Frame) -> Observation:
    """Looks at the next frame.

    Args:
      frame: later than those before; a stamp that goes back starts the
        spacing of the shift test anew.

    Raises:
      ValueError: its image is none.
    """
    images = np.asarray(frame.image)[None]
    start = time.perf_counter()
    result = self._monitor(images)
    milliseconds = 1e3 * (time.perf_counter() - start)
    risk = float(result.image_risk[0])
    return Observation(
      frame=frame,
      result=result,
      image_risk=risk,
      flagged_share=float(result.flagged.mean()),
      risk_alarm=self._alarm.update(risk),
      shift_alarm=self._is_shifted(frame, images, result),
      milliseconds=milliseconds,
    )

  def _is_shifted(
    self, frame: Frame, images: np.ndarray, result: MonitorResult
  ) -> bool:
    if self._shift is None:
      return False
    last, now = self._tested_ns, frame.stamp_ns
    spacing_ns = 1e9 * self._options.shift_every_secs
    if last is None or now < last or now - last >= spacing_ns:
      self._tested_ns = now
      classes = self._monitor.classes.num_classes
      values = statistics.of_images(images, result, classes)
      self._shift.update(
        frame.name, {name: float(own[0]) for name, own in values.items()}
      )
    return bool(self._shift.alarm)
