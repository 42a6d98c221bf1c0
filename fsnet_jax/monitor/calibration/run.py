"""The command: `--mode=calibrate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common_lib import random_streams
from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources
from fsnet_jax.builders.calibration import (
  CalibrationOptions,
  calibration_options,
)
from fsnet_jax.config import run_paths
from fsnet_jax.detectors import use_temperature
from fsnet_jax.monitor import calibration_file, risk_control, statistics
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.calibration import losses, page, platt, units
from fsnet_jax.monitor.calibration.collect import Labelled, labelled
from fsnet_jax.monitor.calibration.digest import network_digest
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.monitor.monitor import MonitorResult
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from input_pipeline.datasets import dataset_of
from input_pipeline.sources import Source

# Of each image, for Platt's regression and the quantiles of the grid.
_PIXELS = 4000


def calibrate(
  config: ConfigDict, workdir: Path, origin: Mapping[str, str]
) -> CalibrationFile:
  """Chooses a threshold for a finished run, and writes `calibration.json`.

  Args:
    config: of the run, with `calibrate`.
    workdir: of the run.
    origin: `config_name` and `command`, for the page.

  Raises:
    UserError: the images were trained or chosen on, there are too few units,
      or no threshold keeps the limit.
    Interrupted: after Ctrl-C or SIGTERM; nothing is written.
  """
  located = run_paths.located(config, workdir)
  options = calibration_options(located)
  source = data_sources.source(located, options.dataset)
  _check_unseen(located, options, source)
  parts = units.divided(source, options)
  backend = CheckpointBackend(located, workdir, options.detector)
  say(
    f'calibrating {options.detector} on {options.dataset}: '
    f'{len(parts.fit)} images fit P(wrong), {parts.count} {parts.kind}s '
    f'({len(parts.calibrate)} images) choose the threshold'
  )
  with StopRequest('while calibrating', has_work=False) as stop:

    def check() -> None:
      if stop.requested_anywhere():
        raise Interrupted(
          f'Interrupted by {stop.signal_name} while calibrating: run the same '
          'command again.'
        )

    fitted = _fit(labelled(backend, source, parts.fit, check), options)
    collected = _collect(
      labelled(backend, source, parts.calibrate, check), fitted, backend
    )
  found = _choose(options, parts, collected, fitted.grid)
  content = _content(workdir, source, options, parts, fitted, found, collected)
  calibration_file.write(workdir, content)
  path = page.write(workdir, content, origin)
  say(content.statement)
  say(f'calibration: {workdir / calibration_file.FILE}, {path}')
  return content


def _check_unseen(
  config: ConfigDict, options: CalibrationOptions, source: Source
) -> None:
  """Raises UserError for images that decided anything about the networks."""
  if dataset_of(options.dataset) != config.data.name:
    return
  own = {str(source[index]['id']) for index in range(len(source))}
  used = [('trained on', data_sources.training_source(config))]
  validation = data_sources.validation_source(config)
  chosen = config.eval.checkpoint == 'best' or config.switch == 'plateau'
  if validation is not None and (
    chosen or use_temperature(config.eval.detectors)
  ):
    used.append(('chosen on', validation))
  for what, other in used:
    theirs = {str(other[index]['id']) for index in range(len(other))}
    if own & theirs:
      raise UserError(
        f'config.calibrate.dataset={options.dataset} holds '
        f'{len(own & theirs)} images that the networks were {what} '
        f'({min(own & theirs)} among them): a guarantee needs images that '
        'nothing was trained or chosen on.'
      )


@dataclasses.dataclass(frozen=True)
class _Fitted:
  """P(wrong) of a score, and the thresholds that are tried."""

  platt: platt.Platt
  grid: np.ndarray


def _fit(images: Iterable[Labelled], options: CalibrationOptions) -> _Fitted:
  """Platt's regression, and quantiles of P(wrong) as the grid.

  The quantiles are of pixels whatever their labels: the grid must not depend
  on the labels of what it is used on, and that is other images besides.
  """
  rng = np.random.default_rng(random_streams.derived(options.seed, 'platt'))
  scores, wrong = [], []
  for one in images:
    index = np.flatnonzero(one.valid.reshape(-1))
    if index.size > _PIXELS:
      index = rng.choice(index, _PIXELS, replace=False)
    scores.append(one.score.reshape(-1)[index])
    wrong.append(one.wrong.reshape(-1)[index])
  every = np.concatenate(scores)
  found = platt.fit(every, np.concatenate(wrong))
  if found is None:
    raise UserError(
      f'On {options.dataset} the score of {options.detector} does not tell '
      'misclassified from correct pixels, so no P(wrong) can be fitted: choose '
      'another config.calibrate.detector.'
    )
  shares = np.linspace(0, 1, options.thresholds)
  # float32, as the monitor compares them; equal ones are one threshold.
  grid = np.unique(np.quantile(found(every), shares).astype(np.float32))
  return _Fitted(found, grid)


@dataclasses.dataclass
class _Collected:
  """Of the images that choose the threshold, in their order."""

  ids: list[str]
  counts: list[losses.PassingCounts]
  images: list[dict[str, np.ndarray]]
  risky: list[np.ndarray]


def _collect(
  images: Iterable[Labelled], fitted: _Fitted, backend: CheckpointBackend
) -> _Collected:
  """Counts of each image, and its statistics but for what is flagged."""
  found = _Collected([], [], [], [])
  classes = backend.classes.num_classes
  for one in images:
    failure = fitted.platt(one.score)
    found.ids.append(one.id)
    found.counts.append(
      losses.count(failure, one.wrong, one.valid, fitted.grid)
    )
    # Of all pixels: an image that is predicted on has no void.
    first = np.searchsorted(fitted.grid, failure.reshape(-1), side='left')
    passing = np.cumsum(np.bincount(first, minlength=len(fitted.grid) + 1))
    found.risky.append(1 - passing[:-1] / failure.size)
    result = MonitorResult(
      one.labels[None],
      failure[None],
      np.zeros((1, *failure.shape), bool),
      np.zeros(1, np.float32),
    )
    found.images.append(statistics.of_images(one.image[None], result, classes))
  return found


def _choose(
  options: CalibrationOptions,
  parts: units.Units,
  collected: _Collected,
  grid: np.ndarray,
) -> risk_control.Calibration:
  """The threshold.

  Raises:
    UserError: not even the strictest one can be shown to keep the limit.
  """
  of_images = np.stack([one.loss(options.risk) for one in collected.counts])
  of_unit = losses.by_unit(
    of_images, [parts.of_image[index] for index in parts.calibrate]
  )
  found = risk_control.choose_threshold(
    of_unit,
    grid.astype(np.float64),
    options.limit,
    options.confidence,
    units.bound_of(options, parts.count),
  )
  if found is not None:
    return found
  raise UserError(
    f'No threshold: with {parts.count} {parts.kind}s of {options.dataset} not '
    f'even the strictest one can be shown to keep the limit of '
    f'{100 * options.limit:g} %. Give more labelled images, raise '
    'config.calibrate.limit, or set config.calibrate.risk=undetected.'
  )


def statement_of(
  options: CalibrationOptions, count: int, kind: str, coverage: float
) -> str:
  """What is promised, in one sentence."""
  limit, share = f'{100 * options.limit:g} %', f'{100 * coverage:.0f} %'
  what = {
    'passing': f'at most {limit} of the pixels that pass are misclassified',
    'undetected': (
      f'at most {limit} of the pixels pass although they are misclassified'
    ),
  }[options.risk]
  how = f'With {100 * options.confidence:g} % confidence, on average'
  if options.guarantee == 'mean':
    how = 'On average over calibrations and'
  return (
    f'{how} over {kind}s like the {count} of {options.dataset}, {what}; '
    f'there, {share} of the pixels pass.'
  )


def _content(
  workdir: Path,
  source: Source,
  options: CalibrationOptions,
  parts: units.Units,
  fitted: _Fitted,
  found: risk_control.Calibration,
  collected: _Collected,
) -> CalibrationFile:
  """What is written."""
  of_images = np.stack([one.coverage for one in collected.counts])
  coverages = losses.by_unit(
    of_images, [parts.of_image[index] for index in parts.calibrate]
  ).mean(axis=0)
  coverage = float(coverages[found.index])
  reference = {
    name: [float(one[name][0]) for one in collected.images]
    for name in statistics.NAMES
  }
  reference['flagged_share'] = [
    float(one[found.index]) for one in collected.risky
  ]
  p_values = found.p_values
  mean_only = options.guarantee == 'mean'
  return CalibrationFile(
    threshold=found.threshold,
    detector=options.detector,
    slope=fitted.platt.slope,
    offset=fitted.platt.offset,
    kind=options.risk,
    limit=options.limit,
    confidence=None if mean_only else options.confidence,
    bound=found.bound,
    units=found.units,
    unit=parts.kind,
    coverage=coverage,
    statement=statement_of(options, found.units, parts.kind, coverage),
    grid=tuple(map(float, found.grid)),
    p_values=None if p_values is None else tuple(map(float, p_values)),
    risks=tuple(map(float, found.risks)),
    coverages=tuple(map(float, coverages)),
    reference={name: tuple(own) for name, own in reference.items()},
    images=tuple(collected.ids),
    fitted_on=tuple(str(source[i]['id']) for i in parts.fit),
    dataset=options.dataset,
    network_sha256=network_digest(workdir),
  )
