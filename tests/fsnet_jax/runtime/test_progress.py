"""Durations and the line a person reads."""

import re

import pytest

from fsnet_jax.runtime import progress


@pytest.mark.parametrize(
  ('secs', 'text'),
  [(0, '0:00'), (59.6, '1:00'), (61, '1:01'), (3723, '1:02:03')],
)
def test_format_duration(secs, text):
  assert progress.format_duration(secs) == text


def test_rate_and_remaining_time(monkeypatch):
  clock = iter([100.0, 102.0])
  monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
  meter = progress.Progress(images_per_step=8)
  first = meter.line(10, 50, 1, {'loss': 1.0})
  # 10 steps in 2 s: 40 images/s, 30 steps left: 6 s.
  second = meter.line(20, 50, 1, {'loss': 0.5})
  assert 'images/s' not in first
  assert '40.0 images/s' in second and 'ends in 0:06' in second
  assert re.search(r'step 20/50  loss 0\.5000', second)


def test_unknown_end_is_a_question_mark():
  line = progress.Progress(1).line(3, None, 1, {})
  assert 'step 3/?' in line
