"""Whether stored metrics are of the evaluation that is asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.paths import expanded
from fsnet_jax import detectors
from fsnet_jax.builders import data_sources
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.config import run_paths
from fsnet_jax.detectors import fitted_name, use_temperature
from fsnet_jax.evaluation import failure_parts, identity
from fsnet_jax.learned_detectors.corrections import phase3
from input_pipeline.datasets import dataset_of
from input_pipeline.sources import Source

# To be raised when the same networks on the same images have other metrics.
_FORMAT = 3
# What of `eval` the metrics depend on, beside what these name.
_FIELDS = (
  'datasets',
  'detectors',
  'checkpoint',
  'dropout_samples',
  'exact_pixels',
  'details',
  'groups',
  'resize',
)
_VALIDATION = 'validation'


def folders(config: ConfigDict | Mapping[str, Any]) -> dict[str, str]:
  """Where the images that decide an evaluation are.

  Args:
    config: of the run, a `ConfigDict` or as JSON gives it back.

  Returns:
    By data set the folder, as `data_sources.source` looks it up: of those
    that are evaluated, and of the run's own, whose validation images the
    temperature is fitted on.
  """
  own = config['data']['name']
  roots = config['eval']['roots']
  names = {own, *map(dataset_of, config['eval']['datasets'])}
  return {
    name: roots.get(name, '') or (name == own and config['data']['root']) or ''
    for name in sorted(names)
  }


def data_versions(config: ConfigDict) -> dict[str, Any]:
  """Which images an evaluation is of, whatever their folder is called.

  Args:
    config: of the run.

  Returns:
    `identity.of_source` by data set, and of the validation images if a
    temperature is fitted on them.

  Raises:
    UserError: as `data_sources.source`.
  """
  sources = {
    name: data_sources.source(config, name) for name in config.eval.datasets
  }
  return versions_of(config, sources)


def versions_of(
  config: ConfigDict, sources: Mapping[str, Source]
) -> dict[str, Any]:
  """As `data_versions`, of data sets that are open.

  Args:
    config: of the run.
    sources: those that are evaluated, by name.
  """
  used = dict(sources)
  if use_temperature(config.eval.detectors):
    validation = data_sources.validation_source(config)
    assert validation is not None  # Checked with the config.
    used[_VALIDATION] = validation
  return {name: identity.of_source(source) for name, source in used.items()}


def describe(
  config: ConfigDict, workdir: Path, data: Mapping[str, Any] | None
) -> dict[str, Any]:
  """All that the metrics of an evaluation depend on, for `metrics.json`.

  Args:
    config: of the run. What is not in `eval` stays as it is while the run
      has its folder.
    workdir: of the run, whose checkpoints are there.
    data: of `data_versions`, of these data sets or more; None if it is not
      known.
  """
  asked = run_paths.located(config, workdir).eval
  resolved = detectors.resolve(asked.detectors)
  fits = set(map(fitted_name, resolved.values())) - {''}
  own = {
    name: detector
    for name, detector in resolved.items()
    if name not in detectors.DETECTORS
  }
  options = evaluation_options(config)
  usable = failure_parts.usable_detectors(options)
  description = {
    'format': _FORMAT,
    'settings': {field: asked[field] for field in _FIELDS},
    'folders': folders(config),
    'networks': identity.of_checkpoints(workdir),
    'fits': {
      name: identity.of_fit(expanded(asked.fitted[name]))
      for name in sorted(fits)
    },
    'failure': {
      'weights': phase3.weights_of(options.failure),
      'parts': {
        name: identity.of_fit(phase3.folder_of(workdir, name))
        for name in failure_parts.parts_used(options.failure, usable)
      },
    },
    'own_detectors': {
      name: identity.of_detector(detector) for name, detector in own.items()
    },
    'data': data and _chosen(config, data),
  }
  # As it comes back from a file.
  return json.loads(json.dumps(description))


def _chosen(config: ConfigDict, data: Mapping[str, Any]) -> dict[str, Any]:
  names = [*config.eval.datasets]
  if use_temperature(config.eval.detectors):
    names.append(_VALIDATION)
  return {name: data[name] for name in names}


def same(stored: Any, wanted: Mapping[str, Any]) -> bool:
  """Whether metrics are of an evaluation.

  Args:
    stored: what they say of theirs.
    wanted: of `describe`; where it does not know the images, those are taken
      to be what they were.
  """
  if not isinstance(stored, dict):
    return False
  if wanted['data'] is None:
    stored, wanted = stored | {'data': None}, {**wanted, 'data': None}
  return stored == wanted


def read(
  workdir: Path, config: ConfigDict, data: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
  """The metrics of a run that was evaluated in the way of its config.

  Args:
    workdir: of the run.
    config: the run's `ConfigDict`; what of it can change between two commands
      on one run and decides the metrics must be as it was, and so must the
      networks, fits and detectors that it names.
    data: of `data_versions`; None to trust that the images are the same.

  Returns:
    The contents of its `metrics.json`; None if there is none, or it is of
    another evaluation.
  """
  try:
    metrics = json.loads((workdir / 'report' / 'metrics.json').read_text())
    stored = metrics['evaluation']
  except (OSError, ValueError, KeyError, TypeError, RecursionError):
    return None
  return metrics if same(stored, describe(config, workdir, data)) else None
