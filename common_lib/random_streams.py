"""Randomness by purpose: no generator is shared, none depends on order."""

import zlib

import numpy as np


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
  """A generator that depends on its arguments alone.

  Args:
    seed: of the run.
    purpose: a word, such as 'subset'.
    *numbers: non-negative, such as the cycle and the image.
  """
  word = zlib.crc32(purpose.encode())
  return np.random.default_rng([seed, word, *numbers])


def derived(seed: int, purpose: str, *numbers: int) -> int:
  """A seed for something that takes a number below 2**32."""
  return int(generator(seed, purpose, *numbers).integers(2**32))
