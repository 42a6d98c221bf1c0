"""A periodic line that says how far the run is."""

import time
from collections.abc import Mapping


def format_duration(secs: float | int) -> str:
  """Seconds as `h:mm:ss` or `m:ss`."""
  minutes, seconds = divmod(round(secs), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours}:{minutes:02d}:{seconds:02d}'
  return f'{minutes}:{seconds:02d}'


class Progress:
  """Rate and remaining time of a run of known (or growing) length.

  The clock starts at the second report, so that compilation does not count
  as slowness of the steps.
  """

  def __init__(self, images_per_step: int):
    self._images_per_step = images_per_step
    self._mark: tuple[int, float] | None = None

  def restart(self) -> None:
    """Forgets the rate, because what follows runs at another one."""
    self._mark = None

  def line(
    self,
    step: int,
    total_steps: int | None,
    phase: int,
    scalars: Mapping[str, float],
  ) -> str:
    """The line for `step`; `total_steps` is None while it is unknown."""
    now = time.monotonic()
    rate = ''
    if self._mark is not None and step > self._mark[0]:
      steps_per_sec = (step - self._mark[0]) / max(now - self._mark[1], 1e-9)
      rate = f'  {steps_per_sec * self._images_per_step:.1f} images/s'
      if total_steps is not None:
        left = (total_steps - step) / steps_per_sec
        rate += f'  phase ends in {format_duration(left)}'
    else:
      self._mark = (step, now)
    total = '?' if total_steps is None else str(total_steps)
    values = '  '.join(f'{name} {value:.4f}' for name, value in scalars.items())
    return f'phase {phase}  step {step}/{total}  {values}{rate}'
