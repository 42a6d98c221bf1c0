"""From named arrays of other people to the parameters of a network here."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.models.failure import resnet
from fsnet_jax.models.segmentation import (
  deeplab_v2,
  efficientnet_lite,
  fcn8,
  resnet101,
  vgg,
)
from fsnet_jax.weights import families, inputs, prefixes
from fsnet_jax.weights.names import ARCHITECTURES, Architecture, Dialect, Path

Arrays = dict[str, np.ndarray]

_UPSAMPLING = {'upscore2.w': 2, 'upscore_pool4.w': 2, 'upscore8.w': 8}
# ImageNet has 21,843 classes.
_MAX_OUTPUTS = 1 << 16
# Of a segmentation, whose upsampling kernels grow with the square.
_MAX_CLASSES = 1 << 10
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
    used: our path, name in the file (with what stands before it) and our
      shape, of each array used.
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

  @property
  def names(self) -> list[str]:
    """All names of the file."""
    return [name for _, name, _ in self.used] + self.left_over


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
    UserError: the names are of another network, or of a deeper one of the
      same family; a layer that is no head is missing; an array has another
      shape, is not of floating point or not finite; or, with `strict`,
      anything is missing or unknown.
  """
  architecture = ARCHITECTURES[options.arch]
  match = _match(arrays, options, file)
  report = Report(
    match.dialect.title, options.input or match.dialect.input, [], [], [], []
  )
  sources: dict[Path, str] = {}
  for path, shape in abstract_leaves(match.module).items():
    name = match.name(path)
    if name in arrays:
      sources[path] = name
      report.used.append(('/'.join(path), name, shape))
    else:
      report.missing.append('/'.join(path))
  report.left_over = sorted(set(arrays) - set(sources.values()))
  # Before shapes: those of another depth fit in part.
  _check_depth(match, report, sources, options, file)
  _check_missing(report, architecture, options, file)
  flat = {
    path: _checked(file, name, arrays[name], path, shape, match.dialect)
    for (path, name), (_, _, shape) in zip(sources.items(), report.used)
  }
  _check_upsampling(match, arrays, file)
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


class _Match(NamedTuple):
  """How a file names a network.

  Attributes:
    dialect: the naming.
    prefix: what stands before it in the file.
    module: the network, with heads as in the file.
  """

  dialect: Dialect
  prefix: str
  module: nn.Module

  def name(self, path: Path) -> str | None:
    """Name in the file of one of our arrays; None if it has none."""
    name = self.dialect.name(path)
    return None if name is None else self.prefix + name


def _match(arrays: Arrays, options: Options, file: str) -> _Match:
  """The naming under which most of the network is found."""
  known = ARCHITECTURES[options.arch].dialects
  found = []
  for dialect in known:
    starts = prefixes.candidates(arrays, dialect.anchor)
    if starts:
      layers = abstract_leaves(_network({}, dialect, '', options))
      wanted = [name for path in layers if (name := dialect.name(path))]
      prefix, score = prefixes.best(arrays, starts, wanted, file)
      found.append((score, dialect, prefix))
  if not found:
    anchors = ' or '.join(repr(dialect.anchor) for dialect in known)
    raise UserError(
      f'{file} holds no {options.arch}: none of its {len(arrays)} arrays '
      f'({prefixes.examples(arrays)}) is named {anchors}'
      f'{_likeness(arrays, options)}; choose another --arch or another file.'
    )
  # The first of equals: a naming with a head says how images are taken.
  _, dialect, prefix = max(found, key=lambda item: item[0])
  return _Match(dialect, prefix, _network(arrays, dialect, prefix, options))


def _likeness(names: Iterable[str], options: Options) -> str:
  """', but it looks like ResNet34', where that is not what is wanted."""
  seen = families.resembles(names)
  if not seen or seen == ARCHITECTURES[options.arch].title:
    return ''
  return f', but it looks like {seen}'


def _outputs(arrays: Arrays, name: str, default: int) -> int:
  """Output channels of a layer of the file, if it has it."""
  shape = arrays[name].shape if name in arrays else ()
  # A layer that is empty, none or absurd is found by its shape, in comparison
  # with the default.
  known = len(shape) > 1 and 0 < shape[0] <= _MAX_OUTPUTS and 0 not in shape
  return shape[0] if known else default


def _network(
  arrays: Arrays, dialect: Dialect, prefix: str, options: Options
) -> nn.Module:
  """The network, with as many classes and as wide a head as the file's."""

  def outputs(layer: str, default: int) -> int:
    name = dialect.name(('params', *layer.split('/'), 'kernel'))
    return _outputs(arrays, f'{prefix}{name}', default)

  width = options.width
  if options.arch == 'vgg16':
    return vgg.VGG16(width)
  if options.arch == 'resnet18':
    return resnet.ResNet18(width)
  if options.arch == 'resnet101':
    return resnet101.ResNet101(width, tuple(options.blocks))
  if options.arch == 'efficientnet_lite0':
    return efficientnet_lite.EfficientNetLite0(width)
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
  name = quoted(name, 120)
  if not _is_floating(array):
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


def _is_floating(array: np.ndarray) -> bool:
  return array.dtype.kind == 'f' or array.dtype == ml_dtypes.bfloat16


def _kernel(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
  """Out, in, height, width, or a linear layer's out, in, as ours."""
  height, width, inputs_, outputs = shape
  if array.ndim == 2 and array.shape == (outputs, inputs_ * height * width):
    # Flattened channel first, as VGG's classifier sees pool5.
    array = array.reshape(outputs, inputs_, height, width)
  return array.transpose(2, 3, 1, 0) if array.ndim == 4 else None


def _check_depth(
  match: _Match,
  report: Report,
  sources: dict[Path, str],
  options: Options,
  file: str,
) -> None:
  """Refuses a file whose body has more than ours."""
  heads, start = ARCHITECTURES[options.arch].heads, len(match.prefix)
  body = [n[start:] for path, n in sources.items() if path[1] not in heads]
  left = [
    name[start:]
    for name in report.left_over
    if name.startswith(match.prefix) and not name.endswith(COUNTER)
  ]
  left = [n for n in left if not re.fullmatch(match.dialect.skipped, n)]
  more = families.beyond(left, body)
  if more:
    raise UserError(
      f'{file} holds another network than {options.arch}: it has '
      f'{prefixes.examples(more)}, which {options.arch} has no place for'
      f'{_likeness(report.names, options)}; give the file of '
      f'{ARCHITECTURES[options.arch].title} itself, for half of another '
      'network would compute something else.'
    )


def _check_missing(
  report: Report,
  architecture: Architecture,
  options: Options,
  file: str,
) -> None:
  wrong = [
    path
    for path in report.missing
    if options.strict or path.split('/')[1] not in architecture.heads
  ]
  if wrong:
    raise UserError(
      f'{file} lacks {len(wrong)} arrays that {options.arch} needs: '
      f'{prefixes.examples(wrong)}{_likeness(report.names, options)} (it has '
      f'{prefixes.examples(report.names)}); give the whole network'
      + (' or leave out --strict.' if options.strict else '.')
    )
  unknown = [n for n in report.left_over if not n.endswith(COUNTER)]
  if options.strict and unknown:
    raise UserError(
      f'{file} has {len(unknown)} arrays that {options.arch} has no place '
      f'for: {prefixes.examples(unknown)}; leave out --strict to leave them '
      'over.'
    )


def _check_upsampling(match: _Match, arrays: Arrays, file: str) -> None:
  """FCN8's upsampling is fixed here: a trained one would be lost."""
  for name, factor in _UPSAMPLING.items():
    array = arrays.get(match.prefix + name)
    if array is None:
      continue
    classes = len(array) if array.ndim == 4 else 0
    if (
      not 0 < classes <= _MAX_CLASSES
      or array.shape != (classes, classes, 2 * factor, 2 * factor)
      or not _is_floating(array)
      or not _is_bilinear(np.asarray(array, np.float64), factor)
    ):
      raise UserError(
        f'{name} of {file} is no bilinear upsampling, which is the only one '
        'that FCN8 has here; the converted network would differ.'
      )


def _is_bilinear(kernel: np.ndarray, factor: int) -> bool:
  line = 1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor
  plane = np.eye(len(kernel))[:, :, None, None] * np.outer(line, line)
  return bool(np.abs(kernel - plane).max() <= 1e-6)


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
    norm = (*architecture.first[:-1], architecture.first_norm)
    mean = ('batch_stats', *norm, 'mean')
    flat[mean] = flat[mean] - shift
  report.notes.append(
    f'The first layer was changed from {report.input} images to the '
    f'{architecture.input} ones that {options.arch} takes here: the same '
    'values inside, all but the same at the border.'
  )
