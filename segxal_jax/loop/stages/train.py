"""Trains the networks on the labelled pool (paper 3.1)."""

import math

import jax
import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime import memory
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.runtime.progress import Progress
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState

_STOP_CHECK_STEPS = 10


def train(run: Run, state: LoopState) -> LoopState:
  """Trains to the end of the cycle, from wherever the state stands.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    UserError: the loss is no longer finite, or the disk is full.
  """
  config = run.config
  total = config.phase1_steps + config.phase2_steps
  batches = run.training_batches(state.cycle)
  networks, step = state.train, int(state.train.step)
  pool = run.ledger.labelled(state.cycle)
  progress = Progress(config.batch_size)
  say(f'cycle {state.cycle}  train  {len(pool)} labelled images')
  while step < total:
    phase = run.learner.phase(step)
    update = run.train_step(phase)
    batch = mesh_lib.put_batch(next(batches), run.mesh)
    with memory.explained(f'training step {step + 1}'):
      networks, scalars = update(networks, batch)
      scalars['loss'].block_until_ready()
    step += 1
    run.check_saved()
    if step % config.log_every_steps == 0 or step == total:
      _log(run, state.cycle, step, phase, scalars, progress)
    state = state.then('train', train=networks)
    if step % config.checkpoint_every_steps == 0 and step < total:
      run.save(state)
    if _stop_wanted(run, step):
      run.save(state)
      raise Interrupted(
        f'Interrupted by {run.stop.signal_name} and saved at step {step} of '
        f'cycle {state.cycle}: run the same command again to continue.'
      )
  return state.then('predict')


def _stop_wanted(run: Run, step: int) -> bool:
  if jax.process_count() > 1 and step % _STOP_CHECK_STEPS:
    return False
  return run.stop.requested_anywhere()


def _log(run, cycle, step, phase, scalars, progress) -> None:
  """A line for the terminal, curves for TensorBoard, and the NaN stop."""
  values = {
    name: float(np.asarray(value))
    for name, value in jax.device_get(scalars).items()
  }
  if not math.isfinite(values['loss']):
    raise UserError(
      f'The loss is {values["loss"]} at step {step} of cycle {cycle}: lower '
      'config.optimizer.learning_rate or set config.optimizer.clip_norm; the '
      'last checkpoint is untouched.'
    )
  config = run.config
  total = config.phase1_steps + config.phase2_steps
  run.writer.write_scalars(
    (cycle - 1) * total + step,
    {f'train/{name}': value for name, value in values.items()},
  )
  end = config.phase1_steps if phase == 1 else total
  shown = {'loss': values['loss']}
  say(f'cycle {cycle}  train  {progress.line(step, end, phase, shown)}')
