"""What is in a data set's files, by hash, without reading all of them again.

A size and a time of change do not tell content: programs that copy and unpack
set the time of change. They cannot set the time at which the file system itself
noted a change (ctime), so a file whose ctime, size and number are as they were
is not read again, as git has it.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import pathlib
import stat
import time
from collections.abc import Iterable

from common_lib.console import say
from common_lib.files import write_text

_VERSION = 1
# A file may change twice within one tick of a file system's clock, and the
# coarsest one counts in steps of two seconds.
_SETTLED_NS = 2 * 10**9
_LONG_BYTES = 1 << 30

# (bytes, time of change, ctime, number of the file): with them it is the same.
_Stamp = list[int]


def record_file(folder: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
  """Where `of_files` keeps what it found of a root.

  Args:
    folder: for the records of several roots.
    root: folder of a data set.
  """
  place = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]
  return folder / f'hashes-{place}.json'


def of_files(
  root: pathlib.Path, names: Iterable[str], record: pathlib.Path
) -> dict[str, str]:
  """Hashes the content of files.

  Args:
    root: folder of the data set.
    names: paths below it.
    record: file that keeps what was found, for the next time. It is written
      only where that saves reading, and goes without if it cannot be.

  Returns:
    By name the SHA-256; for what has no content 'missing', 'irregular' or
    'unreadable', which stay the same as long as that is so.
  """
  names = list(dict.fromkeys(names))
  if not names:
    return {}
  known = _read(record)
  now = time.time_ns()
  found: dict[str, str] = {}
  to_read: dict[str, _Stamp] = {}
  for name in names:
    stamp = _stamp(root / name)
    if isinstance(stamp, str):
      found[name] = stamp
    elif known.get(name, ())[:4] == stamp:
      found[name] = known[name][4]
    else:
      to_read[name] = stamp
  total = sum(stamp[0] for stamp in to_read.values())
  if total > _LONG_BYTES:
    say(f'reading {len(to_read)} files ({total / 1e9:.1f} GB) of {root}, once')
  workers = min(8, os.cpu_count() or 1)
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    hashes = pool.map(_hash, [root / name for name in to_read])
    found.update(zip(to_read, hashes))
  settled = {
    name: [*stamp, found[name]]
    for name, stamp in to_read.items()
    if stamp[2] < now - _SETTLED_NS and found[name] != 'unreadable'
  }
  if settled:
    _write(record, known | settled)
  return found


def _stamp(path: pathlib.Path) -> _Stamp | str:
  try:
    status = os.stat(path)
  except (FileNotFoundError, NotADirectoryError):
    return 'missing'
  except OSError:
    return 'unreadable'
  if not stat.S_ISREG(status.st_mode):
    return 'irregular'
  return [
    status.st_size,
    status.st_mtime_ns,
    status.st_ctime_ns,
    status.st_ino,
  ]


def _hash(path: pathlib.Path) -> str:
  try:
    with path.open('rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError:
    return 'unreadable'


def _read(record: pathlib.Path) -> dict[str, list]:
  """What an earlier call found; nothing of a record that is damaged."""
  try:
    stored = json.loads(record.read_bytes())
    if stored['version'] != _VERSION:
      return {}
    return {
      name: entry
      for name, entry in stored['files'].items()
      if isinstance(entry, list)
      and len(entry) == 5
      and isinstance(entry[4], str)
    }
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return {}
  except RecursionError:
    return {}


def _write(record: pathlib.Path, files: dict[str, list]) -> None:
  content = json.dumps({'version': _VERSION, 'files': files})
  try:
    record.parent.mkdir(parents=True, exist_ok=True)
    write_text(record, content)
  except OSError:
    pass  # the next run reads the files again
