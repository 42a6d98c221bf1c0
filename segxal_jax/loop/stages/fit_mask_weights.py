"""Fits the weights of the error mask on the validation images of a cycle."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from common_lib import random_streams
from common_lib.class_table import VOID
from common_lib.console import say
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.distributed import barrier
from input_pipeline.sources import Source
from segxal_jax.config import builders
from segxal_jax.explanation import mask_weights
from segxal_jax.explanation.step import PARTS
from segxal_jax.loop import cycle_files
from segxal_jax.loop.context import Run
from segxal_jax.loop.stages import shared
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.streaming import gathered, stream

# Drawn from each image, with replacement.
_PIXELS = 1000


def weigh(run: Run, state: LoopState) -> None:
  """Fits and writes weights.json if the config fits weights.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the fit starts anew.
  """
  if run.config.eem.weights != 'fitted':
    return
  used = [name for name in PARTS if shared.configured(run)[name]]
  source = builders.weighing_source(run.config)
  parts, wrong = _samples(run, state, source, used)
  fitted = mask_weights.fit(parts, wrong)
  if fitted is None:
    say(
      f'cycle {state.cycle}  explain  no part of the error mask predicts '
      'errors on validation images: the weights of the config stay'
    )
    result = shared.configured(run)
  else:
    result = dict.fromkeys(PARTS, 0.0)
    result |= dict(zip(used, map(float, fitted)))
    mixture = ' + '.join(f'{result[name]:.2f} {name}' for name in used)
    say(
      f'cycle {state.cycle}  explain  error mask = {mixture}, fitted on '
      f'{len(source)} validation images'
    )
  if jax.process_index() == 0:
    stored = {'weights': result, 'pixels': len(wrong), 'images': len(source)}
    cycle_files.write_weights(run.workdir, state.cycle, stored)
  barrier('weights')


def _samples(
  run: Run, state: LoopState, source: Source, used: list[str]
) -> tuple[np.ndarray, np.ndarray]:
  """Values of the maps [n k] and errors [n] at pixels drawn by the seed."""
  step = shared.maps_step(run)
  before = shared.configured(run)
  pool_view = builders.pool_view(run.config)

  def view(scene: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return pool_view(scene) | {'label': np.asarray(scene['label'])}

  collected: dict[str, list[np.ndarray]] = {}
  indices = list(range(len(source)))
  for batch in stream(source, indices, run.config.eval.batch_size, view):
    maps = step(
      run.predictor.params(state),
      state.train.batch_stats,
      shared.inputs(run, state, batch, before),
    )
    local = {name: mesh_lib.local_rows(maps[name]) for name in used}
    local['prediction'] = mesh_lib.local_rows(maps['prediction'])
    for name, values in _drawn(run, state.cycle, batch, local, used).items():
      collected.setdefault(name, []).append(values)
    run.check_stop('weighing the error mask')
  stacked = {name: np.stack(values) for name, values in collected.items()}
  found = gathered(stacked)
  kept = found['valid'].ravel()
  parts = found['parts'].reshape(-1, len(used))[kept]
  return parts, found['wrong'].ravel()[kept]


def _drawn(
  run: Run,
  cycle: int,
  batch: Mapping[str, np.ndarray],
  maps: Mapping[str, np.ndarray],
  used: list[str],
) -> dict[str, np.ndarray]:
  """Of this process's images: parts [b n k], wrong and valid [b n]."""
  parts, wrong, valid = [], [], []
  for row, index in enumerate(batch['index']):
    rng = random_streams.generator(
      run.config.seed, 'weights', cycle, int(index)
    )
    label = batch['label'][row].ravel()
    at = rng.integers(0, label.size, _PIXELS)
    parts.append(np.stack([maps[n][row].ravel()[at] for n in used], -1))
    wrong.append(maps['prediction'][row].ravel()[at] != label[at])
    counts = (label[at] != VOID) & batch['usable'][row].ravel()[at]
    valid.append(counts & batch['mask'][row])
  return {
    'parts': np.stack(parts).astype(np.float32),
    'wrong': np.stack(wrong),
    'valid': np.stack(valid),
  }
