"""Where a report goes: the training's own, or an evaluation's folder.

`RUN/report` is what training ended with. Whatever is evaluated of a finished
run besides has a folder in `RUN/evaluations`, named by what was asked for, so
that the same command has the same folder.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from fsnet_jax import detectors
from fsnet_jax.config import run_paths
from fsnet_jax.detectors import fitted_name
from fsnet_jax.evaluation import cache
from fsnet_jax.runtime import stored_config

REPORT = 'report'
EVALUATIONS = 'evaluations'
_DIGITS = 8
_LONGEST_SLUG = 60
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}')
_FIELDS = (
  'datasets',
  'detectors',
  'checkpoint',
  'exact_pixels',
  'details',
  'groups',
)


def check_name(config: ConfigDict) -> None:
  """Raises UserError for an `eval.name` that cannot be a folder's."""
  name = config.eval.name
  if name and not _NAME.fullmatch(name):
    raise UserError(
      f'config.eval.name is {quoted(repr(name))}: it names a folder in '
      f'{EVALUATIONS}/, so give up to 100 letters, digits and any of _.+-, a '
      'letter or digit first.'
    )


def name_of(config: ConfigDict) -> str:
  """The folder's name of an evaluation: `eval.name`, or one made of what it is.

  That is its data sets, to read, and a digest of all that was asked for.

  Args:
    config: of the command, checked.
  """
  if config.eval.name:
    return config.eval.name
  first, *more = (
    re.sub(r'[^A-Za-z0-9.-]+', '_', name) for name in config.eval.datasets
  )
  slug = '_and_'.join([first, *more])
  if len(slug) > _LONGEST_SLUG:
    slug = first[:_LONGEST_SLUG] + (f'_and_{len(more)}_more' if more else '')
  asked = (
    _asked(config.to_dict()),
    _cells(config.to_dict()),
  )
  return f'{slug}-{_digest(asked)}'


def of_evaluation(config: ConfigDict, workdir: Path) -> Path:
  """The folder of an evaluation of a finished run.

  Args:
    config: of the command, checked.
    workdir: of the run.
  """
  return workdir / EVALUATIONS / name_of(config)


def after_training(config: ConfigDict, workdir: Path) -> Path:
  """Where the report goes that a training command ends with.

  Its own folder, unless there is a report of other settings in it: that one
  is of the training, which such a command does not repeat.

  Args:
    config: of the command, checked.
    workdir: of the run.
  """
  report = workdir / REPORT
  try:
    found = json.loads((report / 'metrics.json').read_text())['config']
    other = _digest(_asked(found)) != _digest(_asked(config.to_dict()))
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    other = False  # There is none, or it says nothing of its settings.
  return of_evaluation(config, workdir) if other else report


def of_table(config: ConfigDict, workdir: Path, mode: str) -> Path:
  """Where a table of many runs goes: an ablation's, or a comparison's.

  It is the training's own again while it shows the same; in other settings
  (fewer seeds, another reference) it is an evaluation.

  Args:
    config: of the command, checked.
    workdir: of the ablation or comparison.
    mode: of the command.
  """
  report = workdir / REPORT
  if mode == 'train':
    return report
  if config.eval.name:
    return of_evaluation(config, workdir)
  try:
    stored = stored_config.read(workdir)
    shown = _digest([_asked(stored), _cells(stored)])
  except (UserError, KeyError, TypeError, AttributeError):
    return report  # It says nothing of its settings.
  present = stored_config.as_plain(config)
  same = shown == _digest([_asked(present), _cells(present)])
  return report if same else of_evaluation(config, workdir)


def _cells(config: dict[str, Any]) -> Any:
  """What a user says of the runs that a table is of."""
  section = config['task'] if config['task'] in ('ablation', 'compare') else ''
  return config[section] if section else None


def _asked(config: dict[str, Any]) -> dict[str, Any]:
  """What a user says of an evaluation, from nested dicts."""
  evaluation = config['eval']
  known = detectors.resolve(evaluation['detectors']).values()
  asked = {field: evaluation[field] for field in _FIELDS}
  if any(detector.uses_dropout_samples for detector in known):
    asked['dropout_samples'] = evaluation['dropout_samples']
  asked['fitted'] = {
    name: _place(evaluation['fitted'][name])
    for name in sorted(set(map(fitted_name, known)) - {''})
  }
  asked['folders'] = cache.folders(config)
  return asked


def _place(path: str) -> str:
  """Which folder is meant, wherever an experiment has been moved to."""
  if run_paths.is_linked(path):
    return path
  return str(expanded(path).absolute())


def _digest(value: Any) -> str:
  text = json.dumps(value, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
