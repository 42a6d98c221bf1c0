"""FSNet's training: its state, its data and everything it writes."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from common_lib.console import say
from fsnet_jax.builders.data_sources import RunData
from fsnet_jax.builders.training import TrainingOptions
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints, kept
from fsnet_jax.runtime.cluster import lost_peers
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.runtime.machine import memory
from fsnet_jax.runtime.progress import Progress
from fsnet_jax.runtime.workdir import check_still_there
from fsnet_jax.runtime.writers import create_writer
from fsnet_jax.steps.eval_step import (
  make_validation_step,
  validation_losses,
)
from fsnet_jax.steps.optimizers import NOT_YET
from fsnet_jax.steps.train_step import (
  LossOptions,
  TrainState,
  make_train_step,
)
from fsnet_jax.training import loop, states
from fsnet_jax.weights import initial


@dataclasses.dataclass
class Plateau:
  """Has the validation loss of S stopped falling?

  Attributes:
    patience: validations without improvement that count as convergence.
    min_delta: what counts as an improvement, in nats.
    best: lowest loss seen.
    stale: validations since then.
  """

  patience: int
  min_delta: float
  best: float = math.inf
  stale: int = 0

  def update(self, loss: float) -> bool:
    """Takes the next validation loss; True once S has converged."""
    if loss < self.best - self.min_delta:
      self.best, self.stale = loss, 0
    else:
      self.stale += 1
    return self.stale >= self.patience


def _describe(state: TrainState) -> str:
  """Sizes of both networks."""
  sizes = {
    name: sum(leaf.size for leaf in jax.tree.leaves(tree)) / 1e6
    for name, tree in state.params.items()
  }
  return (
    f'S has {sizes["segmentation"]:.2f} million parameters, '
    f'F {sizes["failure"]:.2f} million'
  )


@dataclasses.dataclass(frozen=True)
class Parts:
  """What is trained, on what, and how.

  Attributes:
    model: S and F.
    optimizer: of both, as one tree.
    loss: how L2 is formed.
    learning_rates: `(update from 0, phase) -> ` those that it used, by name.
    data: of the run.
    init: what the networks begin with.
    continue_from: what makes of a fresh state, its iterator and the mesh the
      state at the end of another run's phase 1; None to begin anew.
  """

  model: FSNet
  optimizer: optax.GradientTransformationExtraArgs
  loss: LossOptions
  learning_rates: Callable[[int, int], dict[str, float]]
  data: RunData
  init: initial.InitOptions
  continue_from: Callable[[TrainState, Any, Mesh], TrainState] | None = None


class Validator:
  """Losses over the validation split."""

  def __init__(self, data: RunData, model: FSNet, mesh: Mesh):
    self._data = data
    self._mesh = mesh
    self._source = data.validation_source()
    self._steps = {
      phase: jax.jit(
        make_validation_step(model, phase=phase),
        out_shardings=mesh_lib.replicated(mesh),
      )
      for phase in (1, 2)
    }

  def __call__(self, state: TrainState, phase: int) -> dict[str, float]:
    """Empty if the config names no validation split."""
    if self._source is None:
      return {}
    totals: dict[str, float] = {}
    for batch in self._data.evaluation_batches(self._source):
      batch.pop('index')
      sums = self._steps[phase](
        state.params, state.batch_stats, mesh_lib.put_batch(batch, self._mesh)
      )
      for name, value in jax.device_get(sums).items():
        totals[name] = totals.get(name, 0.0) + float(value)
    return validation_losses(totals)


def _quality(losses: dict[str, float], phase: int) -> float | None:
  """What decides which checkpoint is best: lower is better.

  A checkpoint of phase 1 has no failure network worth the name, so any
  checkpoint of the joint phase beats it.
  """
  if not losses:
    return None
  value = losses['loss_segmentation'] + losses.get('loss_failure', 0.0)
  return value if phase == 2 else 1e6 + value


class Trainer(loop.Training[TrainState]):
  """One run: its state, its data and everything it writes.

  Use: `from_config.trainer(config, workdir).run()`.
  """

  title = 'training '

  def __init__(self, options: TrainingOptions, parts: Parts, workdir: Path):
    self._options = options
    self._parts = parts
    self._workdir = workdir
    self._mesh = mesh_lib.make_mesh()
    self._iterator = parts.data.training_batches()
    self._checkpoints = Checkpoints(workdir)
    self._validator = Validator(parts.data, parts.model, self._mesh)
    self._plateau = Plateau(options.patience, options.min_delta)
    self._progress = Progress(options.batch_size)
    self.log_every = options.log_every_steps
    self._writer = create_writer(workdir)
    self._steps: dict[int, Any] = {}
    self._reached = 1, 0  # Phase and step, for `_where`.
    self._state = self._restore_or_create()
    say(f'{_describe(self._state)}, {jax.device_count()} devices')

  def _restore_or_create(self) -> TrainState:
    parts = self._parts
    form = self._options, parts.model, parts.optimizer, self._mesh
    restored = None
    if self._checkpoints.latest_step() is not None:
      restored = self._checkpoints.resume(
        states.abstract(*form), lambda step: self._iterator
      )
    if restored is None:
      state = self._with_initial_weights(states.new(*form))
      if parts.continue_from is not None:
        state = parts.continue_from(state, self._iterator, self._mesh)
      return state
    self._plateau.best = float(restored.metadata['plateau_best'])
    self._plateau.stale = int(restored.metadata['plateau_stale'])
    say(f'resuming from step {restored.step} of {self._workdir}')
    return restored.state

  def _with_initial_weights(self, state: TrainState) -> TrainState:
    """The state with what `config.init` names in its place."""
    params, batch_stats, notes = initial.load(
      self._parts.init, state.params, state.batch_stats
    )
    for note in notes:
      say(note)
    if not notes:
      return state
    return dataclasses.replace(
      state,
      params=mesh_lib.put_replicated(params, self._mesh),
      batch_stats=mesh_lib.put_replicated(batch_stats, self._mesh),
    )

  def _phase(self, step: int) -> int:
    return 2 if step >= int(self._state.phase2_start) else 1

  def _end_of_phase(self, step: int) -> int | None:
    """Last step of the present phase, or None if only data will tell."""
    start = int(self._state.phase2_start)
    if self._phase(step) == 2:
      return start + self._options.phase2_steps
    return start if start != NOT_YET else None

  def _train_step(self, phase: int, batch: Any):
    """The compiled step of a phase; compiled when first needed."""
    if phase not in self._steps:
      say(f'compiling the training step of phase {phase} ...')
      replicated = mesh_lib.replicated(self._mesh)
      step = jax.jit(
        make_train_step(
          self._parts.model,
          self._parts.optimizer,
          phase=phase,
          options=self._parts.loss,
          accumulate_steps=self._options.accumulate_steps,
        ),
        donate_argnums=0,
        out_shardings=(replicated, replicated),
        compiler_options=memory.options_of_steps(
          self._parts.model.segmentation
        ),
      )
      with memory.explained(f'compiling phase {phase}'):
        self._steps[phase] = step.lower(self._state, batch).compile()
      say(memory.describe(self._steps[phase]))
      self._progress.restart()
    return self._steps[phase]

  def run(self) -> None:
    """Trains to the end of phase 2; returns at once if already there.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
      UserError: if a loss is no longer finite.
    """
    with StopRequest(self._where, has_work=False) as stop:
      try:
        with lost_peers.noticed():
          step = int(self._state.step)
          if step >= self.total(self._state):
            self._keep_as_it_is(step)
          loop.run(self, self._state, step, self._iterator, self._mesh, stop)
      finally:
        self._checkpoints.wait()
        self._writer.flush()
        self._writer.close()
        self._checkpoints.close()

  def _keep_as_it_is(self, step: int) -> None:
    """Saves an S that is only to be watched, as the run's.

    Args:
      step: 0, or where the phase 1 of another run ended, without a phase 2.
    """
    if self._checkpoints.latest_step() is None:
      self._save(step, None)
      self._checkpoints.wait()

  def _where(self) -> str:
    phase, step = self._reached
    done = f'after step {step}' if step else 'before the first step'
    return f'in phase {phase} {done}; {kept(self._workdir)}'

  def total(self, state: TrainState) -> int:
    """See `Training`; grows with the start of phase 2."""
    return int(state.phase2_start) + self._options.phase2_steps

  def update(self, step: int, state: TrainState, batch: Any) -> loop.Update:
    """See `Training`."""
    self._state = state
    self._reached = self._phase(step), step
    return self._train_step(self._phase(step), batch)

  def stepped(self, step: int, state: TrainState) -> None:
    """See `Training`."""
    self._state = state  # The one before has been donated.
    self._checkpoints.check()
    self._reached = self._phase(step - 1), step

  def is_boundary(self, step: int, state: TrainState) -> bool:
    """True where the run is validated and saved."""
    start = int(state.phase2_start)
    return (
      step % self._options.checkpoint_every_steps == 0
      or step == start + self._options.phase2_steps
      or step == min(start, self._options.phase1_steps)
    )

  def log(
    self, step: int, state: TrainState, values: Mapping[str, float]
  ) -> None:
    """A line for the terminal and curves for TensorBoard."""
    check_still_there()
    phase = self._phase(step - 1)
    logged = dict(values) | self._parts.learning_rates(step - 1, phase)
    self._writer.write_scalars(
      step, {f'train/{name}': value for name, value in logged.items()}
    )
    shown = {
      name.replace('loss_', ''): values[name]
      for name in ('loss_segmentation', 'loss_failure')
      if name in values
    }
    end = self._end_of_phase(step - 1)
    say(self._progress.line(step, end, phase, shown))

  def at_boundary(self, step: int, state: TrainState) -> TrainState:
    """Validates, switches to phase 2 where S has converged, and saves."""
    phase = self._phase(step - 1)
    losses = self._validator(state, phase)
    if losses:
      self._writer.write_scalars(
        step, {f'validation/{name}': v for name, v in losses.items()}
      )
      shown = '  '.join(f'{name} {v:.4f}' for name, v in losses.items())
      say(f'phase {phase}  step {step}  validation: {shown}')
    if self._switches_now(step, phase, losses):
      say(f'S has converged: phase 2 starts after step {step}')
      state = dataclasses.replace(
        state,
        phase2_start=mesh_lib.put_replicated(np.int32(step), self._mesh),
      )
    self._state = state
    self._save(step, _quality(losses, phase))
    # Validation time must not count as slow training.
    self._progress.restart()
    return state

  def save(self, step: int, state: TrainState) -> None:
    """See `Training`; without a validation value."""
    self._state = state
    self._save(step, None)
    self._checkpoints.wait()

  def _switches_now(self, step, phase, losses) -> bool:
    if phase == 2 or not self._options.until_plateau:
      return False
    converged = self._plateau.update(losses['loss_segmentation'])
    return converged or step >= self._options.phase1_steps

  def _save(self, step: int, quality: float | None) -> None:
    metadata = {
      'plateau_best': self._plateau.best,
      'plateau_stale': self._plateau.stale,
    }
    self._checkpoints.save(step, self._state, self._iterator, metadata, quality)
