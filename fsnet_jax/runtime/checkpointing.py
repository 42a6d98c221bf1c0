"""Checkpoints: train state, data iterator and metadata, saved as one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from grain import checkpoint as grain_checkpoint
from orbax.checkpoint import checkpoint_managers

from common_lib.checksums import of_value
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.runtime.distributed import anywhere, barrier
from fsnet_jax.runtime.storage import (
  checkpoint_folders,
  checksums,
  disk_errors,
  orbax_noise,
  reading,
)
from fsnet_jax.runtime.storage.checksums import Damaged
from fsnet_jax.runtime.storage.literal_paths import literal
from fsnet_jax.runtime.storage.reading import Restored
from fsnet_jax.runtime.workdir import check_still_there

# An early save (Ctrl-C) carries no validation result: it must never be taken
# for the best.
_NOT_VALIDATED = 1e30


def kept(workdir: Path) -> str:
  """What a kill at this moment would leave of a run, in words.

  Args:
    workdir: of the run; a checkpoint is there whole or not at all.
  """
  steps = checkpoint_folders.steps(workdir)
  if not steps:
    return 'no checkpoint is saved yet'
  return f'the last saved checkpoint is of step {max(steps)}'


def _quality(metrics: dict[str, float]) -> float:
  return metrics['validation']


def newest_is_damaged(folder: Path) -> bool:
  """Whether finished work has to be done again; a collective.

  Args:
    folder: of runs: of one, or of several in its subfolders.

  Returns:
    True if the newest checkpoint of one of them is damaged. Where somebody
    has deleted them all, nothing is.
  """
  damaged = False
  for workdir in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
    step = max(checkpoint_folders.steps(workdir), default=None)
    if step is not None and not damaged:
      try:
        reading.check_checkpoint(checkpoint_folders.checkpoint(workdir, step))
      except Damaged:
        damaged = True
  return anywhere(damaged)


class Checkpoints:
  """The checkpoints of one run, in `<workdir>/checkpoints`.

  Saving is asynchronous and atomic: a run killed in the middle of a save
  leaves the checkpoint before it. The two newest and the best (lowest
  validation value) are kept: the one before the newest is what a run goes on
  from where the newest turns out to be damaged.
  """

  def __init__(self, workdir: Path, *, read_only: bool = False):
    """Changes nothing yet.

    Args:
      workdir: of the run.
      read_only: whether to refuse to save.

    Raises:
      UserError: no checkpoint can be saved at such a path.
    """
    self._workdir = workdir
    self._read_only = read_only
    self._root = literal(workdir / 'checkpoints')
    # Made by the first save: it reads all that is there, of which damaged
    # ones must be out of the way by then.
    self._manager: ocp.CheckpointManager | None = None
    self._saving: int | None = None
    # Of the first checkpoint of a run, until it has been read back.
    self._unproved: tuple[int, Any] | None = None

  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, damaged or not, or None."""
    return max(checkpoint_folders.steps(self._workdir), default=None)

  def best_step(self) -> int | None:
    """Step of the best validated checkpoint, or None.

    Raises:
      UserError: the validation value of one of them cannot be read.
    """
    best = None
    for step in checkpoint_folders.steps(self._workdir):
      folder = checkpoint_folders.checkpoint(self._workdir, step)
      try:
        value = reading.validation(folder)
      except Damaged as error:
        raise self._damaged(step, error) from error
      # Of equal ones the latest.
      if value < _NOT_VALIDATED and (best is None or value <= best[0]):
        best = value, step
    return None if best is None else best[1]

  def save(
    self,
    step: int,
    state: Any,
    iterator: Any,
    metadata: dict[str, Any],
    validation: float | None,
  ) -> None:
    """Starts saving; returns once the state has been copied off the device.

    Args:
      step: number of updates done.
      state: pytree of jax arrays.
      iterator: grain iterator of the training data.
      metadata: JSON-serialisable; what the loop needs besides.
      validation: lower is better; None if this step was not validated.

    Raises:
      UserError: this checkpoint, or the one before it, cannot be written, or
        the run's folder has been deleted or replaced.
    """
    check_still_there()
    self.wait()
    known = self._opened().all_steps()
    if step in known:
      return
    quality = _NOT_VALIDATED if validation is None else float(validation)
    metrics = {'validation': quality}
    arrays = checksums.of_arrays(state) if jax.process_index() == 0 else {}
    record = checksums.record(
      arrays,
      metadata=of_value(metadata),
      metrics=of_value(metrics),
      data=checksums.of_processes(of_value(iterator.get_state())),
    )
    if not known:
      self._unproved = step, jax.tree.map(lambda leaf: 0, state)
    self._saving = step
    try:
      self._opened().save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(
            state, custom_metadata={checksums.KEY: record}
          ),
          data=grain_checkpoint.CheckpointSave(iterator),
          metadata=ocp.args.JsonSave(metadata),
        ),
        metrics=metrics,
        force=True,
      )
    except (OSError, ValueError) as error:
      self._explain(error)
      raise

  def _opened(self) -> ocp.CheckpointManager:
    """The manager, which only those who save need."""
    if self._read_only:
      raise RuntimeError(f'{self._root} was opened to be read')
    if self._manager is None:
      orbax_noise.silence()
      policy = checkpoint_managers.AnyPreservationPolicy(
        # `max_to_keep` with `best_fn` would delete the newest one, from which
        # a run resumes.
        [
          checkpoint_managers.LatestN(2),
          checkpoint_managers.BestN(
            get_metric_fn=_quality, reverse=True, n=1,
            keep_checkpoints_without_metrics=False,
          ),
        ]
      )  # fmt: skip
      self._manager = ocp.CheckpointManager(
        self._root,
        options=ocp.CheckpointManagerOptions(
          best_fn=_quality,
          best_mode='min',
          preservation_policy=policy,
          cleanup_tmp_directories=True,  # What a killed save left behind.
        ),
      )
    return self._manager

  def restore(
    self,
    step: int,
    like: Any,
    iterator: Any | None = None,
    only: Sequence[str] = (),
  ) -> Restored:
    """Reads a checkpoint; nothing is moved or changed.

    Args:
      step: which one.
      like: pytree of `ShapeDtypeStruct`s, or of jax arrays, with the shapes,
        dtypes and shardings to restore into.
      iterator: training iterator to set to where it was; None to leave the
        data alone (evaluation).
      only: fields of `like` that are read, the others staying as they are;
        none of them: all.

    Returns:
      State and metadata.

    Raises:
      UserError: it is damaged, holds other arrays, or its data were read by
        another number of processes.
    """
    folder = checkpoint_folders.checkpoint(self._workdir, step)
    try:
      return reading.read_checkpoint(folder, like, iterator, only)
    except Damaged as error:
      raise self._damaged(step, error) from error

  def resume(
    self, like: Any, iterator_of: Callable[[int], Any | None]
  ) -> Restored | None:
    """Reads the newest checkpoint that is intact.

    Damaged ones that are newer are set aside, and said to be.

    Args:
      like: as for `restore`.
      iterator_of: the iterator to set, or None, for a step.

    Returns:
      None if there is no checkpoint.

    Raises:
      UserError: none is intact, and nothing was moved; or as `restore`.
    """
    problems: dict[int, str] = {}
    for step in reversed(checkpoint_folders.steps(self._workdir)):
      folder = checkpoint_folders.checkpoint(self._workdir, step)
      try:
        found = reading.read_checkpoint(folder, like, iterator_of(step))
      except Damaged as error:
        problems[step] = str(error)
        continue
      self._set_aside(problems | self._without_validation(step), step)
      return found
    if problems:
      shown = '; '.join(f'{step}: {why}' for step, why in problems.items())
      raise UserError(
        f'{self._root} holds no intact checkpoint ({quoted(shown, 400)}): '
        'nothing was moved or deleted; put a copy of one back, or begin again '
        'in another --workdir.'
      )
    return None

  def _without_validation(self, before: int) -> dict[int, str]:
    """Older checkpoints of which nobody can tell how good they are."""
    problems = {}
    for step in checkpoint_folders.steps(self._workdir):
      if step < before:
        try:
          reading.validation(checkpoint_folders.checkpoint(self._workdir, step))
        except Damaged as error:
          problems[step] = str(error)
    return problems

  def _set_aside(self, problems: dict[int, str], intact: int) -> None:
    # The decision has been made by all; moving is for one.
    barrier('checkpoints read')
    if jax.process_index() == 0:
      for step, why in problems.items():
        folder = checkpoint_folders.checkpoint(self._workdir, step)
        try:
          goal = checkpoint_folders.set_aside(self._workdir, step)
        except OSError as error:
          raise UserError(
            f'{folder} is damaged ({why}) and cannot be moved aside '
            f'({error.strerror}): move it away and run the same command again.'
          ) from error
        say(
          f'checkpoint {folder} is damaged ({why}): set aside as {goal}; '
          f'step {intact} is intact'
        )
    barrier('checkpoints set aside')

  def _damaged(self, step: int, error: Damaged) -> UserError:
    """What can be done without a checkpoint, by those who only read."""
    *older, newest = checkpoint_folders.steps(self._workdir) or [step]
    if step != newest:
      fix = 'put a copy of it back, or move it away to use the others'
    elif not older:
      fix = 'put a copy of it back, or train again in another --workdir'
    else:
      fix = (
        'run the command that trained it again, which goes on from the one '
        f'before it (step {older[-1]}), or move it away to use that one as it '
        'is'
      )
    folder = checkpoint_folders.checkpoint(self._workdir, step)
    return UserError(f'{folder} is damaged ({error}): {fix}.')

  def check(self) -> None:
    """Raises UserError once the save in the background has failed; cheap.

    Call it after each step, so that a run on a full disk does not train for
    nothing until its next checkpoint.
    """
    if self._saving is None or self._manager is None:
      return
    if not self._manager.is_saving_in_progress():
      self.wait()

  def wait(self) -> None:
    """Returns once everything saved is on disk.

    Raises:
      UserError: it cannot be written.
    """
    if self._saving is None or self._manager is None:
      return
    try:
      self._manager.wait_until_finished()
    except (OSError, ValueError) as error:
      self._explain(error)
      raise
    self._saving = None
    self._prove_first()

  def _prove_first(self) -> None:
    """Reads the first checkpoint of a run back, so that none is in vain."""
    proving, self._unproved = self._unproved, None
    if proving is None or jax.process_index() > 0:
      return
    step, like = proving
    folder = checkpoint_folders.checkpoint(self._workdir, step)
    try:
      reading.read_arrays(folder / 'state', like)
    except (Damaged, KeyError) as error:
      raise UserError(
        f'{folder}, the first checkpoint of this run, does not give back what '
        f'was saved ({error}): choose a --workdir on another disk.'
      ) from error

  def _explain(self, error: Exception) -> None:
    """Raises UserError for a save that failed, unless the fault is ours."""
    step, self._saving = self._saving, None
    code = disk_errors.number(error)
    if code is None:
      return
    left = self.latest_step()
    rest = (
      'none is saved yet, so that the same command begins anew'
      if left is None
      else f'the same command then goes on from that of step {left}'
    )
    if disk_errors.is_full(code):
      raise UserError(
        f'The disk of {self._root} is full ({disk_errors.words(code)}), so '
        f'that the checkpoint of step {step} is not saved: free some space; '
        f'{rest}.'
      ) from error
    raise UserError(
      f'{self._root} cannot be written ({disk_errors.words(code)}), so that '
      f'the checkpoint of step {step} is not saved: make the folder writable; '
      f'{rest}.'
    ) from error

  def close(self) -> None:
    """Waits for running saves and releases the threads."""
    self.wait()
    if self._manager is not None:
      self._manager.close()
      self._manager = None
