"""What is made once a session, though several processes run its tests."""

import fcntl
from collections.abc import Callable
from pathlib import Path


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
  """A folder that the first process to ask makes, while the others wait.

  Args:
    folder: in the `shared` folder of the session; tests leave it as it is.
    make: fills it. If it raises, the next one to ask tries again.
  """
  made = folder.with_name(f'{folder.name}.made')
  with folder.with_name(f'{folder.name}.lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not made.exists():
      make(folder)
      made.touch()
  return folder
