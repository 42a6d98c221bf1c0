"""What `main.py` does between its flags and its exit code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from absl import logging
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.paths import default_folder, expanded
from fsnet_jax import learned_detectors
from fsnet_jax.builders import data_sources, external, networks
from fsnet_jax.builders.classes import class_table
from fsnet_jax.builders.evaluation import failure_options
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.config import resolution, run_paths, validation
from fsnet_jax.detectors import fitted_name, resolve
from fsnet_jax.evaluation import folders
from fsnet_jax.learned_detectors import fit_metadata
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime import compilation_cache, mesh
from fsnet_jax.runtime.cluster import peers
from fsnet_jax.runtime.machine import memory
from fsnet_jax.runtime.workdir import (
  check_workdir,
  open_finished,
  open_workdir,
)
from fsnet_jax.training import phase1_reuse
from fsnet_jax.weights import initial


def use_compilation_cache(folder: str) -> None:
  """Keeps compiled programs between runs, so that a resume starts at once."""
  if folder == 'off':
    return
  home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  path = expanded(
    folder or default_folder(f'{home}/fsnet_jax/compiled', 'compiled programs')
  )
  jax.config.update('jax_compilation_cache_dir', str(path))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  compilation_cache.replace_damaged_entries(path)


def _check_detectors(config: ConfigDict, model: FSNet) -> None:
  """Raises UserError for a detector that the networks cannot serve."""
  for name, detector in resolve(config.eval.detectors).items():
    if detector.uses_temperature and not config.data.validation_split:
      raise UserError(
        f'config.eval.detectors names {name!r}, which is fitted on validation '
        'images: set config.data.validation_split.'
      )
    if detector.uses_dropout_samples:
      problem = mc_dropout.problem(model.segmentation)
      if problem:
        raise UserError(f'config.eval.detectors: {problem}.')
    learned = fitted_name(detector)
    if learned == 'ensemble' and config.segmentation.members:
      continue  # Nothing is to be fitted.
    if learned and learned not in learned_detectors.FITTED:
      raise UserError(
        f'Detector {name!r} has uses_fitted={learned!r}, which does not exist: '
        f'choose from {", ".join(learned_detectors.FITTED)}.'
      )
    if learned and not _fits(config, name, learned):
      learned_detectors.check_fit(learned, config.eval.fitted.get(learned, ''))


def _fits(config: ConfigDict, name: str, learned: str) -> bool:
  """Whether the command itself fits what a detector learns."""
  if config.task != 'compare':
    return False
  if learned in config.compare.fitted:
    return True
  if not config.eval.fitted.get(learned, ''):
    raise UserError(
      f'config.eval.detectors names {name!r}, which learns: add {learned!r} to '
      f'config.compare.fitted, or set config.eval.fitted.{learned} to the '
      'folder of a fit (docs/guide/detectors.md).'
    )
  return False


def _check(config: ConfigDict, mode: str) -> None:
  """Everything that can be wrong, before anything is compiled.

  What only training needs, its images and initial weights among them, need
  not be here any more when a finished run is looked at.
  """
  training = mode == 'train'
  validation.check(config)
  _check_mode(config, mode)
  folders.check_name(config)
  mesh.check_batch_size('eval.batch_size', config.eval.batch_size)
  if training:
    mesh.check_batch_size('batch_size', config.batch_size)
    mesh.check_accumulation(config.batch_size, config.accumulate_steps)
    initial.check(init_options(config), networks.model(config))
  if mode == 'check':
    return
  external.check(config)
  if config.eval.groups and not class_table(config).groups:
    raise UserError(
      'config.eval.groups is True, but the class table names no groups: add '
      '"groups" to it (docs/guide/your_network.md), or set it to False.'
    )
  if training or _evaluates(config, mode):  # A table is of stored metrics.
    data_sources.open_all(config, training)
  if training:
    phase1_reuse.check(config)
    if config.task in ('fsnet', 'compare'):
      _check_phase3(config)
  scored = training and config.task == 'fsnet'
  if scored or config.task == 'compare' or _evaluates(config, mode):
    _check_detectors(config, networks.model(config))


def _evaluates(config: ConfigDict, mode: str) -> bool:
  """Whether a finished run is evaluated."""
  return config.task == 'fsnet' and mode == 'evaluate'


def _check_mode(config: ConfigDict, mode: str) -> None:
  """Raises UserError for a mode that is not one of the task."""
  if mode in ('train', 'evaluate') or config.task == 'fsnet':
    return
  of = 'its runs' if config.task in ('compare', 'ablation') else 'a run'
  raise UserError(
    f'--mode={mode} is for a run of FSNet, and --config is of the task '
    f'{config.task!r}: give --workdir of {of} instead.'
  )


def _check_phase3(config: ConfigDict) -> None:
  """What would otherwise be found once S is trained."""
  for part in phase3.parts_of(failure_options(config)):
    learned_detectors.check_options(part, config)
    learned_detectors.check_data(part, config)


# TensorBoard's writer and orbax are slow to import, so each of the following
# does it by itself: a mistake in a flag is reported before.


def _run_fsnet(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Trains and reports, or evaluates into a folder of its own."""
  from fsnet_jax.evaluation.evaluate import evaluate
  from fsnet_jax.training.from_config import trainer

  if mode == 'evaluate':
    from fsnet_jax.monitor.calibration import promise

    with open_finished(workdir, config, mode):
      folder = folders.of_evaluation(config, workdir)
      held = promise.of_run(config, workdir)
      added = {name: one.entry for name, one in held.items()}
      evaluate(
        config, workdir, origin, observers=held, folder=folder, added=added
      )
    return
  if mode == 'calibrate':
    from fsnet_jax.monitor.calibration.run import calibrate

    with open_finished(workdir, config, mode):
      calibrate(config, workdir, origin)
    return
  with open_workdir(workdir, config):
    trainer(config, workdir).run()
    phase3.run(config, workdir)
    folder = folders.after_training(config, workdir)
    own = folder == workdir / folders.REPORT
    evaluate(config, workdir, origin, folder=None if own else folder)


def _run_check(config: ConfigDict) -> None:
  """Looks at a network from elsewhere before anything is trained over it."""
  from fsnet_jax.evaluation import external_check

  external_check.run(config)


def _run_ablation(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Trains the variants that are missing, and shows all in one table."""
  from fsnet_jax.experiments import ablation

  ablation.check(config)
  with _opened(workdir, config, mode):
    ablation.run(config, workdir, mode, origin)


def _run_comparison(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Trains the seeds that are missing, and shows all detectors."""
  from fsnet_jax.experiments import comparison

  comparison.check(config)
  with _opened(workdir, config, mode):
    comparison.run(config, workdir, mode, origin)


def _run_fit(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Trains a detector over a frozen S."""
  del origin
  name = config.fit.detector
  if mode != 'train':
    raise UserError(
      f'--workdir={workdir} holds a fitted detector, which is evaluated with '
      f'the run that it was fitted to: --workdir={config.init.phase1} '
      f'--mode={mode} --config.eval.fitted.{name}={workdir}, and its name in '
      '--config.eval.detectors.'
    )
  learned_detectors.check(name, run_paths.located(config, workdir))
  section = learned_detectors.section_of(learned_detectors.FITTED[name])
  fit_metadata.check(workdir, name, section, config)
  with open_workdir(workdir, config):
    learned_detectors.fit(name, config, workdir)


def _opened(workdir: Path, config: ConfigDict, mode: str) -> Any:
  """The folder, claimed as the mode needs it."""
  if mode == 'train':
    return open_workdir(workdir, config)
  return open_finished(workdir, config, mode)


_TASKS = {
  'fsnet': _run_fsnet,
  'ablation': _run_ablation,
  'compare': _run_comparison,
  'fit': _run_fit,
}


def run(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Runs one mode.

  Args:
    config: a `ConfigDict`.
    workdir: folder of the run.
    mode: `train` (train, then evaluate); `evaluate` and `calibrate`, which
      change nothing of what training left; `check`, which needs no run.
    origin: `config_name` and `command`, for the report.

  Raises:
    UserError: for anything the user must change.
    Interrupted: if the run was stopped and can be continued.
  """
  logging.set_verbosity(logging.WARNING)
  config = resolution.resolved(config)
  if mode == 'check':
    _check(config, mode)
    _run_check(config)
    return
  _prepare(config, workdir, mode)
  _TASKS[config.task](config, workdir, mode, origin)


def predict(
  config: ConfigDict,
  workdir: Path,
  source: str,
  output: Path,
  origin: Mapping[str, str],
) -> None:
  """Runs `--mode=predict`, which writes nothing into the run's folder.

  Several processes share the images.

  Args:
    config: a `ConfigDict`.
    workdir: folder of a finished run.
    source: folder, glob or video.
    output: folder of what is written.
    origin: `config_name` and `command`, for the page.

  Raises:
    UserError: for anything the user must change.
    Interrupted: if it was stopped and can be continued.
  """
  logging.set_verbosity(logging.WARNING)
  with peers.together() as together:
    config = resolution.resolved(config)
    _prepare(config, workdir, 'predict')
    from fsnet_jax.monitor.predict import from_run

    located = run_paths.located(config, workdir)
    from_run.predict(located, workdir, source, output, origin, together)


def export(config: ConfigDict, workdir: Path, output: Path) -> None:
  """Runs `--mode=export`, which writes nothing into the run's folder.

  Args:
    config: a `ConfigDict`.
    workdir: folder of a finished run.
    output: the file that is written.

  Raises:
    UserError: for anything the user must change.
  """
  logging.set_verbosity(logging.WARNING)
  config = resolution.resolved(config)
  _prepare(config, workdir, 'export')
  from fsnet_jax.monitor.export import from_run

  from_run.export(run_paths.located(config, workdir), workdir, output)


def _prepare(config: ConfigDict, workdir: Path, mode: str) -> None:
  """Checks what can be wrong with a folder or a config."""
  check_workdir(workdir, config, mode)
  _check(run_paths.located(config, workdir), mode)
  use_compilation_cache(config.compilation_cache_dir)
  memory.return_what_compiling_leaves()
