"""The training of a detector: resumable, and the same if resumed."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.builders.fits import FitOptions
from fsnet_jax.learned_detectors import cross_predictions
from fsnet_jax.learned_detectors.base import FitState, Setting
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime import weights_store
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.cluster import lost_peers
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.runtime.progress import Progress
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.runtime.workdir import check_still_there
from fsnet_jax.training import loop
from input_pipeline import transforms
from input_pipeline.loader import train_loader
from input_pipeline.training_mix import TrainingMix


@dataclasses.dataclass(frozen=True)
class Job:
  """One training.

  Attributes:
    title: what progress lines call it.
    steps: updates in all.
    batch_size: of all processes together.
    state: a `FitState` before its first step.
    step: pure `(state, constants, batch) -> (state, scalars)`; `scalars` has
      'loss'.
    constants: arrays that the step reads and nothing changes.
    augment: transforms of the training images, by name or as functions.
    predictions: whether batches have the failure data's `logits`.
    flip: whether S is to see the mirrored images too.
  """

  title: str
  steps: int
  batch_size: int
  state: FitState
  step: Callable[[Any, Any, Any], tuple[Any, Mapping[str, Any]]]
  constants: Any
  augment: tuple[str | transforms.Transform, ...] = ()
  predictions: bool = True
  flip: bool = False


def new_state(
  options: FitOptions[Any], params: Any, stats: Any, optimizer: Any
) -> FitState:
  """The state before the first step."""
  return FitState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    stats=stats,
    opt_state=jax.jit(optimizer.init)(params),
    key=jax.random.key_data(jax.random.key(options.seed)),
  )


def _changes(job: Job) -> bool:
  """Whether the images are other ones than those of the data set."""
  return any(
    not (isinstance(one, TrainingMix) and one.is_clean) for one in job.augment
  )


def batches(setting: Setting[Any], job: Job) -> Any:
  """Endless, checkpointable training batches of this process."""
  options = setting.options
  mesh_lib.check_batch_size(f'fit (of {job.title})', job.batch_size)
  source, also = setting.training_source(), setting.also
  if job.predictions and setting.failure_data is not None:
    source, also = (
      cross_predictions.FailureScenes(source, setting.failure_data),
      (*also, 'logits'),
    )
  return train_loader(
    source,
    batch_size=job.batch_size,
    seed=options.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    augment=transforms.resolve(job.augment),
    num_workers=options.num_workers,
    also=also,
  )


def run(setting: Setting[Any], job: Job, folder: Path) -> FitState:
  """Trains to the end, or returns at once what is there already.

  Args:
    setting: says the data and how often to save.
    job: what to train.
    folder: keeps `checkpoints`; made if missing.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    UserError: the loss is no longer finite, memory or the disk ran out, or
      no checkpoint in the folder is intact.
  """
  folder.mkdir(parents=True, exist_ok=True)
  mesh = mesh_lib.make_mesh()
  state = mesh_lib.put_replicated(job.state, mesh)
  iterator = batches(setting, job)
  checkpoints = Checkpoints(folder)
  try:
    restored = checkpoints.resume(state, lambda step: iterator)
    if restored is not None:
      state = restored.state
    if int(state.step) < job.steps:
      if restored is not None:
        say(f'{job.title}: resuming from step {restored.step} of {folder}')
      where = f'while fitting {job.title}'
      with StopRequest(where, has_work=False) as stop, lost_peers.noticed():
        say(f'{job.title}: compiling the training step ...')
        fit = _Fit(setting, job, iterator, checkpoints, mesh)
        # What is saved is where the loader is; S's outputs follow from that.
        whole = setting.with_outputs(iterator, job.flip, not _changes(job))
        state = loop.run(fit, state, int(state.step), whole, mesh, stop)
  finally:
    checkpoints.wait()
    checkpoints.close()
    iterator.close()
  return state


class _Fit(loop.Training[FitState]):
  """A training of a detector that learns."""

  fix = 'lower its learning rate in config.fit'

  def __init__(
    self,
    setting: Setting[Any],
    job: Job,
    iterator: Any,
    checkpoints: Checkpoints,
    mesh: Any,
  ):
    self._options, self._job = setting.options, job
    self._iterator, self._checkpoints = iterator, checkpoints
    self._progress = Progress(job.batch_size)
    constants = mesh_lib.put_replicated(job.constants, mesh)
    step = _compiled(job, mesh)
    self._update = lambda state, batch: step(state, constants, batch)
    self.title, self.of = f'{job.title}, ', f' of {job.title}'
    self.log_every = setting.options.log_every_steps

  def total(self, state: FitState) -> int:
    return self._job.steps

  def update(self, step: int, state: FitState, batch: Any) -> loop.Update:
    return self._update

  def stepped(self, step: int, state: FitState) -> None:
    self._checkpoints.check()

  def log(
    self, step: int, state: FitState, values: Mapping[str, float]
  ) -> None:
    check_still_there()
    line = self._progress.line(step, self._job.steps, 1, dict(values))
    say(f'{self._job.title}  {line.removeprefix("phase 1  ")}')

  def is_boundary(self, step: int, state: FitState) -> bool:
    every = self._options.checkpoint_every_steps
    return step == self._job.steps or step % every == 0

  def at_boundary(self, step: int, state: FitState) -> FitState:
    self._checkpoints.save(step, state, self._iterator, {}, None)
    return state

  def save(self, step: int, state: FitState) -> None:
    self._checkpoints.save(step, state, self._iterator, {}, None)


def _compiled(job: Job, mesh: Any) -> Any:
  replicated = mesh_lib.replicated(mesh)
  return jax.jit(
    job.step, donate_argnums=0, out_shardings=(replicated, replicated)
  )


def load(folder: Path, like: Mapping[str, Any]) -> dict[str, Any]:
  """Variables at the end of a training.

  Args:
    folder: of `run`.
    like: `{'params': ..., 'stats': ...}` with something in each array's
      place.

  Returns:
    NumPy arrays in the same structure.

  Raises:
    UserError: there is no checkpoint, or it is of another network.
  """
  step = max(checkpoint_folders.steps(folder), default=None)
  if step is None:
    raise UserError(
      f'{folder} has no checkpoint of this detector: fit it first.'
    )
  path = checkpoint_folders.checkpoint(folder, step)
  try:
    return _without_holes(path / 'state', like)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{path} is damaged, or not of this detector ({quoted(error, 200)}): run '
      'the command that fitted it again, which goes on from the one before '
      'it, or fit it in another folder.'
    ) from error


def _without_holes(path: Path, like: Mapping[str, Any]) -> dict[str, Any]:
  """Reads a tree; its empty dicts, which a file has not, stay in place."""
  flat = jax.tree_util.tree_leaves_with_path(like)
  wanted: dict[str, Any] = {}
  for keys, leaf in flat:
    node = wanted
    *parents, last = [entry.key for entry in keys]
    for name in parents:
      node = node.setdefault(name, {})
    node[last] = leaf
  stored = weights_store.load_arrays(path, wanted)
  for keys, leaf in flat:
    found = stored
    for entry in keys:
      found = found[entry.key]
    if found.shape != leaf.shape:
      raise ValueError('/'.join(entry.key for entry in keys))
  leaves = jax.tree.leaves(stored)
  return jax.tree.unflatten(jax.tree.structure(like), leaves)
