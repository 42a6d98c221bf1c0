"""Scores a random part of the unlabelled pool (paper 3.2, 4: D^S)."""

import shutil
from typing import Any

import jax
import numpy as np

from common_lib import random_streams
from common_lib.console import say
from fsnet_jax.runtime import mesh as mesh_lib
from segxal_jax import acquisition
from segxal_jax.config import builders
from segxal_jax.loop import auxiliary_models, cycle_files
from segxal_jax.loop.auxiliary_models import views
from segxal_jax.loop.context import Run
from segxal_jax.loop.stages import fit_mask_weights, shared
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.streaming import gathered, stream


def subset(run: Run, cycle: int) -> np.ndarray:
  """Indices of D^S, ascending: the part of D^U that a cycle scores.

  Each image of the pool draws a lot that depends on seed and cycle alone, and
  the lowest lots among the unlabelled are taken: strategies that run with one
  seed score the same images wherever their pools agree.
  """
  unlabelled = np.ones(len(run.pool), bool)
  unlabelled[list(run.ledger.labelled(cycle))] = False
  indices = np.flatnonzero(unlabelled)
  lots = random_streams.generator(run.config.seed, 'subset', cycle).random(
    len(run.pool)
  )
  wanted = builders.num_query(run.config, len(run.pool))
  share = run.config.pool.subset_share
  count = min(len(indices), max(wanted, round(share * len(indices))))
  drawn = indices[np.argsort(lots[indices], kind='stable')[:count]]
  return np.sort(drawn)


def explain(run: Run, state: LoopState) -> LoopState:
  """Scores D^S with one streaming pass and writes scores.npz.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the pass starts anew.
  """
  fit_mask_weights.weigh(run, state)
  strategy = acquisition.create(run.config.acquisition.strategy)
  indices = subset(run, state.cycle)
  arrays = {'index': indices}
  if strategy.needs or strategy.needs_embedding:
    say(
      f'cycle {state.cycle}  explain  {len(indices)} images: {strategy.title}'
    )
    labelled = []
    centres = (
      strategy.needs_embedding and strategy.requirements.embedding == 'features'
    )
    if centres:
      labelled = list(run.ledger.labelled(state.cycle))
    values = score(run, state, strategy, [*map(int, indices), *labelled])
    for name, rows in values.items():
      arrays[name] = rows[: len(indices)]
    if centres:
      arrays['centres'] = values['embedding'][len(indices) :]
  if jax.process_index() == 0:
    cycle_files.write_scores(run.workdir, state.cycle, arrays)
    # Of no more use, and as large as many checkpoints.
    trained = run.folder(state.cycle) / auxiliary_models.FOLDER
    shutil.rmtree(trained, ignore_errors=True)
  return state.then('query')


def score(
  run: Run,
  state: LoopState,
  strategy: acquisition.Acquisition,
  indices: list[int],
) -> dict[str, np.ndarray]:
  """What a strategy needs of each image, in the order of `indices`."""
  if strategy.requirements.auxiliary_model == views.NAME:
    return views.score(run, state, indices)
  scorer = _scorer(run, state, strategy)
  view = builders.pool_view(run.config)
  key = jax.random.key(
    random_streams.derived(run.config.seed, 'committee', state.cycle)
  )
  weights = shared.weights(run, state.cycle)
  collected: dict[str, list[Any]] = {}
  batches = stream(run.pool, indices, run.config.eval.batch_size, view)
  for number, batch in enumerate(batches):
    inputs = shared.inputs(run, state, batch, weights, 'eem' in strategy.needs)
    values = scorer(inputs, jax.random.fold_in(key, number))
    for name, rows in values.items():
      collected.setdefault(name, []).append(mesh_lib.local_rows(rows))
    run.check_stop('scoring the pool')
  stacked = {name: np.stack(rows) for name, rows in collected.items()}
  return {
    name: rows[: len(indices)] for name, rows in gathered(stacked).items()
  }


def _scorer(
  run: Run, state: LoopState, strategy: acquisition.Acquisition
) -> auxiliary_models.Scorer:
  """(batch, key) -> numbers: of S itself, or of networks beside it."""
  name = strategy.requirements.auxiliary_model
  if name:
    return auxiliary_models.AUXILIARY_MODELS[name](run, state, strategy)
  step = run.compiled('score', lambda: _make_step(run, strategy))
  params = run.predictor.params(state)

  def score(batch, key):
    return step(params, state.train.batch_stats, batch, key)

  return score


def _make_step(run: Run, strategy: acquisition.Acquisition) -> Any:
  return jax.jit(
    run.predictor.make_score_step(
      builders.explain_options(run.config),
      strategy.needs,
      strategy.needs_embedding,
    ),
    out_shardings=mesh_lib.batch_sharding(run.mesh),
  )
