"""The training loop: next batch, step, finite?, log, save, stop.

Every training of this project runs in it: S and F, the detectors that learn,
active learning's networks and those trained beside them. So there is one rule
for each of the things that can happen between two steps:

- The loop waits for each step. Without that it would queue steps without end,
  and Ctrl-C would act late; the next batch is being read meanwhile.
- A loss that is not finite ends the training where it is logged or saved, so
  that no checkpoint holds it.
- A signal is obeyed between steps, once everything is saved. With several
  processes, asking all of them is a collective: not on every step.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from common_lib.errors import UserError
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.runtime.machine import memory

_STOP_CHECK_STEPS = 10

State = TypeVar('State')
# The compiled step: (state, batch on the devices) -> state, scalars; the
# scalars that begin with 'loss' must be finite.
Update = Callable[[Any, Any], tuple[Any, Mapping[str, Any]]]


class Training(Generic[State]):
  """What tells one training from another; subclass it.

  Attributes:
    title: before the number of a step, in messages: 'training '.
    of: whose loss it is, in messages: ' of TCP'; '' where there is one only.
    within: what its steps are counted in: ' of cycle 3'.
    fix: how a user keeps the loss finite.
    log_every: steps between two calls of `log`.
    progress: what is said of an interruption where nothing can be saved:
      'training the committee'; '' where `save` saves.
  """

  title = ''
  of = ''
  within = ''
  fix = 'lower config.optimizer.learning_rate or set config.optimizer.clip_norm'
  log_every = 1
  progress = ''

  def total(self, state: State) -> int:
    """Steps in all; of the state, for a plateau may decide."""
    raise NotImplementedError

  def update(self, step: int, state: State, batch: Any) -> Update:
    """The compiled step that follows `step` others."""
    raise NotImplementedError

  def stepped(self, step: int, state: State) -> None:
    """Called after each step, which was the number `step`, from 1."""

  def log(self, step: int, state: State, values: Mapping[str, float]) -> None:
    """Shows the scalars of a step, on the host and finite."""

  def is_boundary(self, step: int, state: State) -> bool:
    """Whether `at_boundary` is called after a step."""
    del step, state
    return False

  def at_boundary(self, step: int, state: State) -> State:
    """Validates, saves, decides; returns the state to go on with."""
    del step
    return state

  def save(self, step: int, state: State) -> None:
    """Saves before an early end; returns once it is on disk."""


def run(
  training: Training[State],
  state: State,
  step: int,
  batches: Iterator[Any],
  mesh: Mesh | None,
  stop: StopRequest,
) -> State:
  """Trains to the end, from wherever the state stands.

  Args:
    training: what is trained.
    state: after `step` steps; donated to the next one.
    step: number of steps done.
    batches: endless, of this process's share.
    mesh: of the devices that share a batch; None: `update` takes it as it is.
    stop: whether somebody asked to stop.

  Returns:
    The state after the last step.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    UserError: a loss is not finite, or memory or the disk ran out.
  """
  while step < training.total(state):
    batch = next(batches)
    if mesh is not None:
      batch = mesh_lib.put_batch(batch, mesh)
    update = training.update(step, state, batch)
    with memory.explained(f'{training.title}step {step + 1}'):
      state, scalars = update(state, batch)
      jax.block_until_ready(scalars)
    step += 1
    training.stepped(step, state)
    stop.work_began()
    last = step >= training.total(state)
    if step % training.log_every == 0 or last:
      training.log(step, state, _finite(training, step, scalars))
    if training.is_boundary(step, state):
      _finite(training, step, scalars)
      state = training.at_boundary(step, state)
    if _stop_wanted(stop, step):
      _finite(training, step, scalars)
      training.save(step, state)
      raise Interrupted(_sentence(training, step, stop))
  return state


def _sentence(training: Training, step: int, stop: StopRequest) -> str:
  saved = f'and saved at step {step}{training.within or training.of}'
  done = f'while {training.progress}' if training.progress else saved
  return (
    f'Interrupted by {stop.signal_name} {done}: run the same command again to '
    'continue.'
  )


def _stop_wanted(stop: StopRequest, step: int) -> bool:
  if jax.process_count() > 1 and step % _STOP_CHECK_STEPS:
    return False
  return stop.requested_anywhere()


def _finite(
  training: Training, step: int, scalars: Mapping[str, Any]
) -> dict[str, float]:
  """The scalars on the host, if every loss is a number."""
  values = {
    name: float(np.asarray(value))
    for name, value in jax.device_get(dict(scalars)).items()
  }
  losses = [value for name, value in values.items() if name.startswith('loss')]
  for value in losses:
    if not math.isfinite(value):
      raise UserError(
        f'The loss{training.of} is {value} at step {step}{training.within}: '
        f'{training.fix}; the last checkpoint is untouched.'
      )
  return values
