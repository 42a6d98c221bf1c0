"""VGG16's trained convolutions straight from a NumPy archive into FCN8.

The archive is that of the edge detector HED in Keras: for each convolution
a kernel `block{1..5}|layers|conv2d[_1|_2]|vars|0`, laid out height, width,
in, out, and a bias `...|vars|1`. Keras's VGG16 takes its channels as blue,
green, red, zero-mean on 0..255; FCN8 here takes red, green, blue, so the
first kernel's input channels are reversed. The means differ by a tenth of a
grey level, which is left alone here; `convert` folds it in.
"""

import os
from typing import Any

import jax
import numpy as np

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import vgg
from fsnet_jax.weights import families
from fsnet_jax.weights.names import vgg16_keras
from fsnet_jax.weights.readers import read_tensors


def load_vgg16_npz(
  path: str | os.PathLike, params: dict[str, Any]
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
  arrays = read_tensors(path)
  ignored = [name for name in arrays if name.startswith(('dsn', 'fuse'))]
  _compare(path, set(expected), set(arrays) - set(ignored))
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
  layers = [
    f'conv{stage}_{index}'
    for stage, (_, depth) in enumerate(vgg.STAGES, 1)
    for index in range(1, depth + 1)
  ]
  return [
    (layer, leaf, str(vgg16_keras(('params', layer, leaf))))
    for layer in layers
    for leaf in ('kernel', 'bias')
  ]


def _compare(
  path: str | os.PathLike, wanted: set[str], found: set[str]
) -> None:
  missing, extra = sorted(wanted - found), sorted(found - wanted)
  if missing or extra:
    seen = families.resembles(found)
    like = f'; it looks like {seen}' if seen and seen != 'VGG16' else ''
    raise UserError(
      f'{path} does not hold VGG16 as the HED archive names it: '
      f'{len(missing)} arrays are missing {missing[:3]}, '
      f'{len(extra)} are unknown {extra[:3]}{like}; give that archive.'
    )


def _checked(
  path: str | os.PathLike,
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
