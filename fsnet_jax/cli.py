"""What `main.py` does between its flags and its exit code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from absl import logging

from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.config import validation
from fsnet_jax.detectors import DETECTORS, fitted_name
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime import compilation_cache, mesh
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training import phase1_reuse
from fsnet_jax.weights import initial


def use_compilation_cache(folder: str) -> None:
  """Keeps compiled programs between runs, so that a resume starts at once."""
  if folder == 'off':
    return
  default = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache'))
  path = Path(folder) if folder else default / 'fsnet_jax' / 'compiled'
  jax.config.update('jax_compilation_cache_dir', str(path.expanduser()))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  compilation_cache.replace_damaged_entries(path.expanduser())


def _check_detectors(config: Any, model: FSNet) -> None:
  """Raises UserError for a detector that the networks cannot serve."""
  for name in config.eval.detectors:
    if DETECTORS[name].uses_temperature and not config.data.validation_split:
      raise UserError(
        f'config.eval.detectors names {name!r}, which is fitted on validation '
        'images: set config.data.validation_split.'
      )
    if DETECTORS[name].uses_dropout_samples:
      problem = mc_dropout.problem(model.segmentation)
      if problem:
        raise UserError(f'config.eval.detectors: {problem}.')
    learned = fitted_name(DETECTORS[name])
    if learned and learned not in learned_detectors.FITTED:
      raise UserError(
        f'Detector {name!r} has uses_fitted={learned!r}, which does not exist: '
        f'choose from {", ".join(learned_detectors.FITTED)}.'
      )
    if learned and not _fits(config, name, learned):
      learned_detectors.check_fit(learned, config.eval.fitted[learned])


def _fits(config: Any, name: str, learned: str) -> bool:
  """Whether the command itself fits what a detector learns."""
  if config.task != 'compare':
    return False
  if learned in config.compare.fitted:
    return True
  if not config.eval.fitted[learned]:
    raise UserError(
      f'config.eval.detectors names {name!r}, which learns: add {learned!r} to '
      f'config.compare.fitted, or set config.eval.fitted.{learned} to the '
      'folder of a fit (docs/guide/detectors.md).'
    )
  return False


def _check(config: Any) -> None:
  """Everything that can be wrong, before anything is compiled."""
  validation.check(config)
  mesh.check_batch_size('batch_size', config.batch_size)
  mesh.check_batch_size('eval.batch_size', config.eval.batch_size)
  mesh.check_accumulation(config.batch_size, config.accumulate_steps)
  initial.check(config, networks.model(config))
  data_sources.open_all(config)
  phase1_reuse.check(config)
  if config.task in ('fsnet', 'compare'):
    _check_detectors(config, networks.model(config))


def run(
  config: Any, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Runs one mode.

  Args:
    config: a locked `ConfigDict`.
    workdir: folder of the run.
    mode: `train` (train, then evaluate) or `evaluate`.
    origin: `config_name` and `command`, for the report.

  Raises:
    UserError: for anything the user must change.
    Interrupted: if the run was stopped and can be continued.
  """
  logging.set_verbosity(logging.WARNING)
  _check(config)
  use_compilation_cache(config.compilation_cache_dir)
  # TensorBoard's writer and orbax are slow to import: a mistake in a flag
  # is reported before.
  if config.task == 'ablation':
    from fsnet_jax.experiments import ablation

    ablation.check(config)
    with open_workdir(workdir, config):
      ablation.run(config, workdir, mode, origin)
    return
  if config.task == 'compare':
    from fsnet_jax.experiments import comparison

    comparison.check(config)
    with open_workdir(workdir, comparison.stored_config(config)):
      comparison.run(config, workdir, mode, origin)
    return
  if config.task == 'fit':
    learned_detectors.check(config.fit.detector, config)
    with open_workdir(workdir, config):
      learned_detectors.fit(config.fit.detector, config, workdir)
    return
  from fsnet_jax.evaluation.evaluate import evaluate
  from fsnet_jax.training.trainer import Trainer

  with open_workdir(workdir, config):
    if mode == 'train':
      Trainer(config, workdir).run()
    evaluate(config, workdir, origin)
