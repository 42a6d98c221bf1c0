"""Everything that the stages of one run share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib import random_streams
from fsnet_jax.builders.classes import class_table
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.runtime.workdir import check_still_there
from fsnet_jax.runtime.writers import create_writer
from fsnet_jax.steps.train_step import TrainState, create_state
from fsnet_jax.weights import initial
from input_pipeline import transforms
from input_pipeline.loader import BatchIterator, train_loader
from input_pipeline.sources import Source
from segxal_jax.acquisition import view_requirements
from segxal_jax.config import builders, own_learner, trainings
from segxal_jax.learners import Learner
from segxal_jax.loop import cycle_files, position
from segxal_jax.loop.lengths import Lengths
from segxal_jax.loop.predictor import Elsewhere, Inside, Predictor
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.ledger import Ledger
from segxal_jax.pool.sources import Subset, labelled_source
from segxal_jax.pool.streaming import scene_texts


class Run:
  """Config, data, networks, ledger and checkpoints of one run.

  Attributes:
    config: of the run.
    classes: that S tells apart.
    workdir: its folder.
    mesh: devices.
    learner: how S is trained; `learner_of` a cycle's length.
    lengths: training steps of each cycle.
    model: S and, if it is trained, F.
    predictor: where S runs.
    pool: images of D^L and D^U together; their labels are the ground truth,
      which only oracles that may see it, and audits, read, and void where the
      data set has none.
    fold: what is tested on beside the test sets, if the pool has folds.
    ledger: who labelled what.
    oracle: who answers.
    stop: whether a stop was requested.
  """

  def __init__(self, config: ConfigDict, workdir: Path, stop: StopRequest):
    self.config = config
    self.classes = class_table(config)
    self.workdir = workdir
    self.stop = stop
    self.mesh = mesh_lib.make_mesh()
    self.learner = trainings.learner(config)
    self.model = self.learner.model()
    self.pool, self.fold = builders.pool_and_fold(config)
    view_requirements.check(config.acquisition.strategy, self.pool)
    self.ledger = Ledger(
      workdir / 'pool',
      scene_texts(self.pool, 'id'),
      read_only=jax.process_index() > 0,
      num_classes=self.classes.num_classes,
    )
    self.lengths = self._lengths()
    self.oracle = builders.oracle(config, workdir / 'oracle')
    self.predictor = self._make_predictor()
    self.writer = create_writer(workdir)
    self._checkpoints = Checkpoints(workdir)
    self._steps: dict[str, Any] = {}
    self._learners: dict[int, Learner] = {}
    self._iterator: tuple[int, BatchIterator] | None = None

  def _lengths(self) -> Lengths:
    config = self.config
    if own_learner.is_command(config):
      # A run of the command counts as one step.
      return Lengths(self.ledger, 1, 0, 0)
    return Lengths(
      self.ledger,
      config.phase1_steps,
      config.steps_per_image,
      config.phase2_steps,
    )

  def _make_predictor(self) -> Predictor:
    if own_learner.is_command(self.config):
      return Elsewhere(self.config, self.workdir)
    return Inside(self.config, self.model, self.learner)

  def folder(self, cycle: int) -> Path:
    """Where a cycle's files are."""
    check_still_there()
    folder = cycle_files.folder_of(self.workdir, cycle)
    folder.mkdir(parents=True, exist_ok=True)
    return folder

  def learner_of(self, cycle: int) -> Learner:
    """The learner of a cycle; those of one length are the same."""
    if own_learner.is_command(self.config):
      return self.learner
    steps = self.lengths.phase1(cycle)
    if steps not in self._learners:
      config = trainings.of_length(self.config, steps)
      self._learners[steps] = trainings.learner(config)
    return self._learners[steps]

  def fresh_networks(
    self, previous: TrainState | None, cycle: int = 1, member: int = 0
  ) -> TrainState:
    """The state before a cycle's first training step.

    From scratch, with weights that depend on the seed alone, or with those
    that `config.init` names: cycles then differ in their labels, not in the
    luck of a draw. With `config.warm_start`, with the weights of the cycle
    before (its optimiser starts anew).

    Args:
      previous: networks of the cycle before.
      cycle: that they are for.
      member: of a committee: each begins with other weights.
    """
    config, learner = self.config, self.learner_of(cycle)
    numbers = (member,) if member else ()
    state = create_state(
      self.model,
      learner.optimizer(),
      seed=random_streams.derived(config.seed, 'networks', *numbers),
      image_size=tuple(config.image_size),
      phase2_start=learner.joint_start(),
    )
    if previous is not None and config.warm_start:
      state = dataclasses.replace(
        state, params=previous.params, batch_stats=previous.batch_stats
      )
    else:
      params, batch_stats, _ = initial.load(
        init_options(config), state.params, state.batch_stats
      )
      state = dataclasses.replace(state, params=params, batch_stats=batch_stats)
    return mesh_lib.put_replicated(state, self.mesh)

  def compiled(self, name: str, make: Callable[[], Any]) -> Any:
    """A compiled step, made once a run."""
    if name not in self._steps:
      self._steps[name] = make()
    return self._steps[name]

  def train_step(self, cycle: int, step: int) -> Any:
    """The compiled update number `step`, from 0, of a cycle."""
    replicated = mesh_lib.replicated(self.mesh)
    learner = self.learner_of(cycle)
    phase, steps = learner.phase(step), self.lengths.phase1(cycle)
    return self.compiled(
      f'train{phase} of {steps}',
      lambda: jax.jit(
        learner.train_step(self.model, phase),
        donate_argnums=0,
        out_shardings=(replicated, replicated),
      ),
    )

  def member_batches(self, cycle: int, member: int) -> BatchIterator:
    """As `training_batches`, in an order of its own; the caller closes it."""
    return self._make_iterator(cycle, member)

  def training_batches(self, cycle: int) -> BatchIterator:
    """Endless batches of the labelled pool of a cycle."""
    if self._iterator is None or self._iterator[0] != cycle:
      if self._iterator is not None:
        self._iterator[1].close()
      self._iterator = (cycle, self._make_iterator(cycle))
    return self._iterator[1]

  def _make_iterator(self, cycle: int, *member: int) -> BatchIterator:
    config = self.config
    if own_learner.is_command(config):
      # A checkpoint has one; nobody reads it.
      return train_loader(Subset(self.pool, [0]), batch_size=1, seed=0)
    return train_loader(
      labelled_source(
        self.pool,
        self.ledger,
        cycle,
        with_unlabelled=self.learner.needs_unlabelled,
      ),
      batch_size=config.batch_size,
      seed=random_streams.derived(config.seed, 'batches', cycle, *member),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      augment=transforms.resolve(config.data.augment),
      num_workers=config.data.num_workers,
    )

  def save(self, state: LoopState) -> None:
    """Makes `state` what a resumed run starts from.

    Only training changes the networks, so only training saves them: as
    checkpoint number (training steps of all cycles). Later stages of the
    cycle add a small file that names the position.
    """
    if state.stage == 'train' and int(state.train.step) == 0:
      self._save_position(state)
      return
    if state.stage not in ('train', 'predict'):
      self._save_position(state)
      return
    step = self.lengths.before(state.cycle) + int(state.train.step)
    self._checkpoints.save(
      step,
      _as_dict(state.train),
      self.training_batches(state.cycle),
      state.metadata(),
      # The newest counts as the best, so that no other is kept for it.
      validation=-float(step),
    )

  def _save_position(self, state: LoopState) -> None:
    check_still_there()
    # A position is of use only with the networks that it belongs to.
    self._checkpoints.wait()
    if jax.process_index() == 0:
      position.write(self.workdir, state.metadata())
    barrier('position')

  def check_saved(self) -> None:
    """Raises UserError once a save in the background has failed; cheap."""
    self._checkpoints.check()

  def restore(self) -> LoopState | None:
    """The state saved last, or None for a new run.

    Raises:
      UserError: `position.json` or every checkpoint is damaged, or they do
        not belong together; nothing has been touched.
    """
    found = position.read(self.workdir)
    if found is not None:
      position.check_fits(
        self.workdir,
        found,
        pool_size=len(self.pool),
        furthest=checkpoint_folders.furthest(self.workdir),
        trained_before=self.lengths.before,
      )
    fresh = self.fresh_networks(None)
    restored = self._checkpoints.resume(_as_dict(fresh), self._batches_at)
    if restored is None:
      return None if found is None else LoopState.restored(found, fresh)
    trained = TrainState(**restored.state)
    saved = LoopState.restored(restored.metadata, trained)
    if found is None or not self.lengths.is_end(restored.step):
      return saved
    later = LoopState.restored(found, trained)
    if later.progress <= saved.progress:
      return saved
    if later.cycle > saved.cycle:
      # Of the next cycle, however far the run once was.
      networks = self.fresh_networks(trained, saved.cycle + 1)
      return later.then(
        'train', cycle=saved.cycle + 1, queried=(), reason='', train=networks
      )
    return later

  def _batches_at(self, step: int) -> BatchIterator | None:
    """The batches that training resumes with, before they are set there."""
    if self._iterator is not None:
      # An attempt at a damaged checkpoint may have moved it.
      self._iterator[1].close()
      self._iterator = None
    if self.lengths.is_end(step):
      return None
    return self.training_batches(self.lengths.cycle_of(step))

  def share_ledger(self, name: str) -> None:
    """Lets every process know what process 0 has written; a collective."""
    barrier(name)
    if jax.process_index() > 0:
      self.ledger.refresh()

  def check_stop(self, what: str) -> None:
    """Raises Interrupted if a stop was requested; nothing is lost."""
    if self.stop.requested_anywhere():
      raise Interrupted(
        f'Interrupted by {self.stop.signal_name} while {what}: run the same '
        'command again to continue.'
      )

  def close(self) -> None:
    """Waits for what is being written."""
    self._checkpoints.wait()
    self._checkpoints.close()
    self.writer.flush()
    self.writer.close()
    if self._iterator is not None:
      self._iterator[1].close()


def _as_dict(state: TrainState) -> dict[str, Any]:
  """The fields of a state, for a checkpoint."""
  return {
    field.name: getattr(state, field.name)
    for field in dataclasses.fields(state)
  }


def truth(pool: Source, index: int) -> np.ndarray:
  """The ground truth of an image, for those who may see it."""
  return np.asarray(pool[index]['label'])
