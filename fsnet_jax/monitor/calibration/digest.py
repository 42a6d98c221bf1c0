"""Which networks a calibration is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsnet_jax.evaluation import identity


def network_digest(workdir: Path) -> str:
  """SHA-256 of which networks a run holds, S and all parts of F."""
  folders = [workdir, *sorted((workdir / 'phase3').glob('*'))]
  every: dict[str, Any] = {
    folder.name if folder != workdir else '': identity.of_checkpoints(folder)
    for folder in folders
  }
  return identity.of_value(every)
