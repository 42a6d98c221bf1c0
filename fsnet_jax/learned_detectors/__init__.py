"""Detectors that are trained over the frozen S: fit one, load one.

A detector that learns is one file and one line in `FITTED`; its options are a
class in `fsnet_jax.builders.fits`, and its score, which looks at what it says,
is one more file in `fsnet_jax.detectors`. The parts of the
failure network that phase 3 trains are fitted and loaded in the same way.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.builders import external
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.config import fields, run_paths
from fsnet_jax.learned_detectors import cost, fit_metadata
from fsnet_jax.learned_detectors.base import (
  FittedDetector,
  Loaded,
  Setting,
  section_of,
)
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.learned_detectors.corrections.class_logistic import (
  ClassLogistic,
  ClassLogisticShift,
)
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.learned_detectors.direct import Direct, DirectShift
from fsnet_jax.learned_detectors.ensemble import Ensemble
from fsnet_jax.learned_detectors.obsnet.observer import ObsNet
from fsnet_jax.learned_detectors.synthcp import SynthCp, SynthCpShift
from fsnet_jax.learned_detectors.tcp import Tcp, TcpAsSynthCp, TcpShift
from fsnet_jax.runtime import mesh
from fsnet_jax.runtime.distributed import barrier

FITTED: Mapping[str, FittedDetector] = {
  detector.name: detector
  for detector in (
    Tcp(),
    TcpAsSynthCp(),
    Direct(),
    SynthCp(),
    Ensemble(),
    ClassLogistic(),
    ClassLogisticShift(),
    TcpShift(),
    DirectShift(),
    SynthCpShift(),
    ObsNet(),
  )
}

__all__ = [
  'FITTED',
  'Cost',
  'FittedDetector',
  'Loaded',
  'check',
  'check_fit',
  'check_options',
  'fit',
  'load',
  'note_another_s',
  'section_of',
]


def _found(name: str) -> FittedDetector:
  """Of `FITTED`, or a part of the failure network."""
  return FITTED[name] if name in FITTED else phase3.PARTS[name]


def check(name: str, config: ConfigDict) -> None:
  """Finds every mistake that `fit` would find, before anything is compiled.

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    config: the run's.

  Raises:
    UserError: for the first mistake found.
  """
  from fsnet_jax.learned_detectors import frozen_segmentation

  check_options(name, config)
  frozen_segmentation.check(config)
  check_data(name, config)


def check_options(name: str, config: ConfigDict) -> None:
  """The part of `check` that needs neither S nor data.

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    config: the run's.

  Raises:
    UserError: for the first mistake found.
  """
  if name not in FITTED and name not in phase3.PARTS:
    raise UserError(
      f'config.fit.detector is {name!r}: choose one of {", ".join(FITTED)}.'
    )
  if config.fit.predictions not in ('folds', 'own'):
    raise UserError(
      f'config.fit.predictions is {config.fit.predictions!r}: choose folds or '
      'own.'
    )
  section = section_of(_found(name))
  for field, value in config.fit[section].items():
    if field.endswith('batch_size'):
      mesh.check_batch_size(f'fit.{section}.{field}', value)
  _found(name).check(fit_options(name, config))


def check_data(name: str, config: ConfigDict) -> None:
  """Are there images enough for every batch, and for every fold?

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    config: the run's, whose training images are there.

  Raises:
    UserError: for the first mistake found.
  """
  from fsnet_jax.builders import data_sources
  from input_pipeline.datasets.contiguous_folds import bounds

  images = len(data_sources.training_source(config))
  section = section_of(_found(name))
  for field, value in config.fit[section].items():
    if field.endswith('batch_size') and value > images:
      raise UserError(
        f'config.fit.{section}.{field} is {value}, but there are only {images} '
        'training images: lower it.'
      )
  if _found(name).needs_predictions and config.fit.predictions == 'folds':
    count = config.fit.num_folds
    bounds(images, 0, count)
    rest = images + images // -count  # less the largest fold
    if rest < config.batch_size:
      raise UserError(
        f'config.fit.num_folds is {count}, which leaves {rest} of {images} '
        'training images to train on, fewer than config.batch_size='
        f'{config.batch_size}: give more folds or smaller batches.'
      )


def fit(name: str, config: ConfigDict, workdir: Path) -> Cost:
  """Trains a detector over the frozen S, or goes on with it.

  Does nothing where it is finished, unless it is damaged. The caller claims
  `workdir` if others might use it (`open_workdir`).

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    config: the run's; `init.phase1` names the run whose S is frozen, and
      `fit` says how to train.
    workdir: of this fit; made if missing.

  Returns:
    What it cost, over all commands, with the failure data set if it learns
    from one; `workdir/cost.json` says the same.

  Raises:
    UserError: for anything the user must change.
    Interrupted: after Ctrl-C or SIGTERM; the same call goes on.
  """
  from fsnet_jax.learned_detectors import cross_predictions, frozen_segmentation
  from fsnet_jax.runtime.checkpointing import newest_is_damaged

  stored, config = config, run_paths.located(config, workdir)
  check(name, config)
  detector = _found(name)
  network, variables = frozen_segmentation.load(config)
  section, s = section_of(detector), frozen_segmentation.fingerprint(variables)
  fixed = fit_metadata.FIXED
  if getattr(detector, 'phase3', False):
    fixed |= fields.PHASE3
  fit_metadata.claim(workdir, name, section, stored, s, fixed)
  finished = cost.read(workdir)
  if finished is not None and not newest_is_damaged(workdir):
    return finished
  failure_data, prior = None, Cost()
  if detector.needs_predictions and config.fit.predictions == 'folds':
    failure_data = Path(
      config.fit.failure_data or workdir / fit_metadata.FAILURE_DATA
    )
    prior = cross_predictions.build_failure_data(config, failure_data)
  with cost.running(workdir) as watch:
    setting = _setting(name, config, network, variables, failure_data)
    own = detector.train(setting, workdir)
    total = prior + own + Cost(seconds=watch.seconds)
    total.write(workdir)
  barrier('fit')  # the others read what process 0 has written
  say(
    f'{name} is fitted: {total.trainings_of_s} trainings of S, '
    f'{total.seconds:.0f} s, {total.images} images, in {workdir}'
  )
  return total


def _setting(
  name: str,
  config: ConfigDict,
  network: Any,
  variables: Any,
  failure_data: Path | None,
) -> Setting[Any]:
  """What a detector is fitted to; see `Setting`."""
  from fsnet_jax.builders import data_sources
  from fsnet_jax.learned_detectors import frozen_segmentation

  return Setting(
    fit_options(name, config),
    network,
    variables,
    functools.partial(data_sources.training_source, config),
    functools.partial(frozen_segmentation.train_like_s, config),
    external.also(config),
    functools.partial(external.batches, config),
    failure_data,
  )


def check_fit(name: str, folder: str) -> None:
  """Raises UserError unless `folder` holds a finished fit of a detector.

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    folder: `config.eval.fitted.<name>`.
  """
  if not folder:
    raise UserError(
      f'Detector {name!r} must be fitted first: set config.eval.fitted.{name} '
      'to the folder of a fit (docs/guide/detectors.md).'
    )
  try:
    stored = fit_metadata.read(Path(folder))
  except UserError as error:
    raise UserError(f'config.eval.fitted.{name}: {error}') from None
  if stored['detector'] != name:
    raise UserError(
      f'config.eval.fitted.{name} names {folder}, which holds '
      f'{stored["detector"]}: name the folder of {name}.'
    )
  if cost.read(Path(folder)) is None:
    raise UserError(
      f'config.eval.fitted.{name} names {folder}, which is not finished: run '
      'its command again.'
    )


def load(name: str, folder: Path) -> Loaded:
  """Reads a finished fit.

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    folder: of `fit`.

  Raises:
    UserError: the folder holds no finished fit of this detector.
  """
  check_fit(name, str(folder))
  config = ConfigDict(fit_metadata.read(folder)['config'])
  try:
    return _found(name).load(fit_options(name, config), folder)
  except UserError as error:
    raise UserError(f'The fit of {name} in {folder}: {error}') from error
  # Fields that are missing or of another type, which a network finds.
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise UserError(
      f'{folder}, a fit of {name}, has a config that no network can be made of '
      f'({type(error).__name__}: {quoted(error, 200)}): fit again in another '
      'folder.'
    ) from error


def note_another_s(name: str, folder: Path, params: Any, stats: Any) -> bool:
  """Says so on the terminal if a fit is not over the S that is evaluated.

  Args:
    name: a key of `FITTED`, or of `phase3.PARTS`.
    folder: of `fit`.
    params: of S and F.
    stats: batch statistics of S and F.

  Returns:
    Whether it is another S. A fit over phase 1 is, where phase 2 has
    trained S further.
  """
  from fsnet_jax.learned_detectors import frozen_segmentation

  found = frozen_segmentation.fingerprint(
    frozen_segmentation.variables_of_s(params, stats)
  )
  other = found != fit_metadata.read(folder)['segmentation']
  if other:
    say(f'note: {name} in {folder} was fitted over another S than this one')
  return other
