"""What counts as rounding between a run and its file, and what does not."""

import numpy as np
import pytest

from fsnet_jax.monitor.export import agreement


def pair(others=0, beyond=0, difference=0.01, nans=0):
  """Of 10,000 pixels: so many of another class, and so many that differ."""
  labels = np.zeros((1, 100, 100), np.uint8)
  failure = np.full((1, 100, 100), 0.5, np.float32)
  theirs, own = labels.copy(), failure.copy()
  theirs.flat[:others] = 1
  own.flat[:others] = 0.9
  own.flat[others : others + beyond] += np.float32(difference)
  own.flat[others + beyond : others + beyond + nans] = np.nan
  return (labels, failure), (theirs, own)


@pytest.mark.parametrize(
  ('what', 'is_rounding'),
  [
    ({}, True),
    ({'beyond': 10_000, 'difference': 9e-5}, True),
    ({'beyond': 1, 'difference': 2e-4}, False),
    ({'nans': 1}, False),
    ({'others': 1}, True),
    ({'others': 10}, True),
    ({'others': 11}, False),
    # Around a pixel whose classes are level.
    ({'others': 1, 'beyond': 100}, True),
    ({'others': 1, 'beyond': 101}, False),
    ({'others': 1, 'nans': 101}, False),
    ({'others': 10_000}, False),
  ],
)
def test_what_is_rounding(what, is_rounding):
  assert agreement.compare(*pair(**what)).is_rounding == is_rounding


@pytest.mark.parametrize(
  ('what', 'is_rounding'),
  [
    # The level class itself was not among those of the image's own size.
    ({'beyond': 100, 'difference': 3e-4}, True),
    ({'beyond': 101, 'difference': 3e-4}, False),
    ({'beyond': 100, 'difference': 0.03}, False),
    ({'nans': 1}, False),
    ({'others': 1, 'beyond': 100}, True),
  ],
)
def test_what_is_rounding_at_another_size(what, is_rounding):
  found = agreement.compare(*pair(**what), resized=True)
  assert found.is_rounding == is_rounding


def test_it_says_what_it_saw():
  found = agreement.compare(*pair(others=5, beyond=20))
  assert found.difference == pytest.approx(0.01, rel=1e-4)
  assert found.other_class == pytest.approx(5e-4)
  assert found.beyond == pytest.approx(2e-3)
  said = str(found)
  for number in ('0.05 % of the pixels', '0.01', '0.2 %', '1e-04'):
    assert number in said


@pytest.mark.parametrize(
  ('images', 'problem'),
  [
    ([{}, {}], None),
    ([{}, {'others': 1, 'beyond': 3000}], None),
    ([{'others': 1, 'beyond': 3000}, {}], None),
    # Nothing agrees: then it may be anything.
    ([{'others': 1, 'beyond': 3000}], 0),
    ([{'others': 1, 'beyond': 90}, {'others': 1, 'beyond': 3000}], 1),
    # Of the same classes everywhere, or by more than a class explains.
    ([{}, {'beyond': 1}], 1),
    ([{}, {'others': 1, 'beyond': 3000, 'difference': 0.1}], 1),
    ([{}, {'others': 11, 'beyond': 3000}], 1),
    ([{}, {'others': 1, 'nans': 3000}], 1),
  ],
)
def test_a_level_class_is_no_problem_where_other_images_agree(images, problem):
  found = [agreement.compare(*pair(**what)) for what in images]
  expected = None if problem is None else found[problem]
  assert agreement.first_problem(found) is expected
