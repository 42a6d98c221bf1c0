"""Checksums of what is saved, stored beside it and compared when read.

A disk, a copy or a file system that flips a bit changes a network without a
sign: the libraries that write arrays keep no checksum of their values.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard

import jax
import numpy as np

from common_lib.checksums import of_value
from common_lib.console import say

# Where the record lies in what orbax lets its callers add to an item.
KEY = 'checksums'
_VERSION = 1
Record = dict[str, Any]


class Damaged(ValueError):
  """What is stored is not what was saved; the text says so as a clause."""


def of_arrays(tree: Any) -> dict[str, str]:
  """Digest of each array, by its name in the tree ('params/conv/kernel').

  Args:
    tree: of NumPy arrays, or of JAX arrays that are whole on a device of this
      process.

  Returns:
    Shape, dtype and the SHA-256 of the values: 'float32[3,3]:0f...'.
  """
  named = jax.tree_util.tree_leaves_with_path(tree)
  # Hashing leaves the interpreter to other threads.
  with ThreadPoolExecutor() as threads:
    digests = threads.map(_of_array, [leaf for _, leaf in named])
    return {_name(path): digest for (path, _), digest in zip(named, digests)}


def record(arrays: Mapping[str, str], **others: Any) -> Record:
  """What is stored: digests, and a digest of the digests.

  Args:
    arrays: of `of_arrays`.
    **others: JSON-serialisable digests of whatever else is saved.
  """
  content = {'version': _VERSION, 'arrays': dict(arrays), **others}
  return {**content, 'record': of_value(content)}


def stored_record(metadata: Any) -> Record | None:
  """The record in an item's metadata; None if an earlier version saved it.

  Args:
    metadata: what the item's `_METADATA` holds, as JSON.

  Raises:
    Damaged: there is one, but not as it was written.
  """
  custom = metadata.get('custom_metadata') if _is_dict(metadata) else None
  found = custom.get(KEY) if _is_dict(custom) else None
  if found is None:
    return None
  if not _is_dict(found) or not _is_dict(found.get('arrays')):
    raise Damaged('its checksums are not as they were written')
  content = {name: v for name, v in found.items() if name != 'record'}
  if found.get('record') != of_value(content):
    raise Damaged('its checksums are not as they were written')
  return found


def compare(tree: Any, expected: Mapping[str, str]) -> None:
  """Raises Damaged unless each array is as it was saved.

  Args:
    tree: of arrays; it may be a part of what was saved.
    expected: of `of_arrays`, when it was saved.
  """
  for name, digest in of_arrays(tree).items():
    if expected.get(name) != digest:
      raise Damaged(f'array {name} differs from its checksum')


def first_difference(like: Any, expected: Mapping[str, str]) -> str | None:
  """How the arrays that were saved differ in name, shape or dtype.

  Args:
    like: tree of arrays, or of anything with their shapes and dtypes.
    expected: of `of_arrays`.

  Returns:
    A clause about the first of them, or None if they are the same.
  """
  wanted = {
    _name(path): _form(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(like)
  }
  for name in sorted(wanted.keys() | expected.keys()):
    saved = expected.get(name)
    form = None if saved is None else saved.rpartition(':')[0]
    if form != wanted.get(name):
      return f'{name} is {form} there and {wanted.get(name)} here'
  return None


def of_processes(digest: str) -> Sequence[str]:
  """The digests of all processes, in their order; a collective."""
  if jax.process_count() == 1:
    return [digest]
  from jax.experimental import multihost_utils

  own = np.frombuffer(bytes.fromhex(digest), np.uint8)
  return [row.tobytes().hex() for row in multihost_utils.process_allgather(own)]


@functools.cache
def note_missing(folder: str) -> None:
  """Says, once, that damage in a folder would not be noticed."""
  say(
    f'note: {folder} was saved by an earlier version, without checksums: '
    'damage in it cannot be noticed'
  )


def _is_dict(value: Any) -> TypeGuard[dict[str, Any]]:
  return isinstance(value, dict)


def _name(path: Any) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _form(leaf: Any) -> str:
  return f'{np.dtype(leaf.dtype).name}[{",".join(map(str, leaf.shape))}]'


def _of_array(leaf: Any) -> str:
  if isinstance(leaf, jax.Array):
    # Every process has the whole array; one copy of it is enough.
    leaf = leaf.addressable_data(0) if leaf.is_fully_replicated else leaf
  values = np.asarray(leaf)
  flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
  return f'{_form(values)}:{hashlib.sha256(flat.data).hexdigest()}'
