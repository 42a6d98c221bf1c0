"""Trains the networks on the labelled pool (paper 3.1)."""

from collections.abc import Mapping
from typing import Any

from common_lib.console import say
from fsnet_jax.runtime.progress import Progress
from fsnet_jax.steps.train_step import TrainState
from fsnet_jax.training import loop
from segxal_jax.config import own_learner
from segxal_jax.loop import training_command
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState


def train(run: Run, state: LoopState) -> LoopState:
  """Trains to the end of the cycle, from wherever the state stands.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    UserError: the loss is no longer finite, the disk is full, or a command of
      the user's has failed.
  """
  if own_learner.is_command(run.config):
    return training_command.train(run, state)
  pool = run.ledger.labelled(state.cycle)
  say(f'cycle {state.cycle}  train  {len(pool)} labelled images')
  batches = run.training_batches(state.cycle)
  step = int(state.train.step)
  networks = loop.run(
    _Cycle(run, state), state.train, step, batches, run.mesh, run.stop
  )
  return state.then('train', train=networks).then('predict')


class _Cycle(loop.Training[TrainState]):
  """The training of a cycle's networks."""

  title = 'training '

  def __init__(self, run: Run, state: LoopState):
    self._run, self._loop_state = run, state
    self._progress = Progress(run.config.batch_size)
    self.within = f' of cycle {state.cycle}'
    self.log_every = run.config.log_every_steps
    self._total = run.lengths.of(state.cycle)

  def total(self, state: TrainState) -> int:
    return self._total

  def update(self, step: int, state: TrainState, batch: Any) -> loop.Update:
    return self._run.train_step(self._loop_state.cycle, step)

  def stepped(self, step: int, state: TrainState) -> None:
    self._run.check_saved()

  def log(
    self, step: int, state: TrainState, values: Mapping[str, float]
  ) -> None:
    """A line for the terminal, and curves for TensorBoard."""
    cycle, lengths = self._loop_state.cycle, self._run.lengths
    self._run.writer.write_scalars(
      lengths.before(cycle) + step,
      {f'train/{name}': value for name, value in values.items()},
    )
    phase = self._run.learner_of(cycle).phase(step - 1)
    end = lengths.phase1(cycle) if phase == 1 else self._total
    shown = {'loss': values['loss']}
    say(f'cycle {cycle}  train  {self._progress.line(step, end, phase, shown)}')

  def is_boundary(self, step: int, state: TrainState) -> bool:
    every = self._run.config.checkpoint_every_steps
    return step % every == 0 and step < self._total

  def at_boundary(self, step: int, state: TrainState) -> TrainState:
    self.save(step, state)
    return state

  def save(self, step: int, state: TrainState) -> None:
    self._run.save(self._loop_state.then('train', train=state))
