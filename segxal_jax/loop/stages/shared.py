"""What the passes over images share: the mask's weights, the maps' step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fsnet_jax.runtime import mesh as mesh_lib
from segxal_jax.config import builders
from segxal_jax.explanation.step import PARTS, TRUE_ERROR
from segxal_jax.loop import cycle_files
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState
from segxal_jax.queries import storage


def configured(run: Run) -> dict[str, float]:
  """The config's weights, by the name of the map; 0 leaves a map out."""
  eem = run.config.eem
  return {'pae': eem.alpha, 'entropy': eem.beta, 'failure': eem.gamma}


def weights(run: Run, cycle: int) -> dict[str, float]:
  """The weights in use: those fitted in a cycle, or the config's.

  Raises:
    UserError: the fitted ones are missing or damaged.
  """
  if run.config.eem.weights == 'fitted':
    return cycle_files.read_weights(run.workdir, cycle)
  return configured(run)


def read_maps(run: Run, folder: Path, index: int) -> storage.Maps:
  """What was written about an image that the present cycle queries.

  Raises:
    UserError: the file is missing or damaged.
  """
  fix = cycle_files.repeat(run.workdir)
  return storage.read(storage.path(folder, index), fix)


def inputs(
  run: Run,
  state: LoopState,
  batch: Mapping[str, np.ndarray],
  mask_weights: Mapping[str, float],
  with_mask: bool = True,
) -> Any:
  """What the compiled steps read of a batch, on the devices.

  Args:
    run: whose batch it is.
    state: of the networks.
    batch: of `builders.pool_view`.
    mask_weights: by the name of the map.
    with_mask: whether the error mask is made of it.
  """
  names = ['image', 'near', 'usable']
  if run.config.acquisition.strategy == TRUE_ERROR:
    names.append('label')
  taken = {name: batch[name] for name in names}
  taken |= run.predictor.outputs(state, batch, with_mask)
  if run.config.eem.weights == 'fitted':
    row = np.array([mask_weights[name] for name in PARTS], np.float32)
    taken['weights'] = np.tile(row, (len(batch['mask']), 1))
  return mesh_lib.put_batch(taken, run.mesh)


def maps_step(run: Run) -> Any:
  """The compiled `make_maps_step`, made once a run."""

  def make():
    options = builders.explain_options(run.config)
    return jax.jit(
      run.predictor.make_maps_step(
        options, builders.region_selector(run.config).guide
      ),
      out_shardings=mesh_lib.batch_sharding(run.mesh),
    )

  return run.compiled('maps', make)
