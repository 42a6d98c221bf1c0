"""A loop over a stream: a thread that reads, a monitor, a log."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from common_lib.files import write_json
from fsnet_jax.monitor.stream.frames import Frame
from fsnet_jax.monitor.stream.latest import LatestFrames
from fsnet_jax.monitor.stream.watch import Observation, StreamMonitor

LOG, SUMMARY = 'stream.jsonl', 'summary.json'
# Between two looks at whether to stop.
_WAIT_SECS = 0.2
Sink = Callable[[Observation], None]


@dataclasses.dataclass(frozen=True)
class Summary:
  """What came of a stream.

  Attributes:
    frames: that were looked at.
    dropped: that were not, because newer ones had come.
    latency_ms_p50: from the arrival of a frame to what is known of it, median.
    latency_ms_p95: likewise, 95 % quantile.
    risk_alarm_frames: frames with the alarm by risk on.
    shift_alarm: name of the frame with the alarm by shift; '' for none.
  """

  frames: int
  dropped: int
  latency_ms_p50: float
  latency_ms_p95: float
  risk_alarm_frames: int
  shift_alarm: str


def run(
  frames: Iterable[Frame],
  watched: StreamMonitor,
  output: pathlib.Path,
  *,
  queue: LatestFrames | None = None,
  sinks: Sequence[Sink] = (),
  stop: Callable[[], bool] = lambda: False,
) -> Summary:
  """Looks at a stream until it ends.

  Args:
    frames: the stream.
    watched: the monitor.
    output: folder of `stream.jsonl`, a line a frame, and `summary.json`.
    queue: between the stream and the monitor, each in a thread of its own: the
      monitor gets the newest frames; None to have it look at each frame.
    sinks: called with each observation, in order.
    stop: asked between frames.

  Raises:
    Exception: whatever reading a frame or a sink raises; what is logged stays.
  """
  output.mkdir(parents=True, exist_ok=True)
  latencies: list[float] = []
  alarmed, shifted = 0, ''
  with contextlib.ExitStack() as stack:
    log = stack.enter_context((output / LOG).open('w', encoding='utf-8'))
    arriving = _all(frames)
    if queue is not None:
      arriving = stack.enter_context(_newest(frames, queue, stop))
    for frame, waited in arriving:
      seen = watched(frame)
      latencies.append(1e3 * waited + seen.milliseconds)
      alarmed += seen.risk_alarm
      if seen.shift_alarm and not shifted:
        shifted = frame.name
      row = _row(seen, waited, queue.dropped if queue else 0)
      log.write(json.dumps(row) + '\n')
      log.flush()
      for sink in sinks:
        sink(seen)
      if stop():
        break
  measured = np.array(latencies or [0.0])
  summary = Summary(
    frames=len(latencies),
    dropped=queue.dropped if queue else 0,
    latency_ms_p50=round(float(np.quantile(measured, 0.5)), 3),
    latency_ms_p95=round(float(np.quantile(measured, 0.95)), 3),
    risk_alarm_frames=alarmed,
    shift_alarm=shifted,
  )
  write_json(output / SUMMARY, dataclasses.asdict(summary))
  return summary


def _all(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
  """Each frame, as soon as it is wanted."""
  for frame in frames:
    yield frame, 0.0


@contextlib.contextmanager
def _newest(
  frames: Iterable[Frame], queue: LatestFrames, stop: Callable[[], bool]
) -> Generator[Iterator[tuple[Frame, float]]]:
  """The frames that are not dropped, and how long each has waited."""
  problems: list[BaseException] = []

  def read() -> None:
    try:
      for frame in frames:
        queue.put(frame)
        if queue.closed:
          return
    except BaseException as error:
      problems.append(error)
    finally:
      queue.close()

  def arriving() -> Iterator[tuple[Frame, float]]:
    while True:
      closed = queue.closed  # Asked first: a frame may come before it closes.
      found = queue.get(_WAIT_SECS)
      if found is not None:
        yield found
      elif closed or stop():
        break
    if problems:
      raise problems[0]

  reader = threading.Thread(target=read, daemon=True)
  reader.start()
  try:
    yield arriving()
  finally:
    queue.close()
    reader.join(_WAIT_SECS)


def paced(frames: Iterable[Frame]) -> Iterator[Frame]:
  """Frames of a recording at the times of their stamps, as a camera's come."""
  start = first = None
  for frame in frames:
    now = time.perf_counter()
    if start is None or first is None or frame.stamp_ns < first:
      start, first = now, frame.stamp_ns
    ahead = (frame.stamp_ns - first) / 1e9 - (now - start)
    if ahead > 0:
      time.sleep(ahead)
    yield frame


def _row(seen: Observation, waited: float, dropped: int) -> dict[str, Any]:
  """A line of the log."""
  return {
    'frame': seen.frame.name,
    'stamp_ns': seen.frame.stamp_ns,
    'image_risk': round(seen.image_risk, 6),
    'flagged_share': round(seen.flagged_share, 6),
    'risk_alarm': seen.risk_alarm,
    'shift_alarm': seen.shift_alarm,
    'waited_ms': round(1e3 * waited, 3),
    'milliseconds': round(seen.milliseconds, 3),
    'dropped': dropped,
  }
