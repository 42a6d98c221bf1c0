"""What an evaluation keeps of each data set, so that it can be stopped.

A data set's part is two files in the report's folder: `part_<name>.npz` holds
example pictures, `part_<name>.json`, written last, the rest. They go when the
whole evaluation is on disk.
"""

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.files import write_text
from fsnet_jax.evaluation.evaluator import DatasetResult
from fsnet_jax.report.figures.examples import Example
from fsnet_jax.report.write import file_names

_ARRAYS = ('image', 'label', 'prediction', 'valid')


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
      stored = json.loads(json_file.read_text())
      if stored['identity'] != self._identity:
        return None
      with (
        npz_file.open('rb') as file,  # np.load leaves a damaged one open
        np.load(file, allow_pickle=False) as arrays,
      ):
        examples = _as_examples(arrays, stored['ids'])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
      return None
    shown = examples.pop() if stored['panel'] else None
    result = DatasetResult(stored['metrics'], examples)
    return Part(result, stored['segments'], stored['resolution'], shown)


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
      key.removeprefix(start): arrays[key]
      for key in arrays
      if key.startswith(start)
    }
    fields = {name: arrays[f'{place}/{name}'] for name in _ARRAYS}
    examples.append(Example(id=title, failure=failure, **fields))
  return examples
