"""A stream is watched: alarms, a queue that drops, a log."""

import json
import threading
import time

import cv2
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.monitor import Monitor, statistics
from fsnet_jax.monitor.stream import (
  Frame,
  LatestFrames,
  Options,
  StreamMonitor,
  __main__,
  frames,
  run,
)
from fsnet_jax.monitor.stream.watch import RiskAlarm
from tests.fsnet_jax.monitor.predict import stub


def _frame(index, green=0, rng=None, stamp_ns=None):
  """P(wrong) is green / 255 at each pixel."""
  rng = np.random.default_rng(index) if rng is None else rng
  image = stub.picture(rng, 8, 12, green)
  stamp = index * 10**9 if stamp_ns is None else stamp_ns
  return Frame(image, stamp, f'frame_{index:06d}')


def _reference(count=200, seed=0):
  """Of frames with a green of 40 to 60."""
  rng = np.random.default_rng(seed)
  monitor = Monitor(stub.Stub())
  found = {}
  for _ in range(count):
    images = stub.picture(rng, 8, 12, int(rng.integers(40, 61)))[None]
    for name, own in statistics.of_images(images, monitor(images), 3).items():
      found.setdefault(name, []).append(float(own[0]))
  return found


def test_an_alarm_neither_flickers_nor_sticks():
  alarm = RiskAlarm(Options(risk_on=0.5, risk_off=0.3, frames=2))
  risks = [0.6, 0.1, 0.5, 0.9, 0.4, 0.2, 0.4, 0.2, 0.2, 0.2]
  assert [alarm.update(risk) for risk in risks] == [
    *(False, False, False, True, True, True, True, True, False, False)
  ]


@pytest.mark.parametrize(
  'wrong',
  [
    {'risk_on': 0.2, 'risk_off': 0.3},
    {'risk_on': 1.5},
    {'risk_off': -0.1},
    {'frames': 0},
  ],
)
def test_limits_that_make_no_sense(wrong):
  with pytest.raises(ValueError, match=r'risk_off|frames'):
    Options(**wrong)


def test_it_says_what_the_monitor_says():
  watched = StreamMonitor(Monitor(stub.Stub(threshold=0.5)))
  assert not watched.tests_shift
  frame = _frame(0, green=204)
  seen = watched(frame)
  assert seen.image_risk == pytest.approx(0.8) and seen.flagged_share == 1.0
  np.testing.assert_array_equal(seen.result.labels[0], frame.image[..., 0] % 3)
  assert not seen.risk_alarm and not seen.shift_alarm
  with pytest.raises(ValueError, match='not uint8'):
    watched(Frame(frame.image[..., 0], 0, 'grey'))


def test_a_shift_is_noticed_once_and_rarely_without_one():
  rng = np.random.default_rng(1)
  monitor = Monitor(stub.Stub(threshold=0.5, reference=_reference()))
  like = StreamMonitor(monitor)
  for index in range(300):
    seen = like(_frame(index, int(rng.integers(40, 61)), rng))
  assert not seen.shift_alarm
  # Noise of P(wrong) that was never seen: greens of 120.
  shifted = [like(_frame(index, 120, rng)) for index in range(300, 330)]
  alarms = [seen.shift_alarm for seen in shifted]
  assert not alarms[0] and alarms[-1]
  assert alarms == sorted(alarms)


def test_neighbouring_frames_are_not_tested():
  """At 20 frames a second one of them is."""
  rng = np.random.default_rng(2)
  monitor = Monitor(stub.Stub(threshold=0.5, reference=_reference()))
  dense, thinned = StreamMonitor(monitor), StreamMonitor(monitor)
  for index in range(40):
    one = _frame(index, 255, rng, stamp_ns=index * 5 * 10**7)
    seen = dense(one)
    if index % 20 == 0:
      kept = thinned(one)
  assert seen.shift_alarm == kept.shift_alarm
  # Time that goes back begins anew, it does not stop the test.
  watched = StreamMonitor(monitor)
  for index in range(40):
    seen = watched(_frame(index, 255, rng, stamp_ns=-index * 10**9))
  assert seen.shift_alarm


def test_a_full_queue_drops_the_oldest():
  queue = LatestFrames(2)
  for index in range(5):
    queue.put(_frame(index))
  queue.close()
  queue.put(_frame(9))
  assert queue.dropped == 3
  assert [queue.get()[0].name[-1] for _ in range(2)] == ['3', '4']
  assert queue.get() is None
  with pytest.raises(ValueError, match='holds none'):
    LatestFrames(0)


def test_waiting_for_a_frame_ends():
  queue = LatestFrames()
  start = time.perf_counter()
  assert queue.get(0.05) is None and not queue.closed
  assert time.perf_counter() - start < 5
  threading.Timer(0.05, queue.put, [_frame(1)]).start()
  frame, waited = queue.get(10.0)
  assert frame.name == 'frame_000001' and 0 <= waited < 5


def _log(folder):
  lines = (folder / run.LOG).read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_every_frame_of_a_recording_is_looked_at(tmp_path):
  watched = StreamMonitor(Monitor(stub.Stub()), Options(0.5, 0.5, 2))
  seen = []
  stream = [_frame(index, 255 * (index > 3)) for index in range(8)]
  done = run.run(stream, watched, tmp_path, sinks=[seen.append])
  assert (done.frames, done.dropped, done.risk_alarm_frames) == (8, 0, 3)
  assert [one.frame.name for one in seen] == [f.name for f in stream]
  rows = _log(tmp_path)
  assert [row['risk_alarm'] for row in rows] == [False] * 5 + [True] * 3
  assert rows[4]['image_risk'] == 1.0 and rows[4]['stamp_ns'] == 4 * 10**9
  summary = json.loads((tmp_path / run.SUMMARY).read_text())
  assert summary['frames'] == 8 and summary['shift_alarm'] == ''
  assert 0 <= summary['latency_ms_p50'] <= summary['latency_ms_p95']


def test_a_slow_monitor_gets_the_newest_frames(tmp_path):
  class Slow(stub.Stub):
    def __call__(self, images):
      time.sleep(0.05)
      return super().__call__(images)

  def camera():
    for index in range(60):
      time.sleep(0.005)
      yield _frame(index)

  queue = LatestFrames()
  done = run.run(
    camera(), StreamMonitor(Monitor(Slow())), tmp_path, queue=queue
  )
  assert done.frames + done.dropped == 60 and done.dropped > 20
  names = [row['frame'] for row in _log(tmp_path)]
  assert names == sorted(names) and names[-1] == 'frame_000059'
  assert done.latency_ms_p50 >= 50


def test_what_a_camera_raises_is_raised(tmp_path):
  def camera():
    yield _frame(0)
    raise OSError('unplugged')

  watched = StreamMonitor(Monitor(stub.Stub()))
  for queue in (None, LatestFrames()):
    with pytest.raises(OSError, match='unplugged'):
      run.run(camera(), watched, tmp_path, queue=queue)
    assert len(_log(tmp_path)) == 1


def test_it_stops_when_it_is_told_to(tmp_path):
  def forever():
    index = 0
    while True:
      yield _frame(index)
      index += 1

  told = iter([False, False, True, True, True])
  watched = StreamMonitor(Monitor(stub.Stub()))
  done = run.run(forever(), watched, tmp_path, stop=lambda: next(told))
  assert done.frames == 3


def test_a_recording_is_played_at_its_pace():
  stream = [_frame(i, stamp_ns=10**18 + i * 4 * 10**7) for i in range(4)]
  start = time.perf_counter()
  assert list(run.paced(stream)) == stream
  assert time.perf_counter() - start >= 0.12


def _video(path, count=6):
  writer = cv2.VideoWriter(
    str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, (48, 32)
  )
  for index in range(count):
    writer.write(np.full((32, 48, 3), 40 * index, np.uint8))
  writer.release()
  return path


def test_frames_of_a_video_have_its_times(tmp_path):
  found = list(frames.of_opencv(str(_video(tmp_path / 'drive.mp4'))))
  assert [frame.stamp_ns for frame in found] == [i * 10**8 for i in range(6)]
  assert found[0].image.shape == (32, 48, 3)
  assert abs(int(found[4].image.mean()) - 160) < 8


@pytest.mark.parametrize('source', ['gone.mp4', '77'])
def test_what_cannot_be_opened_is_one_sentence(source, tmp_path):
  with pytest.raises(UserError, match=f'--input={source} cannot be opened'):
    list(frames.of_opencv(source))


def test_the_command(tmp_path, monkeypatch, capsys):
  made = Monitor(stub.Stub(threshold=0.5))
  monkeypatch.setattr(Monitor, 'load', lambda source: made)
  video, output = _video(tmp_path / 'drive.mp4'), tmp_path / 'out'
  arguments = ['--monitor=x.onnx', f'--input={video}', f'--output={output}']
  assert __main__.main(arguments) == 0
  said = capsys.readouterr().err
  assert '6 frames, 0 dropped' in said and 'not calibrated' in said
  assert len(_log(output)) == 6
  assert __main__.main([*arguments, '--risk-off=0.9']) == 2
  assert 'risk_off 0.9' in capsys.readouterr().err
  assert __main__.main([*arguments, '--queue=0']) == 2
  assert __main__.main([*arguments[:1], '--input=x.mp4', arguments[2]]) == 2
  assert 'x.mp4 cannot be opened' in capsys.readouterr().err
