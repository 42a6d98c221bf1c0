"""Checkpoints: train state, data iterator and metadata, saved as one."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from grain import checkpoint as grain_checkpoint
from orbax.checkpoint import checkpoint_managers

from common_lib.errors import UserError

# An early save (Ctrl-C) carries no validation result: it must never be taken
# for the best.
_NOT_VALIDATED = 1e30


@dataclasses.dataclass(frozen=True)
class Restored:
  """What a checkpoint held; the data iterator was set in place."""

  state: Any
  metadata: dict[str, Any]


def kept(workdir: Path) -> str:
  """What a kill at this moment would leave of a run, in words.

  Args:
    workdir: of the run; a checkpoint is there whole or not at all.
  """
  names = [p.name for p in workdir.glob('checkpoints/*') if p.name.isdigit()]
  if not names:
    return 'no checkpoint is saved yet'
  return f'the last saved checkpoint is of step {max(map(int, names))}'


def _quality(metrics: dict[str, float]) -> float:
  return metrics['validation']


class Checkpoints:
  """The checkpoints of one run, in `<workdir>/checkpoints`.

  Saving is asynchronous and atomic: a run killed in the middle of a save
  leaves the checkpoint before it. The newest and the best (lowest validation
  value) are kept.
  """

  def __init__(self, workdir: Path, *, read_only: bool = False):
    policy = checkpoint_managers.AnyPreservationPolicy(
      # `max_to_keep` with `best_fn` would delete the newest one, from which
      # a run resumes.
      [
        checkpoint_managers.LatestN(1),
        checkpoint_managers.BestN(
          get_metric_fn=_quality, reverse=True, n=1,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    )  # fmt: skip
    self._manager = ocp.CheckpointManager(
      (workdir / 'checkpoints').absolute(),
      options=ocp.CheckpointManagerOptions(
        best_fn=_quality,
        best_mode='min',
        preservation_policy=policy,
        # What a killed save left behind; not for a reader to remove.
        cleanup_tmp_directories=not read_only,
      ),
    )

  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, or None."""
    return self._manager.latest_step()

  def best_step(self) -> int | None:
    """Step of the best validated checkpoint, or None."""
    step = self._manager.best_step()
    if step is None:
      return None
    metrics = self._manager.metrics(step)
    if metrics is None or _quality(metrics) >= _NOT_VALIDATED:
      return None
    return step

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
    """
    if step in self._manager.all_steps():
      return
    quality = _NOT_VALIDATED if validation is None else float(validation)
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        data=grain_checkpoint.CheckpointSave(iterator),
        metadata=ocp.args.JsonSave(metadata),
      ),
      metrics={'validation': quality},
      force=True,
    )

  def restore(
    self, step: int, like: Any, iterator: Any | None = None
  ) -> Restored:
    """Reads a checkpoint.

    Args:
      step: which one.
      like: pytree of jax arrays with the shapes, dtypes and shardings to
        restore into.
      iterator: training iterator to set to where it was; None to leave the
        data alone (evaluation).

    Returns:
      State and metadata.

    Raises:
      UserError: the data was read by another number of processes.
    """
    if iterator is not None:
      self._check_processes(step)
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    items = {
      'state': ocp.args.StandardRestore(abstract),
      'metadata': ocp.args.JsonRestore(),
    }
    if iterator is not None:
      items['data'] = grain_checkpoint.CheckpointRestore(iterator)
    restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    return Restored(state=restored.state, metadata=restored.metadata)

  def _check_processes(self, step: int) -> None:
    """Each process reads a part of the data that depends on their number."""
    folder = self._manager.directory / str(step) / 'data'
    own = f'process_{jax.process_index()}-of-{jax.process_count()}.json'
    if (folder / own).exists():
      return
    files = folder.glob('process_*-of-*.json')
    counts = {file.stem.rpartition('-')[2] for file in files}
    raise UserError(
      f'{folder.parent} was written by {" or ".join(sorted(counts)) or "no"} '
      f'processes and is now read by {jax.process_count()}: go on with as many '
      'as before, for each has its own part of the training data.'
    )

  def wait(self) -> None:
    """Returns once everything saved is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for running saves and releases the threads."""
    self._manager.close()
