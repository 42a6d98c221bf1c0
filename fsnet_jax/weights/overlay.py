"""Stored weights put in the place of a network's own, checked on the way."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common_lib.errors import UserError
from fsnet_jax.weights.names import ARCHITECTURES
from fsnet_jax.weights.prefixes import examples

Tree = dict[str, Any]

_STEM = ('params', 'conv1', 'kernel')


class Source(NamedTuple):
  """A folder of converted weights that the config names.

  Attributes:
    field: of `config.init`.
    folder: what the field names.
    arch: what the folder must hold.
    width: field of the config with the network's width, and its value.
    network: 'segmentation' or 'failure'.
    part: the backbone's name in that network; '' for several or all of it.
  """

  field: str
  folder: Path
  arch: str
  width: tuple[str, float]
  network: str
  part: str = ''

  @property
  def flag(self) -> str:
    """As the config has it, for messages."""
    return f'config.init.{self.field}={self.folder}'

  def roots(self, params: Tree) -> list[tuple[str, ...]]:
    """Where the weights go, below 'params' and 'batch_stats'."""
    if self.network == 'failure':
      names = [n for n in sorted(params['failure']) if n.startswith('encoder')]
      return [('failure', name) for name in names]
    return [tuple(filter(None, (self.network, self.part)))]


def overlay(
  variables: Tree, stored: Tree, source: Source, root: tuple[str, ...]
) -> Tree:
  """Variables with the stored arrays in their place.

  Args:
    variables: of the networks, or arrays of their shapes; not changed.
    stored: collections of one network, or of a part of one.
    source: what the config names.
    root: where the part is below each collection.

  Raises:
    UserError: the network has no place for an array, or one of another shape.
  """
  result = dict(variables)
  for collection, tree in stored.items():
    result[collection] = _replace(
      result[collection], root, tree, source, (collection,)
    )
  return result


def _replace(
  target: Tree,
  root: tuple[str, ...],
  stored: Tree,
  source: Source,
  path: tuple[str, ...],
) -> Tree:
  """A copy of nested dicts in which `stored` replaces leaves below `root`."""
  result = dict(target)
  if root:
    inner = result.get(root[0], {})
    result[root[0]] = _replace(inner, root[1:], stored, source, path)
    return result
  for name, value in stored.items():
    where = (*path, name)
    inner = result.get(name)
    if inner is None or isinstance(value, dict) != isinstance(inner, dict):
      raise UserError(
        f'{source.flag} holds {"/".join(where)}, which the network has not: '
        'check the fields of config.segmentation.'
      )
    if isinstance(value, dict):
      result[name] = _replace(inner, (), value, source, where)
    elif source.field == 'failure_encoder' and where == _STEM:
      result[name] = _stem(value, inner, source)
    else:
      _check_shape(value, inner, source, where)
      result[name] = value
  return result


def _check_shape(stored: Any, target: Any, source: Source, where: Any) -> None:
  if stored.shape != target.shape:
    raise UserError(
      f'{source.flag}: {"/".join(where)} has shape {stored.shape} where the '
      f'network has {target.shape}; the number of classes, head_width or '
      'width differs.'
    )


def _stem(stored: Any, fresh: Any, source: Source) -> Any:
  """The first kernel of an RGB network for another number of channels.

  As SynthCP has it: the first three channels get the kernels of red, green
  and blue, whatever they show, and the rest keep their initial values. With
  fewer than three channels, which SynthCP does not meet, each gets the mean
  of the three, times 3 / n, so that a constant input gives the same.
  """
  height, width, count, outputs = fresh.shape
  colours = np.broadcast_to(np.float32(0), (height, width, 3, outputs))
  _check_shape(stored, colours, source, _STEM)
  if count < 3:
    mean = stored.mean(2, keepdims=True) * np.float32(3 / count)
    return np.repeat(mean, count, 2)
  return np.concatenate([stored, np.asarray(fresh)[:, :, 3:]], 2)


def check_whole(
  variables: Tree, stored: Tree, source: Source, root: tuple[str, ...]
) -> None:
  """Raises UserError where a network has layers that the weights lack.

  Args:
    variables: of the networks, or arrays of their shapes.
    stored: as for `overlay`, which it fits.
    source: what the config names.
    root: as for `overlay`. Heads, which a backbone lacks, are no layers of
      it.
  """
  heads = ARCHITECTURES[source.arch].heads
  missing = []
  for collection, tree in variables.items():
    for name in root:
      tree = tree.get(name, {})
    layers = {name: value for name, value in tree.items() if name not in heads}
    missing += _lacking(stored.get(collection, {}), layers, (collection,))
  if missing:
    raise UserError(
      f'{source.flag} lacks {len(missing)} arrays that the network has '
      f'({examples(missing)}): it would begin with half of the weights; check '
      'the fields of config.segmentation.'
    )


def _lacking(stored: Tree, wanted: Tree, path: tuple[str, ...]) -> list[str]:
  """Paths of the leaves of `wanted` that `stored` has not."""
  missing = []
  for name, value in wanted.items():
    where = (*path, name)
    if isinstance(value, dict):
      missing += _lacking(stored.get(name, {}), value, where)
    elif name not in stored:
      missing.append('/'.join(where))
  return missing
