"""Videos: frames in, rows and a video out."""

import json

import cv2
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.monitor.predict import video
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.monitor.predict import stub


def _write(path, greens, fps=10.0, size=(48, 64)):
  """A video of flat frames."""
  code = cv2.VideoWriter.fourcc(*'mp4v')
  writer = cv2.VideoWriter(str(path), code, fps, size[::-1])
  assert writer.isOpened()
  for green in greens:
    frame = np.full((*size, 3), 90, np.uint8)
    frame[..., 1] = green
    writer.write(frame)
  writer.release()
  return path


def _triage(output):
  lines = (output / 'triage.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def _frames(path):
  capture = cv2.VideoCapture(str(path))
  found = []
  while True:
    read, frame = capture.read()
    if not read:
      capture.release()
      return found
    found.append(frame)


def test_a_video_is_its_frames(tmp_path):
  source = _write(tmp_path / 'drive.mp4', (20, 220, 120, 60), fps=12.5)
  output = tmp_path / 'out'
  stub.predict(source, output, batch_size=2)
  rows = _triage(output)
  assert [row['image'] for row in rows] == [
    'frame_000001',
    'frame_000002',
    'frame_000003',
    'frame_000000',
  ]
  for row, green in zip(rows, (220, 120, 60, 20)):
    assert row['failure_mean'] == pytest.approx(green / 255, abs=0.03)
    assert (row['height'], row['width']) == (48, 64)
  assert (output / 'labels' / 'frame_000003.png').is_file()
  annotated = cv2.VideoCapture(str(output / 'annotated.mp4'))
  assert annotated.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
  annotated.release()
  found = _frames(output / 'annotated.mp4')
  assert len(found) == 4 and found[0].shape == (48, 64, 3)
  # The flagged second frame is red, as no other.
  red = [frame[..., 2].mean() - frame[..., 1].mean() for frame in found]
  assert np.argmax(red) == 1 and red[1] > 50
  assert not list(output.glob('.annotated*'))


class _Stops(stub.Stub):
  def __call__(self, images):
    if len(self.calls) == 3:
      raise Interrupted('as a signal does')
    return super().__call__(images)


def test_a_stopped_video_goes_on_to_the_same_result(tmp_path):
  source = _write(tmp_path / 'drive.mp4', range(20, 230, 30))
  with pytest.raises(Interrupted):
    stub.predict(source, tmp_path / 'out', _Stops(), batch_size=2)
  found = stub.predict(source, tmp_path / 'out', batch_size=2)
  assert sum(shape[0] for shape in found.calls[1:]) == 7 - 4
  stub.predict(source, tmp_path / 'whole', batch_size=2)
  timeless = [
    [{**row, 'milliseconds': None} for row in _triage(tmp_path / name)]
    for name in ('out', 'whole')
  ]
  assert timeless[0] == timeless[1]
  here, there = (tmp_path / n / 'annotated.mp4' for n in ('out', 'whole'))
  assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize('moved', [False, True])
def test_a_shift_is_found_at_its_frame(tmp_path, capsys, moved):
  """A frame a second; from second 40 on nothing is like the calibration."""
  rng = np.random.default_rng(0)
  greens = rng.integers(90, 140, 80)
  if moved:
    greens[40:] = 230
  source = _write(tmp_path / 'drive.mp4', greens, fps=1.0)
  stub.predict(source, tmp_path / 'first', batch_size=8)
  journal = tmp_path / 'first' / 'state' / 'journal.jsonl'
  kept = [json.loads(line) for line in journal.read_text().splitlines()[:40]]
  kept = [one['statistics'] for one in kept]
  reference = {
    name: tuple(kept[i][name] for i in rng.permutation(40)) for name in kept[0]
  }
  capsys.readouterr()
  found = stub.calibration(0.7, 40, **reference)
  # What can be exchanged with the reference is in another order there.
  stub.predict(source, tmp_path / 'out', found=found, batch_size=8)
  said = capsys.readouterr().err
  if moved:
    assert 'the limit of 5 % does not hold' in said
    frame = int(said.partition('From frame_')[2][:6])
    assert 40 <= frame < 70
  else:
    assert 'no proof that there is none' in said


def test_a_container_that_does_not_know_its_length(tmp_path, monkeypatch):
  source = _write(tmp_path / 'drive.mp4', (20, 220, 120))
  monkeypatch.setattr(video, '_MOST_FRAMES', 2)
  assert video.Video(source).total == 0
  with pytest.raises(Interrupted):
    stub.predict(source, tmp_path / 'out', _Stops(), batch_size=1)
  stub.predict(source, tmp_path / 'out', batch_size=1)
  assert len(_triage(tmp_path / 'out')) == 3


def test_a_file_that_is_none(tmp_path):
  path = tmp_path / 'drive.mp4'
  path.write_text('no video')
  with pytest.raises(UserError, match='cannot be decoded as a video'):
    stub.predict(path, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_another_video_of_that_name_is_refused(tmp_path):
  source = _write(tmp_path / 'drive.mp4', (20, 220))
  stub.predict(source, tmp_path / 'out')
  _write(source, (20, 220, 20))
  with pytest.raises(UserError, match='its video was .* and is now'):
    stub.predict(source, tmp_path / 'out')


def test_no_frames_no_video(tmp_path):
  assert not video.write(tmp_path / 'x.mp4', [], 25.0, lambda: None)
  assert list(tmp_path.iterdir()) == []
