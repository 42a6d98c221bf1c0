"""Selects the images of a query and writes the questions (paper 3.3)."""

import jax

from common_lib import random_streams
from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.distributed import barrier
from segxal_jax import acquisition
from segxal_jax.acquisition import Candidates
from segxal_jax.config import builders
from segxal_jax.loop import cycle_files
from segxal_jax.loop.context import Run, truth
from segxal_jax.loop.stages import shared
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.sources import has_truth
from segxal_jax.pool.streaming import stream
from segxal_jax.queries import error_counts, storage, watched


def query(run: Run, state: LoopState) -> LoopState:
  """Selects a batch of images, writes their maps and where errors lie.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the stage starts anew.
    UserError: the network has diverged.
  """
  batch = selected_batch(run, state)
  say(f'cycle {state.cycle}  query  {len(batch)} images')
  write_maps(run, state, batch, 'questions')
  followed = watched.watched(
    run.config.seed,
    run.config.report.num_watched,
    run.ledger,
    len(run.pool),
  )
  write_maps(run, state, followed, watched.FOLDER)
  barrier('query')
  if jax.process_index() == 0:
    _count_errors(run, state.cycle, batch)
  return state.then('annotate', queried=tuple(batch))


def _count_errors(run: Run, cycle: int, batch: list[int]) -> None:
  """Writes where the errors of the images asked about lie, for reports alone.

  Of those that have a ground truth.
  """
  folder = run.folder(cycle) / 'questions'
  counts = [
    error_counts.of_image(
      shared.read_maps(run, folder, index), truth(run.pool, index)
    )
    for index in batch
    if has_truth(run.pool, index)
  ]
  known = error_counts.added(one for one in counts if one is not None)
  cycle_files.write_errors(run.workdir, cycle, known)


def selected_batch(run: Run, state: LoopState) -> list[int]:
  """Indices of the images of a query, highest utility first.

  Raises:
    UserError: the network has diverged, or the scores are damaged.
  """
  config = run.config
  strategy = acquisition.create(config.acquisition.strategy)
  known = cycle_files.read_scores(
    run.workdir, state.cycle, len(run.pool), strategy.needs
  )
  candidates = Candidates(
    index=known['index'],
    scores={name: known[name] for name in strategy.needs},
    embedding=known.get('embedding'),
    centres=known.get('centres'),
    group=known.get('group'),
  )
  count = builders.num_query(config, len(run.pool))
  rng = random_streams.generator(config.seed, 'choice', state.cycle)
  try:
    selected = strategy.select(candidates, count, rng)
  except ValueError as error:
    raise UserError(
      f'The pool cannot be scored in cycle {state.cycle}: {error}; lower '
      'config.optimizer.learning_rate or set config.optimizer.clip_norm.'
    ) from error
  return [int(index) for index in selected.index]


def write_maps(
  run: Run, state: LoopState, indices: list[int], folder_name: str
) -> None:
  """Writes one file of maps for each image; see `queries.storage`."""
  if not indices:
    return
  folder = run.folder(state.cycle) / folder_name
  folder.mkdir(exist_ok=True)
  step = shared.maps_step(run)
  weights = shared.weights(run, state.cycle)
  view = builders.pool_view(run.config)
  selector = builders.region_selector(run.config)
  for batch in stream(run.pool, indices, run.config.eval.batch_size, view):
    maps = step(
      run.predictor.params(state),
      state.train.batch_stats,
      shared.inputs(run, state, batch, weights),
    )
    local = {name: mesh_lib.local_rows(rows) for name, rows in maps.items()}
    local['proximity'] = batch['proximity']
    for row, index in enumerate(batch['index']):
      if batch['mask'][row]:
        storage.write(
          storage.path(folder, int(index)),
          batch['image'][row],
          {name: rows[row] for name, rows in local.items()},
          batch['usable'][row],
          selector,
          random_streams.generator(
            run.config.seed, 'asks', state.cycle, int(index)
          ),
        )
    run.check_stop('explaining images')
