"""Depth Anything V2, from its public file.

`config.depth.weights` is `depth_anything_v2_vits.pth` of the authors, or
`model.safetensors` of `Depth-Anything-V2-Small-hf`; the file tells its size.
Nothing is downloaded. The weights of the small network are under the Apache
licence; those of the larger ones are not for commercial use.

As the authors do it: an image is resized with its aspect ratio, OpenCV's
bicubic rule, so that its short side is `config.depth.side` (default 518),
both sides rounded to multiples of 14; ImageNet's mean and deviation; the
result is resized back with aligned corners. 256x512 becomes 518x1036: on a
CPU a side of 252 is eight times as fast.
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
  dinov2,
  namings,
  preprocessing,
  resampling,
)
from segxal_jax.depth.networks.depth_anything import ENCODERS, depth_anything

_WIDTHS = {dinov2.SIZES[name].width: name for name in ENCODERS}


def create(options: ConfigDict) -> estimator.NetworkDepth:
  """See `segxal_jax.depth`.

  Args:
    options: `weights`; optionally `side`, and `max_depth` for the file of a
      metric network (20 indoors, 80 outdoors: the file cannot tell), whose
      maps are metres and not relative inverse depth.

  Raises:
    UserError: there is no file, or it is of another network.
  """
  paths = tuple(estimator.weight_files(options))
  side = estimator.side_of(options, 518, 14)
  max_depth = float(options.get('max_depth') or 0) or None
  return _load(paths, estimator.stamps(paths), side, max_depth)


@functools.lru_cache(maxsize=1)
def _load(
  paths: tuple[str, ...],
  stamps: tuple,
  side: int | None,
  max_depth: float | None,
) -> estimator.NetworkDepth:
  """The provider; kept for as long as its files stay as they are."""
  del stamps

  def choose(
    tensors: Mapping[str, np.ndarray], file: str
  ) -> tuple[nn.Module, convert.Naming]:
    naming = convert.find_naming(tensors, namings.DEPTH_ANYTHING, file)
    encoder = estimator.encoder_of(tensors, naming, _WIDTHS, file)
    network = depth_anything(encoder, max_depth=max_depth, **naming.settings)
    return network, naming

  network, variables = estimator.load(paths, choose)
  return estimator.NetworkDepth(
    name='depth_anything',
    title='Depth Anything V2',
    inverse=max_depth is None,
    fingerprint=estimator.fingerprint(paths, 'depth_anything', side, max_depth),
    network=network,
    variables=variables,
    preprocessing=preprocessing.Preprocessing(
      side,
      14,
      'lower',
      preprocessing.IMAGENET_MEAN,
      preprocessing.IMAGENET_DEVIATION,
    ),
    finish=_finish,
  )


def _finish(output: Array, size: tuple[int, int]) -> Array:
  return resampling.resize(output[..., None], size, 'bilinear_aligned')[..., 0]
