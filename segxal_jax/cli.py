"""What `main.py` does for `config.task = 'segxal'`."""

from collections.abc import Mapping
from pathlib import Path

from absl import logging
from ml_collections import ConfigDict

from fsnet_jax import cli as fsnet_cli
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.config import resolution
from fsnet_jax.runtime import mesh
from fsnet_jax.runtime.machine import memory
from fsnet_jax.runtime.workdir import (
  check_workdir,
  open_finished,
  open_workdir,
)
from fsnet_jax.weights import initial
from input_pipeline import transforms
from segxal_jax.config import builders, own_learner, trainings, validation
from segxal_jax.config.fields import FIELDS


def _check(config: ConfigDict, mode: str) -> None:
  """Everything that can be wrong, before anything is compiled.

  A report is of what the cycles measured; only that of a single run shows
  images, those of its pool.
  """
  validation.check(config)
  if mode == 'train':
    mesh.check_batch_size('batch_size', config.batch_size)
    mesh.check_batch_size('eval.batch_size', config.eval.batch_size)
    mesh.check_accumulation(config.batch_size, config.accumulate_steps)
    own_learner.check_program(config)
    if not own_learner.is_command(config):
      initial.check(init_options(config), trainings.model(config))
    transforms.resolve(config.data.augment)
    builders.validation_source(config)
    for spec in config.eval.datasets:
      builders.test_source(config, spec)
  # Each cell of the baselines has a pool of its own.
  if not config.reference.seeds and (
    mode == 'train' or not config.compare.arms
  ):
    builders.pool_source(config)


def run(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Runs one mode.

  Args:
    config: a `ConfigDict`.
    workdir: folder of the run.
    mode: `train` (the loop, then the report) or `evaluate` (the report of
      what is there).
    origin: `config_name` and `command`, for the report.

  Raises:
    UserError: for anything the user must change.
    Interrupted: if the run was stopped, or waits for annotators.
  """
  logging.set_verbosity(logging.WARNING)
  config = resolution.resolved(config, FIELDS)
  check_workdir(workdir, config, mode, FIELDS)
  _check(config, mode)
  fsnet_cli.use_compilation_cache(config.compilation_cache_dir)
  memory.return_what_compiling_leaves()
  if mode == 'train':
    opened = open_workdir(workdir, config, FIELDS)
  else:
    opened = open_finished(workdir, config, mode, FIELDS)
  # Slow to import: a mistake in a flag is reported before.
  from segxal_jax.experiments import (
    baselines,
    loop_cells,
    strategy_comparison,
  )
  from segxal_jax.loop.driver import run_loop
  from segxal_jax.report import baselines as baselines_report
  from segxal_jax.report import comparison
  from segxal_jax.report.write import report

  if config.reference.seeds:
    cells = baselines.cells_of(config, pools=mode == 'train')
    with opened:
      if mode == 'train':
        loop_cells.run(cells, workdir, loop_cells.make)
      found = loop_cells.results(cells, workdir)
      baselines_report.write(config, workdir, found, origin)
    return
  if config.compare.arms:
    cells = strategy_comparison.cells_of(config)
    with opened:
      if mode == 'train':
        strategy_comparison.run_cells(cells, workdir)
      found = loop_cells.results(cells, workdir)
      comparison.write(config, workdir, cells, found, origin)
    return
  with opened:
    if mode == 'train':
      run_loop(config, workdir)
    report(config, workdir, origin)
