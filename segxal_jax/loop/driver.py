"""The driver: state -> next state, a checkpoint after each stage.

Killed at any moment, the same command resumes from the last checkpoint and
ends in the same state: stages are functions of state, ledger and data, and
the ledger gives a stage only what is before it.
"""

import dataclasses
import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib import random_streams
from common_lib.class_table import VOID
from common_lib.console import say
from fsnet_jax.runtime.cluster import lost_peers
from fsnet_jax.runtime.interrupts import StopRequest
from segxal_jax.config import builders
from segxal_jax.loop import stage_timings
from segxal_jax.loop.context import Run, truth
from segxal_jax.loop.stages import STAGES
from segxal_jax.loop.stages.annotate import store
from segxal_jax.loop.state import DONE, LoopState
from segxal_jax.oracles.full_image import whole_image
from segxal_jax.pool.ledger import SEED_CYCLE, Cost
from segxal_jax.pool.sources import LabelledFirst


@dataclasses.dataclass(frozen=True)
class Finished:
  """How a loop ended.

  Attributes:
    cycles: last cycle, which was trained and measured but queried nothing.
    reason: the stopping rule, in words.
  """

  cycles: int
  reason: str


def run_loop(
  config: ConfigDict, workdir: Path, until: tuple[int, str] | None = None
) -> Finished:
  """Runs the loop to its end, from wherever the folder stands.

  Args:
    config: of the run.
    workdir: claimed by the caller.
    until: cycle and stage before which to stop early.

  Returns:
    How it ended; the reason is '' if it stopped early.

  Raises:
    Interrupted: stopped, or waiting for annotators; run it again.
    UserError: for anything the user must change.
  """
  with StopRequest('while opening the pool', has_work=False) as stop:
    run = Run(config, workdir, stop)
    try:
      state = run.restore()
      stop.work_began()
      if state is None:
        state = _first_state(run)
        run.save(state)
      else:
        answered = state.queried if state.stage == 'select' else ()
        run.ledger.require(state.cycle, answered)
      while state.stage != DONE and (state.cycle, state.stage) != until:
        began = time.perf_counter()
        stage, cycle = state.stage, state.cycle
        stop.where = f'in cycle {cycle}, stage {stage}'
        with lost_peers.noticed():
          state = STAGES[stage](run, state)
        stage_timings.add(workdir, cycle, stage, time.perf_counter() - began)
        run.save(state)
      if state.stage == DONE:
        say(f'the loop ended with cycle {state.cycle}: {state.reason}')
      return Finished(state.cycle, state.reason)
    finally:
      run.close()


def seed_set(run: Run) -> list[int]:
  """Indices of the images that are labelled from the start, ascending.

  All that have a label where others have none; else drawn by the seed.
  """
  if isinstance(run.pool, LabelledFirst):
    return list(range(run.pool.num_labelled))
  size = len(run.pool)
  rng = random_streams.generator(run.config.seed, 'seed_set')
  drawn = rng.permutation(size)[: builders.num_initial(run.config, size)]
  return sorted(int(index) for index in drawn)


def _first_state(run: Run) -> LoopState:
  """The seed set is labelled in full, and paid for.

  What was labelled before the run costs the run nothing, and cannot be audited:
  nobody but its label says what is right.
  """
  indices = seed_set(run)
  given = isinstance(run.pool, LabelledFirst)
  if jax.process_index() == 0:
    for index in indices:
      right = truth(run.pool, index)
      scene_id = str(run.pool[index]['id'])
      answer = whole_image(right)
      if given:
        answer = dataclasses.replace(answer, cost=Cost())
        right = np.full_like(right, VOID)
      store(run, SEED_CYCLE, index, scene_id, answer, right)
    run.ledger.select(SEED_CYCLE, indices, [], {})
  run.share_ledger('seed_set')
  say(f'seed set: {len(indices)} of {len(run.pool)} images')
  return LoopState(
    cycle=1,
    stage='train',
    queried=(),
    reason='',
    train=run.fresh_networks(None),
  )
