"""`calibration.json`: a threshold, its guarantee, and what it stands on."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from common_lib import checksums, json_values
from common_lib.errors import UserError
from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.calibration.platt import Platt

FILE = 'calibration.json'
SCHEMA = 1
_WHAT, _FIX = 'a calibration', 'run --mode=calibrate again'
_DIGITS = 64


@dataclasses.dataclass(frozen=True)
class CalibrationFile:
  """What the file holds, checked.

  Attributes:
    threshold: P(wrong) above which a pixel is flagged.
    detector: whose P(wrong) it is.
    slope: of Platt's regression, P(wrong) = sigmoid(slope * score + offset).
    offset: likewise.
    kind: of the risk, 'passing' or 'undetected'.
    limit: of the risk.
    confidence: that it is kept; None where the mean alone is bounded.
    bound: 'wsr', 'hb' or 'crc'.
    units: number of them.
    unit: 'image' or 'group'.
    coverage: share of the pixels that pass, on the units.
    statement: all this, in one sentence.
    grid: ascending thresholds.
    p_values: of each; None of 'crc'.
    risks: mean loss of the units at each.
    coverages: share that passes at each.
    reference: by name of `statistics.NAMES`, a value for each image.
    images: ids of the images that it was calibrated on.
    fitted_on: ids of those that the regression and the grid are from.
    dataset: that all of them are of.
    network_sha256: of the checkpoints.
  """

  threshold: float
  detector: str
  slope: float
  offset: float
  kind: str
  limit: float
  confidence: float | None
  bound: str
  units: int
  unit: str
  coverage: float
  statement: str
  grid: tuple[float, ...]
  p_values: tuple[float, ...] | None
  risks: tuple[float, ...]
  coverages: tuple[float, ...]
  reference: Mapping[str, tuple[float, ...]]
  images: tuple[str, ...]
  fitted_on: tuple[str, ...]
  dataset: str
  network_sha256: str

  def probability(self, score: np.ndarray) -> np.ndarray:
    """P(wrong) of scores, float32, in [0, 1]."""
    return Platt(self.slope, self.offset)(score)


def write(folder: str | os.PathLike[str], found: CalibrationFile) -> None:
  """Writes the file of a run, with its checksum."""
  value = {
    'schema': SCHEMA,
    'threshold': found.threshold,
    'risk': {
      'kind': found.kind,
      'limit': found.limit,
      'confidence': found.confidence,
      'bound': found.bound,
    },
    'units': found.units,
    'unit': found.unit,
    'grid': list(found.grid),
    'p_values': None if found.p_values is None else list(found.p_values),
    'risks': list(found.risks),
    'coverages': list(found.coverages),
    'coverage': found.coverage,
    'statement': found.statement,
    'detector': found.detector,
    'probability': {'slope': found.slope, 'offset': found.offset},
    'reference': {name: list(own) for name, own in found.reference.items()},
    'dataset': found.dataset,
    'images': list(found.images),
    'fitted_on': list(found.fitted_on),
    'network_sha256': found.network_sha256,
  }
  checksums.write_json(pathlib.Path(folder) / FILE, value)


def read_if_any(folder: str | os.PathLike[str]) -> CalibrationFile | None:
  """The calibration of a run; None if it has none.

  Raises:
    UserError: it is damaged.
  """
  path = pathlib.Path(folder) / FILE
  return read(path) if path.exists() else None


def read(path: pathlib.Path) -> CalibrationFile:
  """Reads a calibration.

  Raises:
    UserError: it is missing or damaged.
  """
  value = checksums.read_json(path, what=_WHAT, fix=_FIX)
  try:
    return parsed(value)
  except json_values.BadValue as error:
    problem = error
  raise UserError(f'{path}, {_WHAT}, is damaged ({problem}): {_FIX}.')


def parsed(value: Any) -> CalibrationFile:
  """A calibration out of parsed JSON.

  Raises:
    BadValue: it is none.
  """
  names = [field.name for field in dataclasses.fields(CalibrationFile)]
  inner = {'slope', 'offset', 'kind', 'limit', 'confidence', 'bound'}
  outer = {'schema', 'risk', 'probability'}
  json_values.fields(value, 'it', [n for n in names if n not in inner], outer)
  json_values.whole_number(value.get('schema'), 'schema', SCHEMA, SCHEMA)
  risk = json_values.fields(
    value['risk'], 'risk', ('kind', 'limit', 'confidence', 'bound')
  )
  platt = json_values.fields(
    value['probability'], 'probability', ('slope', 'offset')
  )
  confidence = risk['confidence']
  if confidence is not None:
    confidence = float(json_values.number(confidence, 'confidence', 0, 1))
  grid = _numbers(value['grid'], 'grid')
  if not grid or any(b <= a for a, b in zip(grid, grid[1:])):
    raise json_values.BadValue('its grid does not ascend')
  count, p_values = len(grid), value['p_values']
  if p_values is not None:
    p_values = _numbers(p_values, 'p_values', count)
  sha256 = json_values.text(value['network_sha256'], 'network_sha256', _DIGITS)
  return CalibrationFile(
    threshold=_share(value['threshold'], 'threshold'),
    detector=json_values.text(value['detector'], 'detector'),
    slope=float(json_values.number(platt['slope'], 'slope')),
    offset=float(json_values.number(platt['offset'], 'offset', -math.inf)),
    kind=json_values.text(risk['kind'], 'kind'),
    limit=_share(risk['limit'], 'limit'),
    confidence=confidence,
    bound=json_values.text(risk['bound'], 'bound'),
    units=json_values.whole_number(value['units'], 'units', 1),
    unit=json_values.text(value['unit'], 'unit'),
    coverage=_share(value['coverage'], 'coverage'),
    statement=json_values.text(value['statement'], 'statement'),
    grid=grid,
    reference=statistics.parsed(value['reference']),
    images=_texts(value['images'], 'images'),
    fitted_on=_texts(value['fitted_on'], 'fitted_on'),
    dataset=json_values.text(value['dataset'], 'dataset'),
    network_sha256=sha256,
    p_values=p_values,
    risks=_numbers(value['risks'], 'risks', count),
    coverages=_numbers(value['coverages'], 'coverages', count),
  )


def _share(value: Any, what: str) -> float:
  return float(json_values.number(value, what, 0, 1))


def _numbers(
  value: Any, what: str, length: int | None = None
) -> tuple[float, ...]:
  """Shares, as many as the grid has."""
  found = json_values.entries(value, what)
  if length is not None and len(found) != length:
    raise json_values.BadValue(f'{what} has {len(found)} entries, not {length}')
  return tuple(_share(one, what) for one in found)


def _texts(value: Any, what: str) -> tuple[str, ...]:
  found = json_values.entries(value, what)
  return tuple(json_values.text(one, what) for one in found)
