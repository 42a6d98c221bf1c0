"""Where the checkpoints of a run lie; needs no library to look."""

import re
from pathlib import Path

_STEP = re.compile(r'0|[1-9][0-9]{0,17}')
_ASIDE = 'checkpoints.damaged'


def checkpoint(workdir: Path, step: int) -> Path:
  """The folder of a checkpoint."""
  return workdir / 'checkpoints' / str(step)


def steps(workdir: Path) -> list[int]:
  """Steps of which there is a checkpoint, ascending; [] without a folder.

  What a killed save left has another name; a damaged checkpoint is among
  them.
  """
  return _steps(workdir / 'checkpoints')


def furthest(workdir: Path) -> int | None:
  """The last step that a run has saved, even if it was set aside since."""
  steps = _steps(workdir / 'checkpoints') + _steps(workdir / _ASIDE)
  return max(steps, default=None)


def _steps(folder: Path) -> list[int]:
  try:
    names = [entry.name for entry in folder.iterdir()]
  except (FileNotFoundError, NotADirectoryError):
    return []
  return sorted(int(name) for name in names if _STEP.fullmatch(name))


def set_aside(workdir: Path, step: int) -> Path:
  """Moves a damaged checkpoint to where no run looks for one.

  Returns:
    Where it is now; nothing that was set aside before is replaced.

  Raises:
    OSError: the folder cannot be written.
  """
  folder = workdir / _ASIDE
  folder.mkdir(exist_ok=True)
  goal, number = folder / str(step), 1
  while goal.exists():
    number += 1
    goal = folder / f'{step}.{number}'
  return checkpoint(workdir, step).rename(goal)
