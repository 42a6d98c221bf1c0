"""Random variables of any network, the same on every machine.

Unlike a fresh network's: biases are no zeros, and batch norms have statistics
and scales of their own, so that no part of a forward pass is the identity.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from typing import Any

import jax
import numpy as np

# Of these, what is divided by or rooted must be positive.
_POSITIVE = ('scale', 'var', 'square')


def draw(shapes: Any, seed: int = 0) -> Any:
  """Draws with NumPy, which gives the same numbers whatever the back end.

  Args:
    shapes: variables or their shapes, as `jax.eval_shape` of `init` gives.
    seed: of all of them; each depends on its own path, too.

  Returns:
    The tree with float32 arrays: kernels as He's, others around 0, or, where
    they must be positive, around 1.
  """

  def one(path: Any, leaf: Any) -> np.ndarray:
    place = zlib.crc32(jax.tree_util.keystr(path).encode())
    generator = np.random.default_rng([seed, place])
    name = str(path[-1].key)
    if name in _POSITIVE:
      return generator.uniform(0.75, 1.25, leaf.shape).astype(np.float32)
    values = generator.standard_normal(leaf.shape, dtype=np.float32)
    spread = 0.1
    if name == 'kernel':
      spread = math.sqrt(2 / max(1, math.prod(leaf.shape[:-1])))
    return values * np.float32(spread)

  return jax.tree_util.tree_map_with_path(one, shapes)


def digest(tree: Any) -> str:
  """SHA-256 of every array of a tree, with its path."""
  found = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    found.update(jax.tree_util.keystr(path).encode())
    found.update(np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()
