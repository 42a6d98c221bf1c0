"""Depth providers: one protocol, one table.

A provider turns a scene into a map that says how far things are. It is named
in `config.depth.provider`; a new one is a module with

  create(options: ml_collections.ConfigDict) -> DepthProvider

and a line in `PROVIDERS`. `options` is `config.depth`.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from common_lib.errors import UserError


@runtime_checkable
class DepthProvider(Protocol):
  """What tells how far things are.

  Attributes:
    name: key in `PROVIDERS`.
    title: how reports call it.
    inverse: whether larger values are nearer (relative inverse depth, as
      MiDaS gives it) instead of metres. Mixing the two up would call the sky
      the nearest thing.
    needs_dataset_depth: whether scenes must carry the data set's own depth.
    fingerprint: everything that its maps depend on beside the image; cached
      maps of another fingerprint are not used. '' = too cheap to cache.
  """

  name: str
  title: str
  inverse: bool
  needs_dataset_depth: bool
  fingerprint: str

  def __call__(self, scene: Mapping[str, Any]) -> Float[np.ndarray, 'h w']:
    """Depth of one scene; may be called from several threads at once.

    Args:
      scene: of `input_pipeline.datasets.Source`.

    Returns:
      Values at the image's size; NaN = unknown.
    """
    ...


PROVIDERS = {
  'ground_plane': 'segxal_jax.depth.ground_plane',
  'dataset': 'segxal_jax.depth.dataset',
  'depth_anything': 'segxal_jax.depth.depth_anything',
  'dinov2': 'segxal_jax.depth.dinov2',
  'midas': 'segxal_jax.depth.midas',
}


def create(options: ConfigDict) -> DepthProvider:
  """The provider that `config.depth` names.

  Raises:
    UserError: there is no such provider, or it cannot be used as configured.
  """
  if options.provider not in PROVIDERS:
    raise UserError(
      f'config.depth.provider is {options.provider!r}: choose one of '
      f'{", ".join(PROVIDERS)}.'
    )
  module = importlib.import_module(PROVIDERS[options.provider])
  return module.create(options)
