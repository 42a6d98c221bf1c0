"""The training loop of a detector: resumable, and the same if resumed."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources
from fsnet_jax.learned_detectors import cross_predictions
from fsnet_jax.learned_detectors.base import FitState, Setting
from fsnet_jax.runtime import memory, weights_store
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.cluster import lost_peers
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.runtime.progress import Progress
from input_pipeline import transforms
from input_pipeline.loader import train_loader

# With several processes, asking all of them is a collective.
_STOP_CHECK_STEPS = 10


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
    augment: names of transforms of the training images.
    predictions: whether batches have the failure data's `logits`.
  """

  title: str
  steps: int
  batch_size: int
  state: FitState
  step: Callable[[Any, Any, Any], tuple[Any, Mapping[str, Any]]]
  constants: Any
  augment: tuple[str, ...] = ()
  predictions: bool = True


def new_state(config: Any, params: Any, stats: Any, optimizer: Any) -> FitState:
  """The state before the first step."""
  return FitState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    stats=stats,
    opt_state=jax.jit(optimizer.init)(params),
    key=jax.random.key_data(jax.random.key(config.seed)),
  )


def batches(setting: Setting, job: Job) -> Any:
  """Endless, checkpointable training batches of this process."""
  config = setting.config
  mesh_lib.check_batch_size(f'fit (of {job.title})', job.batch_size)
  source, also = data_sources.training_source(config), ()
  if job.predictions and setting.failure_data is not None:
    source, also = (
      cross_predictions.FailureScenes(source, setting.failure_data),
      ('logits',),
    )
  return train_loader(
    source,
    batch_size=job.batch_size,
    seed=config.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    augment=transforms.resolve(job.augment),
    num_workers=config.data.num_workers,
    also=also,
  )


def run(setting: Setting, job: Job, folder: Path) -> FitState:
  """Trains to the end, or returns at once what is there already.

  Args:
    setting: says the data and how often to save.
    job: what to train.
    folder: keeps `checkpoints`; made if missing.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    UserError: the loss is no longer finite, or memory ran out.
  """
  folder.mkdir(parents=True, exist_ok=True)
  mesh = mesh_lib.make_mesh()
  state = mesh_lib.put_replicated(job.state, mesh)
  iterator = batches(setting, job)
  checkpoints = Checkpoints(folder)
  try:
    latest = checkpoints.latest_step()
    if latest is not None:
      state = checkpoints.restore(latest, state, iterator).state
    if int(state.step) < job.steps:
      if latest is not None:
        say(f'{job.title}: resuming from step {latest} of {folder}')
      where = f'while fitting {job.title}'
      with StopRequest(where, has_work=False) as stop, lost_peers.noticed():
        state = _loop(setting, job, state, iterator, checkpoints, mesh, stop)
  finally:
    checkpoints.wait()
    checkpoints.close()
    iterator.close()
  return state


def _loop(setting, job, state, iterator, checkpoints, mesh, stop) -> FitState:
  config = setting.config
  step, number = _compiled(job, mesh), int(state.step)
  constants = mesh_lib.put_replicated(job.constants, mesh)
  progress = Progress(job.batch_size)
  say(f'{job.title}: compiling the training step ...')
  while number < job.steps:
    batch = mesh_lib.put_batch(next(iterator), mesh)
    with memory.explained(f'{job.title}, step {number + 1}'):
      state, scalars = step(state, constants, batch)
      scalars['loss'].block_until_ready()
    number += 1
    stop.work_began()
    last = number == job.steps
    if last or number % config.log_every_steps == 0:
      values = _finite(job, number, scalars)
      line = progress.line(number, job.steps, 1, values)
      say(f'{job.title}  {line.removeprefix("phase 1  ")}')
    if last or number % config.checkpoint_every_steps == 0:
      _finite(job, number, scalars)
      checkpoints.save(number, state, iterator, {}, None)
    if not last and _stop_wanted(stop, number):
      _finite(job, number, scalars)
      checkpoints.save(number, state, iterator, {}, None)
      raise Interrupted(
        f'Interrupted by {stop.signal_name} and saved at step {number} of '
        f'{job.title}: run the same command again to continue.'
      )
  return state


def _compiled(job: Job, mesh: Any) -> Any:
  replicated = mesh_lib.replicated(mesh)
  return jax.jit(
    job.step, donate_argnums=0, out_shardings=(replicated, replicated)
  )


def _stop_wanted(stop: StopRequest, number: int) -> bool:
  if jax.process_count() > 1 and number % _STOP_CHECK_STEPS:
    return False
  return stop.requested_anywhere()


def _finite(job: Job, number: int, scalars: Any) -> dict[str, float]:
  """The scalars on the host, if they are numbers."""
  values = {name: float(np.asarray(v)) for name, v in scalars.items()}
  if not all(map(math.isfinite, values.values())):
    raise UserError(
      f'The loss of {job.title} is {values["loss"]} at step {number}: lower '
      'its learning rate in config.fit; the last checkpoint is untouched.'
    )
  return values


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
  steps = [p.name for p in folder.glob('checkpoints/*') if p.name.isdigit()]
  path = folder / 'checkpoints' / max(steps, key=int, default='none') / 'state'
  try:
    return _without_holes(path, like)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{folder} has no readable checkpoint of this detector '
      f'({type(error).__name__}): fit it again in another folder.'
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
