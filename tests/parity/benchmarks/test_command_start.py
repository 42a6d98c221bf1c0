"""What the time to a first image is attributed to."""

import importlib

import pytest

from benchmarks.subjects import first_image


@pytest.mark.parametrize(
  ('module', 'name'), [*first_image._SPANS, *first_image._ENDS.values()]
)
def test_what_is_watched_is_there(module, name):
  found = importlib.import_module(module)
  for part in name.split('.'):
    found = getattr(found, part)
  assert callable(found)


def test_each_moment_belongs_to_the_innermost_span(monkeypatch):
  watch = first_image._Watch()
  # (wall, processor time): a process that began with 0.5 s, then computed for
  # 1, 0, 2 and 3 of the seconds that follow.
  watch._samples = [(0.0, 0.5), (1.0, 1.5), (2.0, 1.5), (3.0, 3.5)]
  monkeypatch.setattr(watch, '_sample', lambda: watch._samples.append((4, 6.5)))
  kinds = first_image.KINDS
  watch._spans = [
    (0.0, 4.0, kinds.index('trace')),
    (2.0, 3.0, kinds.index('import')),
    (3.1, 3.2, kinds.index('compile')),  # Ends before the middle.
  ]
  found = watch.seconds()
  assert found == dict.fromkeys(kinds, 0.0) | {
    'rest': 0.5,
    'trace': 1.0 + 3.0,
    'import': 2.0,
  }
  assert sum(found.values()) == 6.5
