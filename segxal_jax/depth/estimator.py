"""What all providers that run a network share."""

import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.models.network import output_of
from fsnet_jax.models.sizes import grid_of
from segxal_jax.depth.networks import convert, namings
from segxal_jax.depth.networks.preprocessing import Preprocessing

# Part of every fingerprint: raise it when maps of the same file change.
_VERSION = 1

# [b h w] of a network and the image's size to [b h w] at that size.
Finish = Callable[[Array, tuple[int, int]], Array]


class NetworkDepth:
  """A depth provider that runs a network; see `segxal_jax.depth`.

  It holds its parameters on the default device, once; maps of one image
  after another, or of whole batches by `estimate`.
  """

  needs_dataset_depth = False

  def __init__(
    self,
    *,
    name: str,
    title: str,
    inverse: bool,
    fingerprint: str,
    network: nn.Module,
    variables: Mapping[str, Any],
    preprocessing: Preprocessing,
    finish: Finish,
  ):
    """Makes a provider.

    Args:
      name: key of `segxal_jax.depth.PROVIDERS`.
      title: how reports call it.
      inverse: whether larger values are nearer.
      fingerprint: everything that the maps depend on beside the image.
      network: prepared images to [b h w].
      variables: of the network.
      preprocessing: of the images.
      finish: what follows the network, up to the image's size.
    """
    self.name, self.title, self.inverse = name, title, inverse
    self.fingerprint = fingerprint
    self._network = network
    self._variables = jax.device_put(dict(variables))
    self._preprocessing = preprocessing
    self._finish = finish
    self._run = jax.jit(self._estimate)

  def __call__(self, scene: Mapping[str, Any]) -> np.ndarray:
    """Depth of one scene, float32 [h w]; see `DepthProvider`."""
    return np.asarray(self.estimate(scene['image'][None])[0])

  def estimate(self, images: np.ndarray | Array) -> Float[Array, 'b h w']:
    """Depth, or inverse depth, of a batch.

    Args:
      images: [b h w 3] RGB, 0..255, of any type.

    Returns:
      [b h w] float32 at the images' size.
    """
    return self._run(self._variables, jnp.asarray(images, jnp.float32))

  def _estimate(
    self, variables: Mapping[str, Any], images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h w']:
    prepared = self._preprocessing(images)
    output = output_of(self._network, variables, prepared)
    return self._finish(output, grid_of(images))


def weight_files(options: ConfigDict) -> list[str]:
  """The files that `config.depth.weights` names.

  Args:
    options: `config.depth`; `weights` is a path, several with commas between
      them, or a sequence of paths.

  Returns:
    At least one path.

  Raises:
    UserError: there is none.
  """
  paths = options.get('weights') or ''
  if isinstance(paths, str):
    paths = [path.strip() for path in paths.split(',')]
  paths = [str(path) for path in paths if path]
  if not paths:
    raise UserError(
      f'config.depth.provider is {options.provider!r}, which needs a file of '
      'its network: give its path as config.depth.weights.'
    )
  return paths


def side_of(
  options: ConfigDict, default: int | None, multiple: int
) -> int | None:
  """`config.depth.side`, or the network's own where that is 0 or not set.

  Raises:
    UserError: it is less than the network's patch or stride.
  """
  side = options.get('side', 0)
  if not side:
    return default
  if side < multiple:
    raise UserError(
      f'config.depth.side is {side}: give at least {multiple} pixels, or 0 '
      "for the network's own."
    )
  return side


def stamps(paths: Sequence[str]) -> tuple[tuple[int, int] | None, ...]:
  """Length and time of change of files, None where there is none.

  Part of the key under which providers keep what they loaded: a run asks for
  its provider more than once, and its file may have a gigabyte.
  """
  found = [pathlib.Path(path) for path in paths]
  stats = [path.stat() if os.path.isfile(path) else None for path in found]
  return tuple(None if s is None else (s.st_size, s.st_mtime_ns) for s in stats)


def fingerprint(paths: Sequence[str], *settings: Any) -> str:
  """A digest of files and settings.

  Args:
    paths: files; what they hold counts, not their names.
    *settings: whatever else the maps depend on; their `repr` counts.

  Returns:
    A hexadecimal number.
  """
  digest = hashlib.sha256(repr((_VERSION, settings)).encode())
  for path in paths:
    with pathlib.Path(path).open('rb') as file:
      digest.update(hashlib.file_digest(file, 'sha256').digest())
  return digest.hexdigest()


def load(
  paths: Sequence[str],
  choose: Callable[
    [Mapping[str, np.ndarray], str], tuple[nn.Module, convert.Naming]
  ],
) -> tuple[nn.Module, dict[str, Any]]:
  """Reads files and makes the network that they hold.

  Args:
    paths: files that together hold one network.
    choose: from the files' tensors, and their names for messages, the
      network and the naming that they follow.

  Returns:
    The network and its variables.

  Raises:
    UserError: the files do not hold all of the network, or more than it.
  """
  tensors = convert.read_files(paths, namings.ANCHORS)
  file = ' and '.join(paths)
  network, naming = choose(tensors, file)
  size = (224, 224)  # A multiple of 14 and of 32.
  return network, convert.convert(tensors, network, naming, file, size)


def encoder_of(
  tensors: Mapping[str, np.ndarray],
  naming: convert.Naming,
  widths: Mapping[int, str],
  file: str,
) -> str:
  """Which size of a transformer a file holds, by the width of its tokens.

  Args:
    tensors: of the file.
    naming: that the file follows.
    widths: channels to the size's name.
    file: for the message.

  Returns:
    A value of `widths`.

  Raises:
    UserError: there is no transformer, or none of these sizes.
  """
  name = naming.names(('backbone', 'cls_token'))[0]
  if name not in tensors:
    raise UserError(
      f'{file} lacks {name}, the backbone; where backbone and head are in '
      'two files, give both in config.depth.weights with a comma between.'
    )
  width = tensors[name].shape[-1]
  if width not in widths:
    raise UserError(
      f'{file} holds a transformer of {width} channels; it should be one of '
      f'{sorted(widths)}.'
    )
  return widths[width]
