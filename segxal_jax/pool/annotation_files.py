"""The picture that holds an annotation: label and asked pixels, lossless."""

import hashlib
import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from common_lib.class_table import CITYSCAPES, VOID
from common_lib.errors import UserError
from common_lib.foreign import quoted

_FIX = 'restore it from a backup or choose another --workdir'


def encode(
  label: UInt8[np.ndarray, 'h w'], asked: Bool[np.ndarray, 'h w']
) -> bytes:
  """A PNG: the label as grey, the pixels answered for as opacity."""
  pixels = np.stack([label, np.where(asked, 255, 0).astype(np.uint8)], -1)
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, format='png')
  return buffer.getvalue()


def digest(content: bytes) -> str:
  """The checksum of a file in the ledger."""
  return hashlib.sha256(content).hexdigest()


def content(
  path: Path, sha256: str | None, fix: str = _FIX, of: str = 'an image'
) -> bytes:
  """A file's bytes, if they are those that the ledger names.

  Args:
    path: of the file.
    sha256: of what was written; None compares nothing.
    fix: what the user can do, for the message.
    of: name of the image, for the message.

  Raises:
    UserError: the file is missing, unreadable or another one.
  """
  try:
    found = path.read_bytes()
  except OSError as error:
    problem = error.strerror or 'unknown reason'
  else:
    if sha256 is None or digest(found) == sha256:
      return found
    problem = 'its content is not what the ledger names'
  raise UserError(
    f'{path}: the annotation of {of} cannot be read ({problem}); {fix}.'
  )


def read_annotation(
  path: Path,
  sha256: str | None = None,
  fix: str = _FIX,
  of: str = 'an image',
  num_classes: int = CITYSCAPES.num_classes,
) -> tuple[UInt8[np.ndarray, 'h w'], Bool[np.ndarray, 'h w']]:
  """Label map and asked pixels of an annotation's file.

  Args:
    path: of the file.
    sha256: of what was written; None compares nothing.
    fix: what the user can do, for the message.
    of: name of the image, for the message.
    num_classes: that there are.

  Returns:
    Classes, 255 = void, and whether the oracle answered for a pixel.

  Raises:
    UserError: the file is missing, damaged or another one.
  """
  found = content(path, sha256, fix, of)
  try:
    with Image.open(io.BytesIO(found), formats=('PNG',)) as picture:
      if picture.mode != 'LA':
        raise ValueError(f'it is of the mode {picture.mode} instead of LA')
      pixels = np.asarray(picture)
    label = pixels[..., 0].copy()
    if np.any((label >= num_classes) & (label != VOID)):
      raise ValueError(f'it holds the label {label[label != VOID].max()}')
    return label, pixels[..., 1] > 0
  # A damaged PNG makes Pillow raise nearly anything.
  except Exception as error:
    problem = quoted(error, 120)
  raise UserError(
    f'{path}: the annotation of {of} cannot be read ({problem}); {fix}.'
  )
