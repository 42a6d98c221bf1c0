"""Whether a run's report is of the evaluation that is asked for."""

import json
from pathlib import Path
from typing import Any

from input_pipeline.datasets import dataset_of

# What of `eval` the metrics depend on; with others they are made anew.
_FIELDS = (
  'datasets',
  'detectors',
  'checkpoint',
  'dropout_samples',
  'exact_pixels',
  'resize',
)


def folders(config: Any) -> dict[str, str]:
  """Where the images that decide an evaluation are.

  Args:
    config: of the run, a `ConfigDict` or as JSON gives it back.

  Returns:
    By data set the folder, as `build.source` looks it up: of those that are
    evaluated, and of the run's own, whose validation images the temperature
    is fitted on.
  """
  own = config['data']['name']
  roots = config['eval']['roots']
  names = {own, *map(dataset_of, config['eval']['datasets'])}
  return {
    name: (name == own and config['data']['root']) or roots.get(name, '')
    for name in sorted(names)
  }


def read(folder: Path, config: Any) -> dict[str, Any] | None:
  """The metrics of a run that was evaluated in the way of its config.

  Args:
    folder: of the run.
    config: the run's `ConfigDict`; what of it can change between two commands
      on one run and decides the metrics must be as it was.

  Returns:
    The contents of its `metrics.json`; None if there is none, or it is of
    another evaluation.
  """
  wanted = json.loads(json.dumps(config.to_dict()))
  try:
    metrics = json.loads((folder / 'report' / 'metrics.json').read_text())
    same = _identity(metrics['config']) == _identity(wanted)
  except (OSError, ValueError, KeyError):
    return None
  return metrics if same else None


def _identity(config: Any) -> Any:
  return folders(config), [config['eval'][field] for field in _FIELDS]
