"""Public depth checkpoints as variables of the networks here.

A `Naming` says how the files of one source name what a network needs; what
they hold besides must be listed there too, so that a file of another network
is an error and not a network with some random layers.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.models.network import Network
from fsnet_jax.weights import families, prefixes
from fsnet_jax.weights.readers import read_tensors

Rule = tuple[str, str | Callable[[re.Match], str]]

# PyTorch's names of what Flax calls otherwise, and its layouts as ours.
_LEAVES = {
  'kernel': 'weight',
  'kernel_up': 'weight',
  'scale': 'weight',
  'mean': 'running_mean',
  'var': 'running_var',
}
_AXES = {
  ('kernel', 4): (2, 3, 1, 0),  # Convolution: out, in, rows, columns.
  ('kernel', 2): (1, 0),  # Linear: out, in.
  ('kernel_up', 4): (2, 3, 0, 1),  # Transposed: in, out, rows, columns.
}


@dataclasses.dataclass(frozen=True)
class Naming:
  """How the files of one source name a network's tensors.

  Attributes:
    source: whose files they are, for messages.
    marker: a tensor that every such file has and those of other sources,
      read for the same network, lack.
    rules: substitutions (pattern, replacement) of `re.sub`, applied in order
      to a variable's path, 'backbone/blocks_0/attn/qkv/weight'; what is left
      of slashes becomes dots. A name with '{a|b}' is that of several
      tensors, joined along their first axis.
    unused: patterns of tensors that such files hold and no depth needs.
    settings: what the source's own code asks of the network.
  """

  source: str
  marker: str
  rules: tuple[Rule, ...]
  unused: tuple[str, ...] = ()
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def names(self, path: Sequence[str]) -> list[str]:
    """The tensors in a file that make one variable."""
    name = '/'.join([*path[:-1], _LEAVES.get(path[-1], path[-1])])
    for pattern, replacement in self.rules:
      name = re.sub(pattern, replacement, name)
    name = name.replace('/', '.')
    found = re.search(r'\{(.*)\}', name)
    if not found:
      return [name]
    before, after = name[: found.start()], name[found.end() :]
    return [f'{before}{part}{after}' for part in found[1].split('|')]


def read_files(
  paths: str | os.PathLike | Sequence[str | os.PathLike],
  anchors: Sequence[str] = (),
) -> dict[str, np.ndarray]:
  """Reads one file, or several that together hold a network.

  Args:
    paths: .safetensors or .pth files; DINOv2's own backbone and head are in
      two files.
    anchors: names of which a file of such a network has one. What stands
      before it, as training programs put it there, is dropped.

  Returns:
    Arrays by name.

  Raises:
    UserError: a file cannot be read, two hold the same tensor, or one holds
      the network twice.
  """
  if isinstance(paths, str | os.PathLike):
    paths = [paths]
  tensors: dict[str, np.ndarray] = {}
  for path in paths:
    found = _without_prefix(read_tensors(path), anchors, str(path))
    twice = sorted(set(found) & set(tensors))
    if twice:
      raise UserError(
        f'{path} holds {quoted(twice[0], 80)} as an earlier file does; give '
        'each part of the network once.'
      )
    tensors.update(found)
  return tensors


def _without_prefix(
  tensors: dict[str, np.ndarray], anchors: Sequence[str], file: str
) -> dict[str, np.ndarray]:
  """Names without what stands before an anchor, where none stands alone."""
  if any(anchor in tensors for anchor in anchors):
    return tensors
  for anchor in anchors:
    starts = prefixes.candidates(tensors, anchor)
    if starts:
      # Of several the one with the most below it, which has the network.
      known = {name.removeprefix(start) for name in tensors for start in starts}
      start, _ = prefixes.best(tensors, starts, known, file)
      short = {name.removeprefix(start): v for name, v in tensors.items()}
      return short if len(short) == len(tensors) else tensors
  return tensors


def find_naming(
  tensors: Mapping[str, np.ndarray],
  namings: Sequence[Naming],
  file: str,
) -> Naming:
  """The naming that a file follows.

  Args:
    tensors: of the file.
    namings: those that are known for the network.
    file: for the message.

  Returns:
    The one whose marker is in the file.

  Raises:
    UserError: there is none.
  """
  for naming in namings:
    if naming.marker in tensors:
      return naming
  known = ' or '.join(f'{n.marker} ({n.source})' for n in namings)
  raise UserError(
    f'{file} is of another network: it has no tensor {known}; it has '
    f'{prefixes.examples(sorted(tensors))}.'
  )


def convert(
  tensors: Mapping[str, np.ndarray],
  network: Network,
  naming: Naming,
  file: str,
  image_size: tuple[int, int] = (64, 64),
) -> dict[str, Any]:
  """Makes a network's variables of a file's tensors.

  Args:
    tensors: of the file, or of several.
    network: a Flax module that takes images alone.
    naming: that the file follows.
    file: for messages.
    image_size: rows and columns that the network accepts; nothing depends
      on it otherwise.

  Returns:
    The variable collections, as nested dicts of float32 arrays.

  Raises:
    UserError: a tensor is missing or left over, has another shape than the
      network's, or a value that is not finite.
  """
  image = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
  key = jax.eval_shape(lambda: jax.random.key(0))
  shapes = flax.traverse_util.flatten_dict(
    jax.eval_shape(network.init, key, image)
  )
  sources = {path: naming.names(path[1:]) for path in shapes}
  wanted = {name for names in sources.values() for name in names}
  _compare(wanted, set(tensors), naming, file)
  variables = {}
  for path, shape in shapes.items():
    value = _joined(tensors, sources[path], file)
    axes = _AXES.get((path[-1], value.ndim))
    value = value.transpose(axes) if axes else value
    # No empty nodes without `keep_empty_nodes`.
    # pyrefly: ignore[missing-attribute]
    expected = shape.shape
    if value.shape != expected:
      raise UserError(
        f'{file} is of another network: {sources[path][0]} makes '
        f'{"/".join(path)} of shape {value.shape} where the network has '
        f'{expected}; check that it is of this size and variant.'
      )
    if not np.isfinite(value).all():
      raise UserError(
        f'{file} is damaged: {sources[path][0]} holds values that are not '
        'finite numbers.'
      )
    variables[path] = np.ascontiguousarray(value)
  return flax.traverse_util.unflatten_dict(variables)


def _compare(
  wanted: set[str], found: set[str], naming: Naming, file: str
) -> None:
  missing = sorted(wanted - found)
  extra = sorted(
    name
    for name in found - wanted
    if not any(re.fullmatch(p, name) for p in naming.unused)
  )
  if missing or extra:
    other = families.other_depth(sorted(found), sorted(wanted))
    also = f', and {other}' if other else ''
    raise UserError(
      f'{file} does not hold this network as {naming.source} names it: '
      f'{len(missing)} tensors are missing {missing[:3]}, {len(extra)} are '
      f'unknown {extra[:3]}{also}; check that it is of this size and variant.'
    )


def _joined(
  tensors: Mapping[str, np.ndarray], names: Sequence[str], file: str
) -> np.ndarray:
  for name in names:
    dtype = tensors[name].dtype
    if dtype.kind != 'f' and dtype != ml_dtypes.bfloat16:
      raise UserError(
        f'{quoted(name, 80)} of {file} has type {dtype}, but weights are '
        'floating point numbers; give the unquantised network.'
      )
  with np.errstate(over='ignore'):
    parts = [np.asarray(tensors[name], np.float32) for name in names]
  if len(parts) == 1:
    return parts[0]
  if len({part.shape for part in parts}) > 1:
    return np.zeros(0, np.float32)  # No variable's shape: reported as such.
  return np.concatenate(parts)
