"""MiDaS, from its public files: relative inverse depth.

`config.depth.weights` is one of the authors' files (`midas_v21_384.pt` or
`model-f6b98070.pt`, `dpt_hybrid-midas-501f0c75.pt`,
`dpt_large-midas-2f21e586.pt`), or `model.safetensors` of `transformers`
(`dpt-large`, `dpt-hybrid-midas`). The file tells which network it holds.
Nothing is downloaded.

As the authors do it: an image is resized with its aspect ratio (bicubic)
towards `config.depth.side` (default 384), both sides rounded to multiples of
32; the DPT networks take -1..1, the convolutional one ImageNet's mean and
deviation; the result is resized back (bicubic).
"""

import functools
from collections.abc import Mapping

import flax.linen as nn
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from segxal_jax.depth import estimator
from segxal_jax.depth.networks import (
  convert,
  dpt_midas,
  midas_cnn,
  namings,
  preprocessing,
  resampling,
)

# A hybrid's file has all that marks a large one's: it is looked for first.
_NETWORKS = (
  (namings.DPT_HYBRID, dpt_midas.dpt_hybrid),
  (namings.DPT_LARGE, dpt_midas.dpt_large),
  (namings.MIDAS_CNN, midas_cnn.MidasCNN),
)


def create(options: ConfigDict) -> estimator.NetworkDepth:
  """See `segxal_jax.depth`.

  Args:
    options: `weights`; optionally `side`.

  Raises:
    UserError: there is no file, or it is of another network.
  """
  paths = tuple(estimator.weight_files(options))
  side = estimator.side_of(options, 384, 32)
  return _load(paths, estimator.stamps(paths), side)


@functools.lru_cache(maxsize=1)
def _load(
  paths: tuple[str, ...], stamps: tuple, side: int | None
) -> estimator.NetworkDepth:
  """The provider; kept for as long as its files stay as they are."""
  del stamps

  def choose(
    tensors: Mapping[str, np.ndarray], file: str
  ) -> tuple[nn.Module, convert.Naming]:
    every = [naming for table, _ in _NETWORKS for naming in table]
    naming = convert.find_naming(tensors, every, file)
    build = next(build for table, build in _NETWORKS if naming in table)
    return build(**naming.settings), naming

  network, variables = estimator.load(paths, choose)
  convolutional = isinstance(network, midas_cnn.MidasCNN)
  if convolutional:
    bound, mean, deviation = (
      'upper',
      preprocessing.IMAGENET_MEAN,
      preprocessing.IMAGENET_DEVIATION,
    )
  else:
    bound, mean, deviation = 'minimal', preprocessing.HALF, preprocessing.HALF
  return estimator.NetworkDepth(
    name='midas',
    title=_title(network),
    inverse=True,
    fingerprint=estimator.fingerprint(paths, 'midas', side),
    network=network,
    variables=variables,
    preprocessing=preprocessing.Preprocessing(side, 32, bound, mean, deviation),
    finish=_finish,
  )


def _title(network: nn.Module) -> str:
  if isinstance(network, midas_cnn.MidasCNN):
    return 'MiDaS v2.1'
  hybrid = isinstance(network.backbone, dpt_midas.HybridBackbone)
  return f'MiDaS DPT-{"Hybrid" if hybrid else "Large"}'


def _finish(output: Array, size: tuple[int, int]) -> Array:
  return resampling.resize(output[..., None], size, 'bicubic')[..., 0]
