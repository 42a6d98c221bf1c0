"""What a calibrated threshold really gives on images with labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from common_lib.console import say
from fsnet_jax.detectors import resolve
from fsnet_jax.monitor import calibration_file
from fsnet_jax.monitor.calibration.digest import network_digest
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.runtime import mesh as mesh_lib


class Promise:
  """Looks at the batches of one data set's evaluation.

  The risk is the mean of the loss that the threshold was chosen by, over
  images, or over groups where those are the units.
  """

  def __init__(self, calibration: CalibrationFile):
    """Begins with no image; see `CalibrationFile`."""
    self._calibration = calibration
    # By the digest of the unit: loss, share that passes, images.
    self._sums: dict[bytes, np.ndarray] = {}

  def __call__(
    self, batch: Mapping[str, np.ndarray], maps: Mapping[str, Any]
  ) -> None:
    """Adds this process's rows of a batch; see `evaluator.Observer`."""
    own = self._calibration
    local = jax.tree.map(
      mesh_lib.local_rows,
      {
        'score': maps['score'][own.detector],
        'prediction': maps['prediction'],
        'valid': maps['valid'],
      },
    )
    threshold = np.float32(own.threshold)
    for row in np.flatnonzero(batch['mask']):
      valid = local['valid'][row]
      passes = valid & (own.probability(local['score'][row]) <= threshold)
      wrong = passes & (local['prediction'][row] != batch['label'][row])
      whole = passes if own.kind == 'passing' else valid
      loss = wrong.sum() / max(int(whole.sum()), 1)
      share = passes.sum() / max(int(valid.sum()), 1)
      unit = batch['sequence'][row].tobytes()
      if own.unit == 'image':
        unit = int(batch['index'][row]).to_bytes(8, 'little')
      found = self._sums.setdefault(unit, np.zeros(3))
      found += (loss, share, 1)

  def entry(self) -> dict[str, Any]:
    """`calibrated`, for the data set's entry in `metrics.json`."""
    own = self._calibration
    rows = [
      [*np.frombuffer(unit, np.uint32), *sums]
      for unit, sums in self._sums.items()
    ]
    table = np.array(rows, np.float64).reshape(-1, 5)
    if jax.process_count() > 1:
      table = _gathered(table)
    _, unit = np.unique(table[:, :2], axis=0, return_inverse=True)
    total = np.zeros((int(unit.max(initial=-1)) + 1, 3))
    np.add.at(total, unit.reshape(-1), table[:, 2:])
    means = total[:, :2] / total[:, 2:]
    risk, coverage = means.mean(axis=0).tolist()
    given = {
      'detector': own.detector,
      'risk_kind': own.kind,
      'unit': own.unit,
      'units': len(total),
      'threshold': own.threshold,
      'limit': own.limit,
      'risk': risk,
      'coverage': coverage,
    }
    return {'calibrated': given}


def of_run(config: ConfigDict, workdir: Path) -> dict[str, Promise]:
  """One for each data set of an evaluation; none without a calibration.

  Args:
    config: of the evaluation.
    workdir: of the run.

  Raises:
    UserError: the calibration is damaged.
  """
  found = calibration_file.read_if_any(workdir)
  if found is None or found.detector not in resolve(config.eval.detectors):
    return {}
  if found.network_sha256 != network_digest(workdir):
    say(
      f'note: {workdir / calibration_file.FILE} is of networks that have been '
      'trained on since: run --mode=calibrate again'
    )
    return {}
  return {name: Promise(found) for name in config.eval.datasets}


def _gathered(table: np.ndarray) -> np.ndarray:
  """The rows of all processes."""
  lengths = multihost_utils.process_allgather(np.array([len(table)]))
  padded = np.full((int(lengths.max()), table.shape[1]), np.nan)
  padded[: len(table)] = table
  # Through float32 the digests of units would be others.
  words = multihost_utils.process_allgather(padded.view(np.uint32))
  every = np.ascontiguousarray(words).view(np.float64)
  return np.concatenate(
    [part[: int(n)] for part, n in zip(every, lengths.reshape(-1), strict=True)]
  )
