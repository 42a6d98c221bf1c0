"""The compact form: what is kept is kept, whatever the logits."""

import numpy as np
import pytest

from input_pipeline.external import compact
from input_pipeline.external.compact import compress, expand
from tests.input_pipeline.external.tables import scores


def _there_and_back(logits):
  kept = compress(logits)
  assert kept.classes.dtype == np.uint8 and kept.below.dtype == np.float16
  assert kept.largest.dtype == np.float32
  found = expand(kept, logits.shape[-1])
  assert found.dtype == np.float32 and found.shape == logits.shape
  assert np.isfinite(found).all()
  return found


def _energy(logits):
  top = logits.max(-1, keepdims=True).astype(np.float64)
  return top[..., 0] + np.log(np.exp(logits - top).sum(-1))


def test_a_pixel_by_hand():
  logits = np.float32([[[[1, 5, 2, 4, 1]]]])
  kept = compress(logits)
  assert kept.classes[0, 0, 0].tolist() == [1, 3, 2]
  assert kept.largest[0, 0, 0] == 5
  assert kept.below[0, 0, 0].tolist() == [-1, -3, -4]
  np.testing.assert_array_equal(expand(kept, 5), logits)


def test_the_rest_has_the_mean_of_its_exponentials():
  logits = np.log(np.float32([[[[0.6, 0.2, 0.1, 0.06, 0.04]]]]))
  found = np.exp(_there_and_back(logits))
  np.testing.assert_allclose(
    found[0, 0, 0], [0.6, 0.2, 0.1, 0.05, 0.05], rtol=2e-3
  )


@pytest.mark.parametrize('count', [2, 3, 4, 5, 19, 254])
@pytest.mark.parametrize('spread', [0.0, 1e-7, 0.01, 5.0, 1e4])
@pytest.mark.parametrize('at', [0.0, 20.0, -1e4, 1e4])
def test_what_detectors_ask_of_logits(count, spread, at):
  logits = scores(2, 9, 7, count, seed=count, spread=spread) + np.float32(at)
  found = _there_and_back(logits)
  np.testing.assert_array_equal(found.argmax(-1), logits.argmax(-1))
  np.testing.assert_array_equal(found.max(-1), logits.max(-1))
  np.testing.assert_allclose(
    _energy(found), _energy(logits), rtol=1e-6, atol=3e-3
  )
  ordered = np.sort(logits, -1)[..., ::-1]
  back = np.sort(found, -1)[..., ::-1]
  kept = min(count, 3)
  gap = ordered[..., :1] - ordered[..., :kept]
  np.testing.assert_allclose(
    back[..., :1] - back[..., :kept],
    np.minimum(gap, 6e4),
    rtol=1e-3,
    atol=1e-6 * max(abs(at), 1) + 1e-6,
  )


def test_ties_go_to_the_same_class():
  rng = np.random.default_rng(0)
  for count in (2, 3, 4, 7, 19):
    # Few values, so that almost every pixel has ties.
    logits = rng.integers(0, 3, (1, 40, 40, count)).astype(np.float32)
    # And some that differ in the last bit only.
    nudge = rng.integers(0, 2, logits.shape).astype(bool)
    near = np.where(nudge, np.nextafter(logits, np.float32(9)), logits)
    for values in (logits, near, near + np.float32(20), near * np.float32(1e4)):
      found = _there_and_back(values)
      np.testing.assert_array_equal(found.argmax(-1), values.argmax(-1))
      # Ties among the three that are kept stay ties.
      two = np.sort(values, -1)[..., -2:]
      tied = two[..., 0] == two[..., 1]
      first, second = np.sort(found, -1)[..., -2:].transpose(3, 0, 1, 2)
      assert (first == second)[tied].all()


def test_far_below_is_not_lost():
  logits = np.float32([[[[40, -30, -50, -60, -60]]]])
  np.testing.assert_allclose(_there_and_back(logits), logits, rtol=2e-3)
  logits = np.float32([[[[1e5, -1e5, -2e5, -3e5]]]])
  np.testing.assert_array_equal(_there_and_back(logits)[..., 1:], 4e4)


def test_thirteen_bytes():
  kept = compress(scores(1, 4, 5, 19))
  size = sum(getattr(kept, name).nbytes for name in vars(kept))
  assert size == 20 * compact.BYTES_A_PIXEL == 20 * 13


def test_the_logits_are_left_as_they_are():
  logits = scores(1, 2, 2, 5)
  before = logits.copy()
  compress(logits)
  np.testing.assert_array_equal(logits, before)
