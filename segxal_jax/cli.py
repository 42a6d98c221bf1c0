"""What `main.py` does for `config.task = 'segxal'`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from fsnet_jax import build as fsnet_build
from fsnet_jax import cli as fsnet_cli
from fsnet_jax.runtime import mesh
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.weights import initial
from input_pipeline import transforms
from segxal_jax import build, config_check


def _check(config: Any) -> None:
  """Everything that can be wrong, before anything is compiled."""
  config_check.check(config)
  mesh.check_batch_size('batch_size', config.batch_size)
  mesh.check_batch_size('eval.batch_size', config.eval.batch_size)
  mesh.check_accumulation(config.batch_size, config.accumulate_steps)
  initial.check(config, build.model(config))
  transforms.resolve(config.data.augment)
  if not config.reference.seeds:  # Else each cell has a pool of its own.
    build.pool_source(config)
  build.validation_source(config)
  for spec in config.eval.datasets:
    fsnet_build.source(config, spec)


def run(
  config: Any, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Runs one mode.

  Args:
    config: a locked `ConfigDict`.
    workdir: folder of the run.
    mode: `train` (the loop, then the report) or `evaluate` (the report of
      what is there).
    origin: `config_name` and `command`, for the report.

  Raises:
    UserError: for anything the user must change.
    Interrupted: if the run was stopped, or waits for annotators.
  """
  logging.set_verbosity(logging.WARNING)
  _check(config)
  fsnet_cli.use_compilation_cache(config.compilation_cache_dir)
  # Slow to import: a mistake in a flag is reported before.
  from segxal_jax import compare, reference
  from segxal_jax.loop import run_loop
  from segxal_jax.report import comparison
  from segxal_jax.report import reference as reference_report
  from segxal_jax.report.write import report

  if config.reference.seeds:
    parts = reference.cells_of(config)
    with open_workdir(workdir, config):
      if mode == 'train':
        reference.run_cells(parts, workdir)
      found = reference.results(parts, workdir)
      reference_report.write(config, workdir, found, origin)
    return
  if config.compare.arms:
    compare.arms(config)
    with open_workdir(workdir, config):
      if mode == 'train':
        compare.run_cells(config, workdir)
      found = compare.results(config, workdir)
      comparison.write(config, workdir, found, origin)
    return
  with open_workdir(workdir, config):
    if mode == 'train':
      run_loop(config, workdir)
    report(config, workdir, origin)
