"""VGG16's trained convolutions from a NumPy archive into FCN8's encoder.

The archive is that of the edge detector HED in Keras: for each convolution
a kernel `block{1..5}|layers|conv2d[_1|_2]|vars|0`, laid out height, width,
in, out, and a bias `...|vars|1`. Keras's VGG16 takes its channels as blue,
green, red, zero-mean on 0..255; FCN8 here takes red, green, blue, so the
first kernel's input channels are reversed.
"""

import pathlib
import zipfile
from typing import Any

import jax
import numpy as np

from fsnet_jax.models import vgg
from input_pipeline.errors import UserError


def load_vgg16_npz(
  path: str | pathlib.Path, params: dict[str, Any]
) -> tuple[dict[str, Any], str]:
  """Replaces the VGG16 part of a network's parameters.

  Only plain arrays are read: a pickled object in the file is an error.

  Args:
    path: the .npz file.
    params: parameters of a network with a sub-tree 'vgg' at width 1, such as
      `FCN8`. They are not changed.

  Returns:
    Parameters of the same structure, and a sentence on what was used.

  Raises:
    UserError: the file cannot be read, lacks an array or has one too many,
      an array has another shape or type or a value that is not finite, or
      the network is not a VGG16 of width 1.
  """
  expected = {
    name: (layer, leaf, np.shape(params['vgg'][layer][leaf]))
    for layer, leaf, name in _names()
  }
  if np.shape(params['vgg']['conv1_1']['kernel'])[-1] != 64:
    raise UserError(
      f'{path} holds VGG16 at full width, but the network is narrower; set '
      'width to 1.'
    )
  arrays, ignored = _read(path, set(expected))
  loaded: dict[str, dict[str, np.ndarray]] = {}
  for name, (layer, leaf, shape) in expected.items():
    loaded.setdefault(layer, {})[leaf] = _checked(path, name, arrays, shape)
  first = loaded['conv1_1']
  first['kernel'] = np.ascontiguousarray(first['kernel'][:, :, ::-1])
  count = sum(leaf.size for leaf in jax.tree.leaves(loaded))
  report = (
    f'Used {len(expected)} arrays ({count:,} values) of {path} for VGG16; '
    f"left {len(ignored)} side outputs of HED unused; the network's other "
    'layers keep their initial values.'
  )
  return {**params, 'vgg': loaded}, report


def _names() -> list[tuple[str, str, str]]:
  """(layer, leaf, name in the file) of every array that is needed."""
  names = []
  for stage, (_, depth) in enumerate(vgg.STAGES, 1):
    for index in range(1, depth + 1):
      conv = 'conv2d' if index == 1 else f'conv2d_{index - 1}'
      for position, leaf in enumerate(('kernel', 'bias')):
        name = f'block{stage}|layers|{conv}|vars|{position}'
        names.append((f'conv{stage}_{index}', leaf, name))
  return names


def _read(
  path: str | pathlib.Path, wanted: set[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """The wanted arrays, and the names of HED's own."""
  try:
    # The file is opened here: np.load leaves it open when it fails.
    with open(path, 'rb') as file:
      archive = np.load(file, allow_pickle=False)
      if isinstance(archive, np.ndarray):
        raise UserError(f'{path} is a single array; give an .npz archive.')
      names = set(archive.files)
      ignored = sorted(n for n in names if n.startswith(('dsn', 'fuse')))
      _compare(path, wanted, names - set(ignored))
      return {name: archive[name] for name in wanted}, ignored
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
    raise UserError(
      f'{path} cannot be read as an .npz archive of plain arrays ({error}); '
      'check the path and the file.'
    ) from error


def _compare(
  path: str | pathlib.Path, wanted: set[str], found: set[str]
) -> None:
  missing, extra = sorted(wanted - found), sorted(found - wanted)
  if missing or extra:
    raise UserError(
      f'{path} does not hold VGG16 as the HED archive names it: '
      f'{len(missing)} arrays are missing {missing[:3]}, '
      f'{len(extra)} are unknown {extra[:3]}; give that archive.'
    )


def _checked(
  path: str | pathlib.Path,
  name: str,
  arrays: dict[str, np.ndarray],
  shape: tuple[int, ...],
) -> np.ndarray:
  array = arrays[name]
  if array.shape != shape:
    raise UserError(
      f'Array {name} of {path} has shape {array.shape} where VGG16 has '
      f'{shape}; the file is of another network.'
    )
  if array.dtype.kind != 'f' or not np.isfinite(array).all():
    raise UserError(
      f'Array {name} of {path} holds values that are not finite floating '
      'point numbers; the file is damaged.'
    )
  return array.astype(np.float32)
