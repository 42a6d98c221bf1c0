"""What an evaluation keeps of each data set, so that it can be stopped.

A data set's part is two files in the report's folder: `part_<name>.npz` holds
example pictures, `part_<name>.json`, written last, the rest. They go when the
whole evaluation is on disk.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_lib import json_values, npz
from common_lib.errors import UserError
from common_lib.files import write_text
from fsnet_jax.evaluation.evaluator import DatasetResult
from fsnet_jax.experiments import stored_results
from fsnet_jax.report import metrics_json
from fsnet_jax.report.figures.examples import Example
from fsnet_jax.report.write import file_names

# Of an example: type, and shape beyond height and width.
_ARRAYS: Mapping[str, tuple[type, tuple[int, ...]]] = {
  'image': (np.uint8, (3,)),
  'label': (np.uint8, ()),
  'prediction': (np.uint8, ()),
  'valid': (np.bool_, ()),
}


@dataclasses.dataclass(frozen=True)
class Part:
  """What the evaluation of one data set found.

  Attributes:
    result: its metrics, and the examples of the run's own report.
    segments: by detector and budget, `SegmentSums.compute`.
    resolution: by detector and metric, `bootstrap.resolution_error`.
    example: the picture of the comparison's panel, or None.
  """

  result: DatasetResult
  segments: Mapping[str, Any]
  resolution: Mapping[str, Any]
  example: Example | None


class Parts:
  """The parts of one seed's evaluation on disk."""

  def __init__(self, folder: Path, datasets: Sequence[str], identity: Any):
    """Reads and writes nothing yet.

    Args:
      folder: of the report; need not exist.
      datasets: all that are evaluated.
      identity: what the evaluation depends on, as JSON has it; parts of
        another one do not count.
    """
    self._folder = folder
    self._names = dict(zip(datasets, file_names(datasets)))
    self._identity = json.loads(json.dumps(identity))

  def images_file(self, dataset: str) -> Path:
    """Where a data set's histograms and draws are."""
    return self._folder / f'images_{self._names[dataset]}.npz'

  def read(self) -> dict[str, Part]:
    """Every data set that is finished."""
    found = {name: self._read(name) for name in self._names}
    return {name: part for name, part in found.items() if part is not None}

  def write(self, dataset: str, part: Part) -> None:
    """Keeps a data set's part; its `images_file` is there already."""
    examples = list(part.result.examples)
    if part.example is not None:
      examples.append(part.example)
    json_file, npz_file = self._files(dataset)
    # No array is named allow_pickle, which is NumPy's own keyword.
    # pyrefly: ignore[bad-argument-type]
    np.savez(npz_file, **_as_arrays(examples))
    content = {
      'identity': self._identity,
      'metrics': part.result.metrics,
      'segments': part.segments,
      'resolution': part.resolution,
      'ids': [example.id for example in examples],
      'panel': part.example is not None,
    }
    write_text(json_file, json.dumps(content, default=np.generic.item))

  def clear(self, everything: bool) -> None:
    """Removes parts.

    Args:
      everything: else those alone that are of another evaluation.
    """
    keep = set() if everything else self.read().keys()
    kept = {file for dataset in keep for file in self._files(dataset)}
    # The description first: what it describes is then never half there.
    for kind in ('json', 'npz'):
      for file in self._folder.glob(f'part_*.{kind}'):
        if file not in kept:
          file.unlink()

  def _files(self, dataset: str) -> tuple[Path, Path]:
    stem = f'part_{self._names[dataset]}'
    return self._folder / f'{stem}.json', self._folder / f'{stem}.npz'

  def _read(self, dataset: str) -> Part | None:
    json_file, npz_file = self._files(dataset)
    try:
      stored = stored_results.read_object(json_file)
      if stored.get('identity') != self._identity:
        return None
      _check(dataset, stored)
      arrays = npz.read_npz(npz_file, what='pictures', fix='-')
      examples = _as_examples(arrays, stored['ids'])
    except (json_values.BadValue, UserError):
      return None
    shown = examples.pop() if stored['panel'] else None
    result = DatasetResult(stored['metrics'], examples)
    return Part(result, stored['segments'], stored['resolution'], shown)


def _check(dataset: str, stored: Any) -> None:
  """Raises BadValue unless a part's description is one of this program."""
  names = ('identity', 'metrics', 'segments', 'resolution', 'ids', 'panel')
  json_values.fields(stored, dataset, names)
  problem = metrics_json.problem_of_dataset(stored['metrics'])
  if problem:
    raise json_values.BadValue(problem)
  detectors = list(stored['metrics']['failure'])
  stored_results.check_segments(stored['segments'], detectors)
  stored_results.check_resolution(stored['resolution'], detectors)
  for title in json_values.entries(stored['ids'], 'ids'):
    json_values.text(title, 'an id')
  if type(stored['panel']) is not bool or (
    stored['panel'] and not stored['ids']
  ):
    raise json_values.BadValue('panel is not whether there is a picture more')


def _as_arrays(examples: Sequence[Example]) -> dict[str, np.ndarray]:
  arrays = {}
  for place, example in enumerate(examples):
    for name in _ARRAYS:
      arrays[f'{place}/{name}'] = getattr(example, name)
    for name, score in example.failure.items():
      arrays[f'{place}/failure/{name}'] = score
  return arrays


def _as_examples(
  arrays: Mapping[str, np.ndarray], ids: Sequence[str]
) -> list[Example]:
  examples = []
  for place, title in enumerate(ids):
    start = f'{place}/failure/'
    failure = {
      key.removeprefix(start): array
      for key, array in arrays.items()
      if key.startswith(start)
    }
    known = [name for name in _ARRAYS if f'{place}/{name}' in arrays]
    fields = {name: arrays[f'{place}/{name}'] for name in known}
    _check_picture(fields, failure)
    examples.append(Example(id=title, failure=failure, **fields))
  return examples


def _check_picture(
  fields: Mapping[str, np.ndarray], failure: Mapping[str, np.ndarray]
) -> None:
  """Raises BadValue unless these are the arrays of one `Example`."""
  json_values.fields(fields, 'a picture', _ARRAYS)
  size = fields['label'].shape
  for name, (kind, shape) in _ARRAYS.items():
    array = fields[name]
    if array.dtype != kind or array.shape != (*size, *shape) or len(size) != 2:
      raise json_values.BadValue(f'{name} has another type or shape')
  for array in failure.values():
    if array.dtype.kind != 'f' or array.shape != size:
      raise json_values.BadValue('a failure map has another type or shape')
