"""The command `--mode=export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.calibration.digest import current_calibration
from fsnet_jax.monitor.export import (
  jax_export,
  onnx_export,
  standalone,
  tflite_export,
)

_TYPES = ('.onnx', '.jaxexport', '.tflite')
_IMAGES = 3


def export(config: ConfigDict, workdir: Path, output: Path) -> None:
  """Writes a finished run as one file.

  Args:
    config: of the run.
    workdir: of the run.
    output: the file; its type says what it is, of `_TYPES`.

  Raises:
    UserError: as `onnx_export.export`, `jax_export.export` and
      `tflite_export.export`; another type of file; a calibration of other
      networks; a network from elsewhere for another type than `.onnx`.
  """
  if output.suffix not in _TYPES:
    raise UserError(
      f'--output={output} is of no known type: --mode=export writes '
      f'{", ".join(_TYPES)}.'
    )
  found = current_calibration(workdir)
  detector = config.calibrate.detector if found is None else found.detector
  _check_network(config, detector)
  backend = CheckpointBackend(config, workdir, detector, found)
  images = sample_images(config)
  if output.suffix != '.onnx':
    say(_other(config, backend, images, output, workdir.name))
    say(_promise(backend))
    return
  written = onnx_export.export(backend, images, output, workdir.name)
  say(
    f'{written.path}: {written.size_bytes / 1e6:.1f} MB, {written.operations} '
    f'operations, P(wrong) as jit has it but for {written.difference:.1g} on '
    f'{len(images)} images, {written.milliseconds:.1f} ms an image here'
  )
  say(_promise(backend))
  say(standalone.write(output.parent))


def _promise(backend: CheckpointBackend) -> str:
  """What holds for pixels that pass."""
  return backend.statement or (
    'not calibrated: pixels are flagged where P(wrong) exceeds 0.5'
  )


def _other(
  config: ConfigDict,
  backend: CheckpointBackend,
  images: np.ndarray,
  output: Path,
  about: str,
) -> str:
  """Writes a file that is no ONNX file; says what was written."""
  if backend.external is not None:
    raise UserError(
      'This run watches a network from elsewhere, and '
      f'{output.suffix} holds networks of this package alone: write .onnx.'
    )
  if output.suffix == '.tflite':
    dtype = config.export.tflite_dtype
    return tflite_export.export(backend, images, output, about, dtype)
  sizes = tuple(tuple(size) for size in config.export.sizes)
  return jax_export.export(backend, images, output, about, sizes)


def _check_network(config: ConfigDict, detector: str) -> None:
  """Raises UserError for a network that is not in any file."""
  name = config.segmentation.name
  if name in ('python', 'logits'):
    what = 'a Python function' if name == 'python' else 'stored logits'
    raise UserError(
      f'A file cannot hold {what} (config.segmentation.name={name!r}): export '
      'the network to ONNX, give it as config.segmentation.name=onnx, and '
      'train the run over that.'
    )
  if detector in ('ensemble', 'ensemble_mi'):
    raise UserError(
      f'An export holds one segmentation network, and detector {detector!r} '
      'asks several: calibrate the run with another one in '
      'config.calibrate.detector.'
    )


def sample_images(config: ConfigDict) -> np.ndarray:
  """A few images of the first data set that the run is evaluated on."""
  source = data_sources.source(config, config.eval.datasets[0])
  chosen = np.linspace(0, len(source) - 1, min(_IMAGES, len(source)))
  return np.stack(
    [source[int(i)]['image'] for i in np.unique(chosen.round().astype(int))]
  )
