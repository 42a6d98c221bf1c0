"""Predicts with the networks of a finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from common_lib import checksums
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.calibration.digest import (
  current_calibration,
  network_digest,
)
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.monitor.monitor import Monitor
from fsnet_jax.monitor.predict import run
from fsnet_jax.runtime import mesh
from fsnet_jax.runtime.cluster.peers import Peers


def predict(
  config: ConfigDict,
  workdir: Path,
  source: str,
  output: Path,
  origin: Mapping[str, str],
  peers: Peers,
) -> Path:
  """`--mode=predict` of a run; see `run.predict`.

  Without a calibration, detector `calibrate.detector` says what P(wrong) is.

  Args:
    config: of the run, with `predict`.
    workdir: of the run; nothing in it changes.
    source: folder, glob or video.
    output: folder for what is written.
    origin: `config_name` and `command`, for the page.
    peers: the processes that do it together.

  Raises:
    UserError: as `run.predict`; the run's calibration is of other networks.
    Interrupted: likewise.
  """
  networks = network_digest(workdir)
  calibration = current_calibration(workdir)
  detector = config.calibrate.detector
  if calibration is not None:
    detector = calibration.detector
  options = run.Options(
    source=source,
    output=output,
    batch_size=mesh.local_batch_size(config.eval.batch_size),
    segment_share=config.predict.segment_share,
    identity={
      'networks': networks,
      'detector': detector,
      'calibration': _digest(calibration),
    },
    depth=config.predict.depth,
    depth_per_metre=config.predict.depth_per_metre,
    command=origin.get('command', ''),
  )

  def load() -> Monitor:
    return Monitor(CheckpointBackend(config, workdir, detector, calibration))

  return run.predict(load, options, calibration, peers)


def _digest(calibration: CalibrationFile | None) -> str:
  """What tells a calibration from another."""
  if calibration is None:
    return 'none'
  value = dataclasses.asdict(calibration)
  return checksums.of_value(value)
