"""From named arrays of other people to the parameters of a network here."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from common_lib.errors import UserError
from fsnet_jax.models.failure import resnet
from fsnet_jax.models.segmentation import deeplab_v2, fcn8, resnet101, vgg
from fsnet_jax.weights import inputs
from fsnet_jax.weights.names import ARCHITECTURES, Dialect, Path

Arrays = dict[str, np.ndarray]

_UPSAMPLING = {'upscore2.w': 2, 'upscore_pool4.w': 2, 'upscore8.w': 8}
# What every PyTorch batch norm carries and no network needs.
COUNTER = 'num_batches_tracked'


@dataclasses.dataclass(frozen=True)
class Options:
  """What is to be made of a file.

  Attributes:
    arch: a key of `names.ARCHITECTURES`.
    width: multiplier of the network's channels.
    strict: whether a missing head or an unknown array is an error.
    input: how the file's network takes images, a key of `inputs.INPUTS`;
      None for the way that its naming suggests.
    blocks: of ResNet101, in each stage.
  """

  arch: str
  width: float = 1.0
  strict: bool = False
  input: str | None = None
  blocks: Sequence[int] = (3, 4, 23, 3)


@dataclasses.dataclass
class Report:
  """What became of a file's arrays.

  Attributes:
    naming: what the naming is called.
    input: how the file's network was taken to see images.
    used: our path, name in the file and our shape, of each array used.
    missing: our paths that the file has no array for.
    left_over: names in the file that no layer wanted.
    notes: whole sentences.
  """

  naming: str
  input: str
  used: list[tuple[str, str, tuple[int, ...]]]
  missing: list[str]
  left_over: list[str]
  notes: list[str]


def convert(
  arrays: Arrays, options: Options, file: str = 'the file'
) -> tuple[dict[str, Any], Report]:
  """Makes the variables of a network from a state dict.

  Args:
    arrays: from `readers.read_tensors`.
    options: which network.
    file: what messages call the file.

  Returns:
    Collections 'params' and, where there are any, 'batch_stats', as nested
    dicts of float32 arrays, without what the file lacks; and the report.

  Raises:
    UserError: the names are of another network; a layer that is no head is
      missing; an array has another shape, is not of floating point or not
      finite; or, with `strict`, anything is missing or unknown.
  """
  architecture = ARCHITECTURES[options.arch]
  dialect, arrays = _dialect(arrays, options, file)
  module = _network(arrays, dialect, options)
  flat: dict[Path, np.ndarray] = {}
  report = Report(dialect.title, options.input or dialect.input, [], [], [], [])
  unused = dict(arrays)
  for path, shape in abstract_leaves(module).items():
    name = dialect.name(path)
    if name not in arrays:
      report.missing.append('/'.join(path))
      continue
    flat[path] = _checked(file, name, arrays[name], path, shape, dialect)
    unused.pop(name, None)
    report.used.append(('/'.join(path), name, shape))
  report.left_over = sorted(unused)
  _check_missing(report, architecture.heads, options, file)
  _check_upsampling(unused, file)
  _fold_input(flat, report, options)
  return nested(flat), report


@functools.lru_cache(maxsize=8)
def abstract_leaves(module: nn.Module) -> dict[Path, tuple[int, ...]]:
  """Shape of each of a network's variables, by path; nothing is computed.

  Args:
    module: called with images.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  tree = jax.eval_shape(lambda k, x: module.init({'params': k}, x), key, images)
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {tuple(e.key for e in path): leaf.shape for path, leaf in leaves}


def nested(flat: dict[Path, Any]) -> dict[str, Any]:
  """Paths and leaves as a tree."""
  tree: dict[str, Any] = {}
  for path, leaf in flat.items():
    node = tree
    for name in path[:-1]:
      node = node.setdefault(name, {})
    node[path[-1]] = leaf
  return tree


def _dialect(
  arrays: Arrays, options: Options, file: str
) -> tuple[Dialect, Arrays]:
  """The file's naming, and its arrays without what is before every name."""
  known = ARCHITECTURES[options.arch].dialects
  prefixes = ['', *sorted({f'{name.split(".")[0]}.' for name in arrays})]
  for prefix in prefixes:
    for dialect in known:
      if prefix + dialect.anchor in arrays:
        stripped = {n.removeprefix(prefix): a for n, a in arrays.items()}
        return dialect, stripped if len(stripped) == len(arrays) else arrays
  anchors = ' or '.join(repr(dialect.anchor) for dialect in known)
  raise UserError(
    f'{file} holds no {options.arch}: none of its {len(arrays)} arrays is '
    f'named {anchors}; choose another --arch or another file.'
  )


def _outputs(arrays: Arrays, name: str | None, default: int) -> int:
  """Output channels of a layer of the file, if it has it."""
  shape = arrays[name].shape if name in arrays else ()
  # An empty layer is found by its shape, in comparison with the default.
  return shape[0] if shape and shape[0] else default


def _network(arrays: Arrays, dialect: Dialect, options: Options) -> nn.Module:
  """The network, with as many classes and as wide a head as the file's."""

  def outputs(layer: str, default: int) -> int:
    name = dialect.name(('params', *layer.split('/'), 'kernel'))
    return _outputs(arrays, name, default)

  width = options.width
  if options.arch == 'vgg16':
    return vgg.VGG16(width)
  if options.arch == 'resnet18':
    return resnet.ResNet18(width)
  if options.arch == 'resnet101':
    return resnet101.ResNet101(width, tuple(options.blocks))
  if options.arch == 'fcn8':
    classes = outputs('score_fr', 19)
    head = outputs('fc6', 0) or None
    return fcn8.FCN8(classes, width, head)
  head = 'v2' if outputs('layer5_0', 0) else 'synthcp'
  classes = outputs('layer5_0' if head == 'v2' else 'classifier', 19)
  return deeplab_v2.DeepLabV2(
    classes, width, head=head, blocks=tuple(options.blocks)
  )


def _checked(
  file: str,
  name: str,
  array: np.ndarray,
  path: Path,
  shape: tuple[int, ...],
  dialect: Dialect,
) -> np.ndarray:
  """An array in our layout and type."""
  if array.dtype.kind != 'f' and array.dtype != ml_dtypes.bfloat16:
    raise UserError(
      f'{name} of {file} has type {array.dtype}, but weights are floating '
      'point numbers; give the unquantised network.'
    )
  values = array
  if path[-1] == 'kernel' and not dialect.height_first:
    values = _kernel(array, shape)
  if values is None or values.shape != shape:
    raise UserError(
      f'{name} of {file} has shape {array.shape}, which is not what '
      f'{"/".join(path[1:])} of shape {shape} needs; give the right --arch '
      'and --width.'
    )
  with np.errstate(over='ignore'):
    values = np.ascontiguousarray(values, np.float32)
  if not np.isfinite(values).all() or (path[-1] == 'var' and values.min() < 0):
    raise UserError(
      f'{name} of {file} holds values that no trained network has (not '
      'finite, or a negative variance); the file is damaged.'
    )
  return values


def _kernel(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
  """Out, in, height, width, or a linear layer's out, in, as ours."""
  height, width, inputs_, outputs = shape
  if array.ndim == 2 and array.shape == (outputs, inputs_ * height * width):
    # Flattened channel first, as VGG's classifier sees pool5.
    array = array.reshape(outputs, inputs_, height, width)
  return array.transpose(2, 3, 1, 0) if array.ndim == 4 else None


def _check_missing(
  report: Report, heads: tuple[str, ...], options: Options, file: str
) -> None:
  wrong = [
    path
    for path in report.missing
    if options.strict or path.split('/')[1] not in heads
  ]
  if wrong:
    raise UserError(
      f'{file} lacks {len(wrong)} arrays that {options.arch} needs: '
      f'{_some(wrong)}; give the whole network'
      + (' or leave out --strict.' if options.strict else '.')
    )
  unknown = [n for n in report.left_over if not n.endswith(COUNTER)]
  if options.strict and unknown:
    raise UserError(
      f'{file} has {len(unknown)} arrays that {options.arch} has no place '
      f'for: {_some(unknown)}; leave out --strict to leave them over.'
    )


def _some(words: Sequence[str]) -> str:
  shown = ', '.join(words[:3])
  return f'{shown}, ...' if len(words) > 3 else shown


def _check_upsampling(unused: Arrays, file: str) -> None:
  """FCN8's upsampling is fixed here: a trained one would be lost."""
  for name, factor in _UPSAMPLING.items():
    if name not in unused:
      continue
    line = 1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor
    kernel = np.asarray(unused[name], np.float64)
    plane = np.eye(len(kernel))[:, :, None, None] * np.outer(line, line)
    if kernel.shape != plane.shape or np.abs(kernel - plane).max() > 1e-6:
      raise UserError(
        f'{name} of {file} is no bilinear upsampling, which is the only one '
        'that FCN8 has here; the converted network would differ.'
      )


def _fold_input(
  flat: dict[Path, np.ndarray], report: Report, options: Options
) -> None:
  """Makes the first layer see images as our network takes them."""
  architecture = ARCHITECTURES[options.arch]
  source = inputs.INPUTS[report.input]
  target = inputs.INPUTS[architecture.input]
  if source == target:
    return
  first = ('params', *architecture.first)
  kernel, shift = inputs.fold(flat[(*first, 'kernel')], source, target)
  flat[(*first, 'kernel')] = kernel
  if (*first, 'bias') in flat:
    flat[(*first, 'bias')] = flat[(*first, 'bias')] + shift
  else:
    mean = ('batch_stats', *architecture.first[:-1], 'bn1', 'mean')
    flat[mean] = flat[mean] - shift
  report.notes.append(
    f'The first layer was changed from {report.input} images to the '
    f'{architecture.input} ones that {options.arch} takes here: the same '
    'values inside, all but the same at the border.'
  )
