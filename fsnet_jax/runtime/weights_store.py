"""Parameters alone on disk: converted weights, and those of other runs."""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from fsnet_jax.runtime.storage import (
  checksums,
  disk_errors,
  orbax_noise,
  reading,
)
from fsnet_jax.runtime.storage.literal_paths import literal


def save_arrays(folder: Path, tree: Any) -> None:
  """Writes a tree of NumPy arrays, and reads it back.

  Args:
    folder: must not exist.
    tree: nested dicts of arrays, without empty dicts.

  Raises:
    OSError: the folder cannot be written, or does not give back what was.
    UserError: its path is one that no arrays can be saved to.
  """
  orbax_noise.silence()
  record = checksums.record(checksums.of_arrays(tree))
  args = ocp.args.StandardSave(tree, custom_metadata={checksums.KEY: record})
  goal = literal(folder)
  try:
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      checkpointer.save(goal, args=args)
    reading.read_arrays(folder, tree)
  except checksums.Damaged as error:
    raise OSError(
      0, f'it does not give back what was written: {error}'
    ) from error
  except ValueError as error:
    code = disk_errors.number(error)
    if code is None:
      raise
    raise OSError(code, disk_errors.words(code)) from error


def load_arrays(folder: Path, like: Any) -> Any:
  """Reads a tree of arrays, or a part of one, and compares the checksums.

  Args:
    folder: of `save_arrays`, or the item of a checkpoint.
    like: nested dicts with something in the place of each wanted array; its
      shape and type do not matter.

  Returns:
    NumPy arrays in the structure of `like`.

  Raises:
    KeyError, ValueError, OSError: the folder lacks one of them or is damaged;
      the text says how.
  """
  return reading.read_arrays(folder, like)
