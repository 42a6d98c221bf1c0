"""Reads a checkpoint, and says so where it is not what was saved."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from grain import checkpoint as grain_checkpoint

from common_lib.checksums import of_value
from common_lib.errors import UserError
from fsnet_jax.runtime.distributed import anywhere
from fsnet_jax.runtime.storage import checksums, disk_errors, orbax_noise
from fsnet_jax.runtime.storage.checksums import Damaged
from fsnet_jax.runtime.storage.literal_paths import literal

_METADATA = '_METADATA'


@dataclasses.dataclass(frozen=True)
class Restored:
  """What a checkpoint held; the data iterator was set in place.

  Attributes:
    step: of the checkpoint.
    state: pytree of arrays.
    metadata: what the loop had stored besides.
  """

  step: int
  state: Any
  metadata: dict[str, Any]


def read_checkpoint(
  folder: Path, like: Any, iterator: Any | None, only: Sequence[str] = ()
) -> Restored:
  """Reads a checkpoint and compares it with its checksums; a collective.

  Args:
    folder: of the checkpoint; its name is the step.
    like: pytree of `ShapeDtypeStruct`s, or of jax arrays, with the shapes,
      dtypes and shardings to restore into.
    iterator: training iterator to set to where it was, or None.
    only: fields of `like`, a dataclass, that are read and compared; the others
      stay as they are in it. None of them: all are read.

  Raises:
    Damaged: on all processes as soon as one of them finds damage.
    UserError: it holds other arrays, is of another number of processes, or
      cannot be read at the moment.
  """
  error, found = None, None
  try:
    if iterator is not None:
      _check_processes(folder)
    found = _read(folder, like, iterator, only)
  except (Damaged, UserError) as caught:
    error = caught
  # All go on, all set it aside or all end: nobody waits for one that left.
  if anywhere(isinstance(error, UserError)):
    raise (
      error
      if isinstance(error, UserError)
      else UserError(
        f'{folder} cannot be read by another process: see what that one says.'
      )
    )
  if anywhere(isinstance(error, Damaged)):
    raise error or Damaged('another process finds it damaged')
  assert found is not None  # It is, where there was no error.
  return found


def validation(folder: Path) -> float:
  """The validation value of a checkpoint: lower is better.

  Raises:
    Damaged: it is not what was saved.
    UserError: it cannot be read at the moment.
  """
  metrics = _json_file(folder, 'metrics', 'metrics')
  record = _record_of(folder / 'state')
  if record is not None:
    _compare_json('its validation value', metrics, record.get('metrics'))
  value = metrics.get('validation') if isinstance(metrics, dict) else None
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise Damaged('its validation value is no number')
  return float(value)


def check_checkpoint(folder: Path) -> None:
  """Reads a checkpoint whole, whatever network it is of, and drops it.

  Args:
    folder: of the checkpoint.

  Raises:
    Damaged: it is not what was saved.
    UserError: it cannot be read at the moment.
  """
  validation(folder)
  record = _record_of(folder / 'state')
  metadata = _json_file(folder, 'metadata', 'metadata')
  if record is not None:
    _compare_json('its metadata', metadata, record.get('metadata'))
  handler = ocp.PyTreeCheckpointHandler()

  def read(path):
    tree = handler.metadata(path).tree
    return handler.restore(path, args=_as_numpy(tree))

  tree = _explained(handler, folder / 'state', read)
  _compare_arrays(folder / 'state', tree, record)


def read_arrays(folder: Path, like: Any) -> Any:
  """Reads a tree of arrays, or a part of one, and compares the checksums.

  Args:
    folder: an orbax folder of arrays.
    like: tree with something in the place of each wanted array.

  Returns:
    NumPy arrays in the structure of `like`.

  Raises:
    Damaged: it is not what was saved.
    KeyError: it lacks one of the arrays.
    UserError: it cannot be read at the moment.
  """
  record = _record_of(folder)
  args = _as_numpy(jax.tree.map(lambda leaf: 0, like))
  tree = _restored(ocp.PyTreeCheckpointHandler(), folder, args)
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    if not isinstance(leaf, np.ndarray):
      raise KeyError(jax.tree_util.keystr(path, simple=True, separator='/'))
  _compare_arrays(folder, tree, record)
  return tree


def _read(
  folder: Path, like: Any, iterator: Any | None, only: Sequence[str]
) -> Restored:
  step = int(folder.name)
  validation(folder)
  metadata = _json_file(folder, 'metadata', 'metadata')
  record = _record_of(folder / 'state')
  if record is not None:
    _compare_json('its metadata', metadata, record.get('metadata'))
    difference = checksums.first_difference(like, record['arrays'])
    if difference is not None:
      raise UserError(
        f'{folder} holds other arrays than this command trains ({difference}): '
        'use the config and the version of the program that it was saved with, '
        'or another --workdir.'
      )
  if not isinstance(metadata, dict):
    raise Damaged('its metadata is no JSON object')
  if only:
    found = _fields(folder / 'state', like, only)
    _compare_arrays(folder / 'state', found, record)
    state = dataclasses.replace(like, **found)
  else:
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    args = ocp.args.StandardRestore(abstract)
    state = _restored(ocp.StandardCheckpointHandler(), folder / 'state', args)
    _compare_arrays(folder / 'state', state, record)
  if iterator is not None:
    _restore_data(folder, iterator, record)
  return Restored(step=step, state=state, metadata=metadata)


def _fields(folder: Path, like: Any, names: Sequence[str]) -> dict[str, Any]:
  """Some fields of a state, with the shardings of `like`."""
  wanted = {name: getattr(like, name) for name in names}
  # A file has no empty dicts.
  pruned = {name: _pruned(tree) for name, tree in wanted.items()}
  pruned = {name: tree for name, tree in pruned.items() if tree is not None}
  item = jax.tree.map(ocp.utils.to_shape_dtype_struct, pruned)
  args = ocp.args.PyTreeRestore(
    item=item,
    restore_args=ocp.checkpoint_utils.construct_restore_args(item),
    partial_restore=True,
  )
  found = _restored(ocp.PyTreeCheckpointHandler(), folder, args)
  leaves = jax.tree.leaves(found)
  if not all(isinstance(leaf, jax.Array) for leaf in leaves):
    raise UserError(
      f'{folder} lacks arrays that this command reads: use the config and the '
      'version of the program that it was saved with.'
    )
  return jax.tree.unflatten(jax.tree.structure(wanted), leaves)


def _pruned(tree: Any) -> Any:
  """Nested dicts without the empty ones; None if nothing is left."""
  if not isinstance(tree, dict):
    return tree
  parts = {name: _pruned(part) for name, part in tree.items()}
  return {name: one for name, one in parts.items() if one is not None} or None


def _as_numpy(tree: Any) -> Any:
  """Arguments to read the arrays in the places of a tree, and no others."""
  restore = ocp.RestoreArgs(restore_type=np.ndarray)
  return ocp.args.PyTreeRestore(
    item=tree,
    restore_args=jax.tree.map(lambda leaf: restore, tree),
    partial_restore=True,
  )


def _restored(handler: Any, folder: Path, args: Any) -> Any:
  return _explained(
    handler, folder, lambda path: handler.restore(path, args=args)
  )


def _explained(
  handler: Any, folder: Path, read: Callable[[epath.Path], Any]
) -> Any:
  """What a handler reads; its errors as ours.

  A handler alone, without the checkpointer around it, does not wait for other
  processes: one that fails here leaves none of them waiting.
  """
  orbax_noise.silence()
  try:
    return read(literal(folder))
  except UserError:
    raise
  except jax.errors.JaxRuntimeError:
    raise  # The device, not the disk.
  # Damaged files raise whatever the libraries stumble over.
  except Exception as error:
    _raise_if_of_the_moment(folder, error)
    raise Damaged('its arrays cannot be read') from error
  finally:
    handler.close()


def _restore_data(folder: Path, iterator: Any, record: Any) -> None:
  """Sets the training iterator to where it was."""
  index, count = jax.process_index(), jax.process_count()
  state = _json_file(folder, 'data', f'process_{index}-of-{count}.json')
  if record is not None:
    digests = record.get('data')
    if not isinstance(digests, list) or len(digests) != count:
      raise Damaged('its checksums are not those of the training data')
    _compare_json('its place in the training data', state, digests[index])
  try:
    grain_checkpoint.CheckpointHandler().restore(
      literal(folder / 'data'), item=iterator
    )
  except (KeyError, TypeError, ValueError) as error:
    raise Damaged('its place in the training data cannot be read') from error


def _check_processes(folder: Path) -> None:
  """Each process reads a part of the data that depends on their number."""
  count = jax.process_count()
  names = [file.name for file in _entries(folder / 'data')]
  if f'process_{jax.process_index()}-of-{count}.json' in names:
    return
  counts = {name.removesuffix('.json').rpartition('-')[2] for name in names}
  counts = sorted(text for text in counts if text.isdigit())
  if not counts or str(count) in counts:
    return  # A file of this run is missing, which is damage.
  raise UserError(
    f'{folder} was written by {" or ".join(counts)} processes and is now read '
    f'by {count}: go on with as many as before, for each has its own part of '
    'the training data.'
  )


def _entries(folder: Path) -> list[Path]:
  try:
    return list(folder.iterdir())
  except OSError:
    return []


def _record_of(folder: Path) -> checksums.Record | None:
  """The checksums of an orbax folder of arrays; Damaged if unreadable."""
  metadata = _json_file(folder.parent, folder.name, _METADATA)
  return checksums.stored_record(metadata)


def _compare_arrays(
  folder: Path, tree: Any, record: checksums.Record | None
) -> None:
  if record is None:
    checksums.note_missing(str(folder))
  else:
    checksums.compare(tree, record['arrays'])


def _json_file(folder: Path, item: str, name: str) -> Any:
  try:
    return json.loads((folder / item / name).read_bytes())
  except FileNotFoundError:
    raise Damaged(f'{item}/{name} is missing') from None
  except OSError as error:
    _raise_if_of_the_moment(folder, error)
    raise Damaged(f'{item}/{name} cannot be read ({error.strerror})') from None
  except (ValueError, RecursionError):
    raise Damaged(f'{item}/{name} is no JSON') from None


def _compare_json(what: str, value: Any, expected: Any) -> None:
  if of_value(value) != expected:
    raise Damaged(f'{what} differs from its checksum')


def _raise_if_of_the_moment(folder: Path, error: BaseException) -> None:
  if disk_errors.says_nothing_of_the_files(error):
    code = disk_errors.number(error)
    why = 'out of memory' if code is None else disk_errors.words(code)
    raise UserError(
      f'{folder} cannot be read now ({why}): nothing was changed; run the same '
      'command again once it can be.'
    ) from error
