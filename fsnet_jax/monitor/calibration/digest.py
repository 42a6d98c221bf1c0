"""Which networks a calibration is of, and whether a run still has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common_lib.errors import UserError
from fsnet_jax.evaluation import identity
from fsnet_jax.monitor import calibration_file
from fsnet_jax.monitor.calibration_file import CalibrationFile


def network_digest(workdir: Path) -> str:
  """SHA-256 of which networks a run holds, S and all parts of F."""
  folders = [workdir, *sorted((workdir / 'phase3').glob('*'))]
  every: dict[str, Any] = {
    folder.name if folder != workdir else '': identity.of_checkpoints(folder)
    for folder in folders
  }
  return identity.of_value(every)


def current_calibration(workdir: Path) -> CalibrationFile | None:
  """The calibration of a run; None if it has none.

  Raises:
    UserError: it is damaged, or of networks that have changed since.
  """
  found = calibration_file.read_if_any(workdir)
  if found is None or found.network_sha256 == network_digest(workdir):
    return found
  raise UserError(
    f'{workdir / calibration_file.FILE} is of networks that have been trained '
    'on since: run --mode=calibrate again, or delete it.'
  )
