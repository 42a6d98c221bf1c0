"""Corrections of every second pixel at all others, against loops."""

import jax
import numpy as np
import pytest

from fsnet_jax.models.failure.pixel_grid import carried

_CARRIED = jax.jit(carried)


def by_loops(corrections, first):
  """The mean of a pixel's neighbours, as the docstring has it."""
  found = np.zeros(first.shape)
  rows, columns = (size - 1 for size in corrections.shape[1:])
  for image, y, x in np.ndindex(*first.shape):
    near = {
      (min(row, rows), min(column, columns), place)
      for place, (row, column) in enumerate(
        (row, column)
        for row in {y // 2, -(-y // 2)}
        for column in {x // 2, -(-x // 2)}
      )
    }
    weights, values = [], []
    for row, column, _ in near:
      same = first[image, 2 * row, 2 * column] == first[image, y, x]
      weights.append(0.02 + same)
      values.append(corrections[image, row, column])
    found[image, y, x] = np.average(values, weights=weights)
  return found


# Odd numbers of rows and columns end with one that is given, even ones do not.
@pytest.mark.parametrize(
  'size', [(7, 9), (6, 9), (7, 8), (6, 8), (1, 1), (1, 4)]
)
@pytest.mark.parametrize('classes', [1, 2, 5])
def test_as_by_loops(size, classes):
  rng = np.random.default_rng(sum(size) + classes)
  first = rng.integers(classes, size=(2, *size)).astype(np.int32)
  grid = [-(-side // 2) for side in size]
  corrections = rng.normal(size=(2, *grid)).astype(np.float32)
  found = np.asarray(_CARRIED(corrections, first))
  np.testing.assert_allclose(
    found, by_loops(corrections, first), rtol=1e-5, atol=1e-6
  )
  # What was given is not touched.
  np.testing.assert_array_equal(found[:, ::2, ::2], corrections)


def test_a_class_keeps_to_itself():
  # Two classes with a border between given columns 2 and 4.
  first = np.repeat([[[3, 3, 3, 3, 8, 8, 8]]], 3, axis=1).astype(np.int32)
  corrections = np.repeat([[[-1.0, -1.0, 5.0, 5.0]]], 2, axis=1)
  found = np.asarray(_CARRIED(corrections.astype(np.float32), first))
  np.testing.assert_allclose(
    found[0, :, 3], -1.0 + 6.0 * 0.02 / 1.04, rtol=1e-5
  )
  np.testing.assert_array_equal(found[0, :, 4:], 5.0)
