"""What the stages of a cycle leave for each other, written and read back.

Everything is compared with its checksum and checked before it is used:
`metrics.json` of each measured cycle, `weights.json` (the fitted weights of
the error mask), `scores.npz` (what is known of the images scored) and
`errors.json` (where the errors of the images asked about lie). Maps and regions
of single images are in `queries.storage`.
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_lib import checksums, files, json_values
from common_lib.errors import UserError
from common_lib.json_values import BadValue, fields, number, whole_number
from common_lib.npz import read_npz
from segxal_jax.explanation.step import PARTS
from segxal_jax.pool import entries
from segxal_jax.queries import error_counts
from segxal_jax.queries.error_counts import Counts

# Of a data set's measurement: the pixels near the camera, where it has depth.
NEAR = 'near'
_METRICS = 'metrics.json'
_WEIGHTS = 'weights.json'
_SCORES = 'scores.npz'
_ERRORS = 'errors.json'
_RESTORE = 'restore it from a backup or choose another --workdir'


def folder_of(workdir: Path, cycle: int) -> Path:
  """Where a cycle's files are."""
  return workdir / 'cycles' / f'{cycle:03d}'


def _made(workdir: Path, cycle: int) -> Path:
  folder = folder_of(workdir, cycle)
  folder.mkdir(parents=True, exist_ok=True)
  return folder


def repeat(workdir: Path) -> str:
  """How to have damaged files of the present cycle written again."""
  return (
    f'delete {workdir / "position.json"} and run the same command again, which '
    'repeats the cycle from its last checkpoint'
  )


def write_metrics(workdir: Path, cycle: int, measured: Any) -> None:
  """Writes what a cycle measured."""
  checksums.write_json(_made(workdir, cycle) / _METRICS, measured)


def measured_cycles(workdir: Path) -> int:
  """How many cycles have been measured, whether or not the files are there."""
  numbers = [
    int(path.parent.name)
    for path in workdir.glob(f'cycles/*/{_METRICS}')
    if path.parent.name.isdecimal()
  ]
  return max([_reached(workdir), *numbers])


def _reached(workdir: Path) -> int:
  """The last measured cycle as `position.json` knows it; 0 if it has none."""
  path = workdir / 'position.json'
  if not path.exists():
    return 0
  fix = 'delete it, and the run resumes from its last checkpoint'
  found = files.read_json_object(path, what='where a run stands', fix=fix)
  cycle, stage = found.get('cycle'), found.get('stage')
  if type(cycle) is not int or not isinstance(stage, str):
    return 0
  return cycle - (stage in ('train', 'predict'))


def read_metrics(workdir: Path, cycle: int) -> dict[str, Any]:
  """What `write_metrics` wrote.

  Raises:
    UserError: it is missing or damaged.
  """
  path = folder_of(workdir, cycle) / _METRICS
  what = f'what cycle {cycle} measured'
  measured = checksums.read_json(path, what=what, fix=_RESTORE)
  try:
    _check_metrics(measured, cycle)
    return measured
  except BadValue as error:
    problem = error
  raise UserError(f'{path}, {what}, is damaged ({problem}): {_RESTORE}.')


def _check_metrics(measured: Mapping[str, Any], cycle: int) -> None:
  fields(
    measured,
    'it',
    (
      'cycle',
      'labelled_images',
      'pool_images',
      'cost',
      'training_labels',
      'datasets',
      'validation',
    ),
  )
  whole_number(measured['cycle'], 'cycle', cycle, cycle)
  images = whole_number(measured['pool_images'], 'pool_images')
  whole_number(measured['labelled_images'], 'labelled_images', 0, images)
  entries.cost(measured['cost'])
  _check_counts(
    measured['training_labels'], 'training_labels', ('pixels', 'wrong')
  )
  datasets = measured['datasets']
  if not isinstance(datasets, dict):
    raise BadValue('datasets is no object')
  for name, entry in datasets.items():
    _check_dataset(entry, json_values.shown(name))
  if measured['validation'] is not None:
    _check_dataset(measured['validation'], 'validation')


def _check_counts(value: Any, what: str, names: Sequence[str]) -> None:
  fields(value, what, names)
  for name in names:
    whole_number(value[name], name)


def _check_dataset(entry: Any, what: str) -> None:
  fields(entry, what, ('images', 'pixels', 'segmentation'), (NEAR,))
  whole_number(entry['images'], 'images')
  whole_number(entry['pixels'], 'pixels')
  values = entry['segmentation']
  if not isinstance(values, dict) or not {'miou', 'iou'} <= values.keys():
    raise BadValue(f'{what} has no miou or iou')
  if not isinstance(values['iou'], dict):
    raise BadValue('iou is no object')
  for name, value in {'miou': values['miou'], **values['iou']}.items():
    if value is not None:
      number(value, json_values.shown(name), 0, 1)
  if NEAR in entry:
    _check_near(entry[NEAR])


def _check_near(entry: Any) -> None:
  fields(entry, NEAR, ('meters', 'pixels', 'miou'))
  number(entry['meters'], 'meters')
  whole_number(entry['pixels'], 'pixels')
  if entry['miou'] is not None:
    number(entry['miou'], 'miou', 0, 1)


def write_weights(workdir: Path, cycle: int, value: Mapping[str, Any]) -> None:
  """Writes the weights of the error mask, and of what they were fitted."""
  checksums.write_json(_made(workdir, cycle) / _WEIGHTS, value)


def read_weights(workdir: Path, cycle: int) -> dict[str, float]:
  """The weights of the error mask, by the name of the map.

  Raises:
    UserError: they are missing or damaged.
  """
  path, fix = folder_of(workdir, cycle) / _WEIGHTS, repeat(workdir)
  what = f'the weights fitted in cycle {cycle}'
  value = checksums.read_json(path, what=what, fix=fix)
  try:
    fields(value, 'it', ('weights', 'pixels', 'images'))
    weights = fields(value['weights'], 'weights', PARTS)
    return {name: float(number(weights[name], name)) for name in weights}
  except BadValue as error:
    problem = error
  raise UserError(f'{path}, {what}, is damaged ({problem}): {fix}.')


def write_errors(workdir: Path, cycle: int, counts: Counts | None) -> None:
  """Writes where the errors of the images asked about lie.

  Args:
    workdir: of the run.
    cycle: of the loop.
    counts: of all of them; None where none has a ground truth.
  """
  value = None if counts is None else dataclasses.asdict(counts)
  checksums.write_json(_made(workdir, cycle) / _ERRORS, {'counts': value})


def has_errors(workdir: Path, cycle: int) -> bool:
  """Whether `write_errors` was there; older cycles have none."""
  return (folder_of(workdir, cycle) / _ERRORS).exists()


def read_errors(workdir: Path, cycle: int) -> Counts | None:
  """What `write_errors` wrote.

  Raises:
    UserError: it is missing or damaged.
  """
  path = folder_of(workdir, cycle) / _ERRORS
  what = f'where the errors of cycle {cycle} lie'
  fix = 'restore it from a backup, or delete it: they are then counted again'
  value = checksums.read_json(path, what=what, fix=fix)
  try:
    counts = fields(value, 'it', ('counts',))['counts']
    return None if counts is None else error_counts.parsed(counts)
  except BadValue as error:
    problem = error
  raise UserError(f'{path}, {what}, is damaged ({problem}): {fix}.')


def write_scores(
  workdir: Path, cycle: int, arrays: Mapping[str, np.ndarray]
) -> None:
  """Writes what a strategy needs of the images scored.

  Args:
    workdir: of the run.
    cycle: of the loop.
    arrays: `index` [n], of the images in the pool, ascending, and by name
      numbers [n] of each image, or its `embedding` [n k]; `centres` [m k].
  """
  content = io.BytesIO()
  # No array is named allow_pickle, which is NumPy's own keyword.
  # pyrefly: ignore[bad-argument-type]
  np.savez_compressed(content, **arrays)
  path = _made(workdir, cycle) / _SCORES
  files.write_bytes(path, content.getvalue())


def read_scores(
  workdir: Path, cycle: int, pool_images: int, needs: Sequence[str]
) -> dict[str, np.ndarray]:
  """What `write_scores` wrote.

  Args:
    workdir: of the run.
    cycle: of the loop.
    pool_images: how many images the pool has.
    needs: numbers that must be there.

  Raises:
    UserError: they are missing or damaged.
  """
  path, fix = folder_of(workdir, cycle) / _SCORES, repeat(workdir)
  what = f'the scores of cycle {cycle}'
  arrays = read_npz(path, what=what, fix=fix)
  problem = _problem_of_scores(arrays, pool_images, needs)
  if problem:
    raise UserError(f'{path}, {what}, is damaged ({problem}): {fix}.')
  return arrays


def _problem_of_scores(
  arrays: Mapping[str, np.ndarray], pool_images: int, needs: Sequence[str]
) -> str:
  """What is wrong with them, or ''."""
  missing = {'index', *needs} - arrays.keys()
  if missing:
    return f'it lacks {min(missing)}'
  index = arrays['index']
  if index.ndim != 1 or index.dtype.kind != 'i':
    return 'its index is no list of whole numbers'
  if len(index) and not 0 <= index.min() <= index.max() < pool_images:
    return f'it names images that a pool of {pool_images} does not have'
  if np.any(index[1:] <= index[:-1]):
    return 'its images are not in order'
  for name, values in arrays.items():
    dimensions = 2 if name in ('embedding', 'centres') else 1
    if values.ndim != dimensions:
      return f'{name} has {values.ndim} dimensions instead of {dimensions}'
    if name != 'centres' and len(values) != len(index):
      return f'{name} has {len(values)} rows for {len(index)} images'
  return ''
