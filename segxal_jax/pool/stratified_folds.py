"""Stratified folds of a pool whose images hold many classes each.

The paper names a "stratified K-fold" and not the strata. Here an image's
stratum is its dominant rare class, so that what few images show is not
missing from a fold by chance.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int, UInt8

from common_lib.class_table import VOID

# How metrics call the fold that a pool was left without.
HELD_OUT = 'held_out_fold'
# The stratum of images without any rare class.
NONE = -1


def strata(
  maps: Iterable[UInt8[np.ndarray, '_h _w']], num_classes: int
) -> Int[np.ndarray, ' n']:
  """The dominant rare class of each image.

  A class is rare if at most half of the images show it; of an image's rare
  classes that with the most pixels is its stratum, the lower number if two
  have as many.

  Args:
    maps: trainIds of each image; void counts nowhere.
    num_classes: how many there are.

  Returns:
    A class, or `NONE` where an image shows no rare one.
  """
  pixels = np.array(
    [_pixels(label, num_classes) for label in maps], np.int64
  ).reshape(-1, num_classes)
  rare = 2 * (pixels > 0).sum(axis=0) <= len(pixels)
  of_rare = np.where(rare, pixels, 0)
  if not len(pixels):
    return np.zeros(0, np.int64)
  return np.where(of_rare.any(axis=1), of_rare.argmax(axis=1), NONE)


def _pixels(label: np.ndarray, num_classes: int) -> np.ndarray:
  known = label[label != VOID]
  return np.bincount(known, minlength=num_classes)[:num_classes]


def assign(
  strata: Int[np.ndarray, ' n'], folds: int, rng: np.random.Generator
) -> Int[np.ndarray, ' n']:
  """The fold of each image.

  Sorted by stratum, in random order within it, images are dealt out in turn:
  a stratum of m images has floor(m / k) or ceil(m / k) in each of k folds,
  and so have all n, which is what scikit-learn's StratifiedKFold keeps too.

  Args:
    strata: of each image.
    folds: how many, k.
    rng: of the order within a stratum.

  Returns:
    Numbers from 0 to k - 1.
  """
  order = np.lexsort((rng.random(len(strata)), strata))
  result = np.empty(len(strata), np.int64)
  result[order] = np.arange(len(strata)) % folds
  return result


def of_pool(
  maps: Iterable[UInt8[np.ndarray, '_h _w']], folds: int, num_classes: int
) -> Int[np.ndarray, ' n']:
  """The fold of each image of a pool: the same in every run."""
  rng = np.random.default_rng(100)
  return assign(strata(maps, num_classes), folds, rng)
