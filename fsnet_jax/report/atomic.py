"""Files that appear whole or not at all."""

import os
import pathlib
import tempfile


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
  """Writes a file so that a reader never sees half of it.

  Args:
    path: the file; its folder must exist. An existing file is replaced.
    content: its bytes.
  """
  path = pathlib.Path(path)
  handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    # mkstemp makes files that only the owner reads; a report is for sharing.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(scratch, 0o666 & ~umask)
    os.replace(scratch, path)
  except BaseException:
    pathlib.Path(scratch).unlink(missing_ok=True)
    raise
