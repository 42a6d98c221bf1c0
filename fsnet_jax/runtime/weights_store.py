"""Parameters alone on disk: converted weights, and those of other runs."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp


def save_arrays(folder: Path, tree: Any) -> None:
  """Writes a tree of NumPy arrays.

  Args:
    folder: must not exist.
    tree: nested dicts of arrays, without empty dicts.
  """
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(folder.absolute(), args=ocp.args.StandardSave(tree))


def load_arrays(folder: Path, like: Any) -> Any:
  """Reads a tree of arrays, or a part of one.

  Args:
    folder: of `save_arrays`, or the item of a checkpoint.
    like: nested dicts with something in the place of each wanted array; its
      shape and type do not matter.

  Returns:
    NumPy arrays in the structure of `like`.

  Raises:
    KeyError, ValueError, OSError: the folder lacks one of them or cannot be
      read.
  """
  restore = ocp.RestoreArgs(restore_type=np.ndarray)
  args = ocp.args.PyTreeRestore(
    item=jax.tree.map(lambda leaf: 0, like),
    restore_args=jax.tree.map(lambda leaf: restore, like),
    partial_restore=True,
  )
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    tree = checkpointer.restore(folder.absolute(), args=args)
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    if not isinstance(leaf, np.ndarray):
      raise KeyError('/'.join(entry.key for entry in path))
  return tree


def stored_shapes(folder: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
  """Shape of each array of a folder, by path, without reading any.

  Args:
    folder: as for `load_arrays`.

  Raises:
    KeyError, ValueError, OSError: it cannot be read.
  """
  handler = ocp.PyTreeCheckpointHandler()
  tree = handler.metadata(folder.absolute()).tree
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
    tuple(jax.tree_util.keystr((key,), simple=True) for key in path): tuple(
      getattr(leaf, 'shape', ())
    )
    for path, leaf in leaves
  }
