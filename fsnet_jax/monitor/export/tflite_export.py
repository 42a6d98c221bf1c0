"""A run as one .tflite file, for phones and boards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.files import write_bytes
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.monitor.backends import archive
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.tflite_file import MODEL, TfliteBackend
from fsnet_jax.monitor.export import agreement, cards, latency
from fsnet_jax.runtime import tflite


def export(
  backend: CheckpointBackend,
  images: np.ndarray,
  path: Path,
  about: str,
  dtype: str = 'float32',
) -> str:
  """Writes a monitor as a .tflite file; of float32, unless it is another one.

  Args:
    backend: of the run.
    images: uint8 [n h w 3] at the run's size, that the file is tried on.
    path: of the file.
    about: what it is of, for people.
    dtype: of the weights, of `tflite.DTYPES`.

  Returns:
    What was written, in a sentence.

  Raises:
    UserError: TensorFlow is missing, its converter does not know a part of the
      networks, or the file computes something else than the run.
  """
  function = backend.function()

  def named(pictures: Any) -> Mapping[str, Any]:
    labels, failure, flagged = function(pictures)
    return {'labels': labels, 'failure': failure, 'flagged': flagged}

  with conv_forms.use('undilated'):
    content = tflite.converted(named, backend.image_size, dtype)
  exact = dtype == 'float32'
  described = cards.of_run(
    backend,
    about,
    {MODEL: content},
    sizes=(backend.image_size,),
    versions={'dtype': dtype},
    is_exact=exact,
  )
  read_back = TfliteBackend(described, content, path)
  said = _compared(backend, read_back, images, path, exact)
  # What TFLite calls associated files: a zip behind the model.
  whole = archive.written(described, {}, before=content)
  path.parent.mkdir(parents=True, exist_ok=True)
  write_bytes(path, whole)
  said = (
    f'{path}: {len(whole) / 1e6:.1f} MB, {dtype}, {said} on {len(images)} '
    f'images, {latency.milliseconds(read_back, images):.1f} ms an image here'
  )
  if backend.statement and not exact:
    said += '; what was calibrated is float32: nothing is guaranteed of this'
  return said


def _compared(
  backend: CheckpointBackend,
  read_back: TfliteBackend,
  images: np.ndarray,
  path: Path,
  exact: bool,
) -> str:
  """What jit and the file have in common.

  Raises:
    UserError: too little, of a file that is to be exact.
  """
  found = agreement.compare(backend(images), read_back(images))
  if exact and not found.is_rounding:
    raise UserError(
      f'{path} was not written: on {len(images)} images LiteRT says {found}; '
      'report this with your versions of tensorflow and jax.'
    )
  return (
    f'P(wrong) as jit has it but for {found.difference:.1g}, the class at '
    f'{100 * (1 - found.other_class):.4g} % of the pixels'
  )
