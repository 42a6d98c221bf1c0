import numpy as np
import pytest

from segxal_jax.pool.dice_selection import accepts, dice


def test_dice_by_hand():
  a = np.array([[0, 0, 0, 1]], np.uint8)
  b = np.array([[0, 0, 1, 1]], np.uint8)
  # Class 0: 2*2/(3+2); class 1: 2*1/(1+2).
  np.testing.assert_allclose(dice(a, b, 19), (4 / 5 + 2 / 3) / 2)


def test_void_counts_nowhere():
  a = np.array([[0, 5, 255]], np.uint8)
  b = np.array([[0, 255, 1]], np.uint8)
  assert dice(a, b, 19) == 1.0
  assert dice(a, np.full_like(a, 255), 19) is None


def test_a_class_that_one_side_lacks_counts_zero():
  a = np.array([[0, 0]], np.uint8)
  b = np.array([[0, 3]], np.uint8)
  np.testing.assert_allclose(dice(a, b, 19), (2 / 3 + 0) / 2)


@pytest.mark.parametrize(
  ('rule', 'macro', 'accepted'),
  [
    ('dice', 0.75, True),
    ('dice', 0.74, False),
    ('all', 0.0, True),
  ],
)
def test_rules(rule, macro, accepted):
  assert accepts(rule, 0.75, macro) is accepted


def test_nothing_to_learn_from_is_never_accepted():
  assert not accepts('all', 0.0, None)
  with pytest.raises(ValueError):
    accepts('most', 0.5, None)
