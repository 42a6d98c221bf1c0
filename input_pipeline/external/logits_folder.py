"""Logits that somebody has written to files, one of each image.

  FOLDER/**/<image's stem>.npy or .npz

[h w c] or [c h w], float16 or float32, at the size of the images or smaller. An
.npz holds one array, or several of which one is called `logits`; an .npy is
not read further than it is used. A file is found by the image's id, the
relative path in which may be mirrored in FOLDER where stems occur twice.
`model.json` in FOLDER may give `outputs.classes` and `classes`.
"""

from __future__ import annotations

import hashlib
import json
import pathlib

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.npz import read_npz
from input_pipeline.external import description
from input_pipeline.external.channel_map import between
from input_pipeline.external.output_checks import (
  OutputRules,
  Sizes,
  checked_logits,
)
from input_pipeline.external.protocol import ExternalOutput, Notes

_SUFFIXES = ('.npy', '.npz')
_IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')
_SAMPLES, _SAMPLE_BYTES = 16, 4096


class LogitsFolder:
  """Logits in files; it knows no image but those."""

  takes_any_image = False
  feature_channels = 0

  def __init__(self, path: pathlib.Path, classes: ClassTable):
    """Lists the files of a folder.

    Args:
      path: the folder.
      classes: of the data.

    Raises:
      UserError: there is no such folder, or no file in it.
    """
    if not path.is_dir():
      raise UserError(
        f'config.segmentation.path is {path}, which is no folder; give the '
        'folder that holds an .npy or .npz file for each image'
      )
    self.described = described = description.read(path)
    if described.input_given or described.logits or described.features:
      raise UserError(
        f'{described.path}: beside stored logits only outputs.classes and '
        'classes are read; leave out input, outputs.logits and '
        'outputs.features'
      )
    self.classes = classes
    self.notes = Notes()
    self._folder = path
    self.channels = between(
      described.classes or classes,
      classes,
      described.channels,
      str(described.path),
    )
    self._files = sorted(
      one for one in path.rglob('*') if one.suffix in _SUFFIXES
    )
    if not self._files:
      raise UserError(
        f'{path}: there is no .npy or .npz file; save the logits of each image '
        "in a file with the image's name"
      )
    self._exact: dict[str, list[pathlib.Path]] = {}
    self._by_stem: dict[str, list[pathlib.Path]] = {}
    for file in self._files:
      name = self._id(file)
      self._exact.setdefault(name, []).append(file)
      stem = pathlib.PurePosixPath(name).name
      self._by_stem.setdefault(stem, []).append(file)

  def feature_size(self, image_size: tuple[int, int]) -> None:
    """Files hold no features."""
    del image_size
    return None

  def __call__(self, images: np.ndarray) -> ExternalOutput:
    """Raises UserError: files know only the images that they are of."""
    del images
    raise UserError(
      f'{self._folder}: stored logits cannot be computed for another image '
      '(a mirrored one, one to predict on); use '
      '--config.segmentation.name=onnx or python for that'
    )

  def fingerprint(self) -> str:
    """SHA-256 over names, lengths and samples of all files.

    Gigabytes are not read whole: of each file 16 pieces are, which other logits
    cannot share.
    """
    digest = hashlib.sha256(json.dumps(self.channels.channels).encode())
    for file in self._files:
      name = file.relative_to(self._folder).as_posix()
      digest.update(json.dumps([name, file.stat().st_size]).encode())
      digest.update(_samples(file))
    return digest.hexdigest()

  def of_image(self, image_id: str, image_size: tuple[int, int]) -> np.ndarray:
    """The logits of an image.

    Args:
      image_id: of the scene; the file's stem, with or without folders.
      image_size: height and width that the logits are brought to.

    Returns:
      float32 [h w c].

    Raises:
      UserError: no file, several, or one that does not hold them.
    """
    file = self._find(image_id)
    array = _load(file)
    if array.ndim != 3 or array.dtype.kind != 'f':
      fix = 'save the logits [h w c] or [c h w] in float16 or float32'
      kind = 'a class map' if array.ndim == 2 else 'no logits'
      raise UserError(
        f'{file}: {array.dtype} {list(array.shape)} is {kind}; {fix}, before '
        'any argmax'
      )
    logits, _ = checked_logits(
      array[None],
      Sizes(1, image_size, image_size),
      self._rules(file),
      self.notes,
    )
    return logits[0]

  def _rules(self, file: pathlib.Path) -> OutputRules:
    return OutputRules(
      where=str(file),
      network=str(self._folder),
      channels=self.channels,
      channels_first=False,
      export='save the logits before the argmax',
      select=(
        'write {"outputs": {"classes": CHANNELS}} to '
        f'{self._folder / description.FILE}'
      ),
    )

  def _id(self, file: pathlib.Path) -> str:
    """The id of a file's image: its path without suffixes."""
    name = file.relative_to(self._folder).with_suffix('')
    if name.suffix.lower() in _IMAGE_SUFFIXES:  # frame.png.npy
      name = name.with_suffix('')
    return name.as_posix()

  def _find(self, image_id: str) -> pathlib.Path:
    """The file of an image."""
    stem = pathlib.PurePosixPath(image_id).name
    found = self._exact.get(image_id) or self._by_stem.get(stem, [])
    if not found:
      raise UserError(
        f'{self._folder}: there are no logits of image '
        f'{quoted(image_id, 120)!r}; save them as {quoted(image_id, 120)}.npy'
      )
    if len(found) > 1:
      names = [file.relative_to(self._folder) for file in found[:2]]
      raise UserError(
        f'{self._folder}: {names[0]} and {names[1]} can both be of image '
        f'{quoted(image_id, 120)!r}; keep one, or mirror the folders of the '
        'images'
      )
    return found[0]


def _load(file: pathlib.Path) -> np.ndarray:
  """The array of a file, mapped into memory where it can be."""
  fix = 'write it again'
  if file.suffix == '.npz':
    arrays = read_npz(file, what='logits of an image', fix=fix)
    if len(arrays) != 1 and 'logits' not in arrays:
      raise UserError(
        f'{file}: holds {len(arrays)} arrays, none of which is called logits; '
        'save one, as np.savez_compressed(path, logits=array)'
      )
    return arrays['logits'] if 'logits' in arrays else arrays.popitem()[1]
  try:
    return np.load(file, mmap_mode='r', allow_pickle=False)
  # What numpy raises on files that are none of its own.
  except (OSError, ValueError, EOFError, SyntaxError) as error:
    raise UserError(
      f'{file}, logits of an image, cannot be read ({quoted(error, 120)}): '
      f'{fix}.'
    ) from error


def _samples(file: pathlib.Path) -> bytes:
  """Pieces of a file, spread evenly, the first and the last among them."""
  last = max(file.stat().st_size - _SAMPLE_BYTES, 0)
  pieces = []
  with file.open('rb') as content:
    for sample in range(_SAMPLES):
      content.seek(last * sample // (_SAMPLES - 1))
      pieces.append(content.read(_SAMPLE_BYTES))
  return b''.join(pieces)
