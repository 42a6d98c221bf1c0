"""DINOv2's depth heads, from their public files: metres.

`config.depth.weights` is either `model.safetensors` of `transformers`
(`dpt-dinov2-small-kitti` and the like), or two files of the authors with a
comma between them: the backbone (`dinov2_vits14_pretrain.pth`) and a head
(`dinov2_vits14_kitti_dpt_head.pth`, `..._linear_head.pth`,
`..._linear4_head.pth`). The files tell size and kind of head. Nothing is
downloaded. Heads trained on KITTI suit streets; `config.depth.max_depth` is
80 for them (the default) and 10 for those trained on NYU.

The authors pad an image with zeros to multiples of 14. Here it is resized
(bicubic): both sides are rounded to multiples of 14, at the image's own size
or with the short side `config.depth.side`. No pixel of the border is made
up so, and the map fits the image. Normalisation is ImageNet's.
"""

import functools
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from common_lib.errors import UserError
from segxal_jax.depth import estimator
from segxal_jax.depth.networks import (
  convert,
  dinov2,
  namings,
  preprocessing,
  resampling,
)

_WIDTHS = {size.width: name for name, size in dinov2.SIZES.items()}
_MIN_DEPTH = 0.001


def create(options: ConfigDict) -> estimator.NetworkDepth:
  """See `segxal_jax.depth`.

  Args:
    options: `weights`; optionally `max_depth` in metres, and `side`.

  Raises:
    UserError: there is no file, or it is of another network.
  """
  paths = tuple(estimator.weight_files(options))
  side = estimator.side_of(options, None, 14)
  max_depth = float(options.get('max_depth') or 80.0)
  return _load(paths, estimator.stamps(paths), side, max_depth)


@functools.lru_cache(maxsize=1)
def _load(
  paths: tuple[str, ...], stamps: tuple, side: int | None, max_depth: float
) -> estimator.NetworkDepth:
  """The provider; kept for as long as its files stay as they are."""
  del stamps

  def choose(
    tensors: Mapping[str, np.ndarray], file: str
  ) -> tuple[nn.Module, convert.Naming]:
    tables = (*namings.DINOV2_DPT, *namings.DINOV2_LINEAR)
    naming = convert.find_naming(tensors, tables, file)
    encoder = estimator.encoder_of(tensors, naming, _WIDTHS, file)
    if naming in namings.DINOV2_DPT:
      return dinov2.dinov2_dpt(encoder, **naming.settings), naming
    network = dinov2.dinov2_linear(
      encoder,
      layers=_layers(tensors, dinov2.SIZES[encoder].width, file),
      min_depth=_MIN_DEPTH,
      max_depth=max_depth,
      **naming.settings,
    )
    return network, naming

  network, variables = estimator.load(paths, choose)
  # The DPT head's own output begins at zero.
  linear = 'conv_depth' in variables['params']['head']
  offset = 0.0 if linear else _MIN_DEPTH
  return estimator.NetworkDepth(
    name='dinov2',
    title=f'DINOv2 with its {"linear" if linear else "DPT"} depth head',
    inverse=False,
    fingerprint=estimator.fingerprint(paths, 'dinov2', side, max_depth),
    network=network,
    variables=variables,
    preprocessing=preprocessing.Preprocessing(
      side,
      14,
      'lower',
      preprocessing.IMAGENET_MEAN,
      preprocessing.IMAGENET_DEVIATION,
    ),
    finish=_finish(offset, max_depth),
  )


def _layers(tensors: Mapping[str, np.ndarray], width: int, file: str) -> int:
  """Of how many blocks a linear head reads patches and class token."""
  channels = tensors['decode_head.conv_depth.weight'].shape[1]
  layers = {2 * width: 1, 8 * width: 4}.get(channels)
  if layers is None:
    raise UserError(
      f'{file} does not fit together: the head reads {channels} channels, '
      f'but the backbone has {width}; give a head of the same size.'
    )
  return layers


def _finish(
  offset: float, max_depth: float
) -> Callable[[Array, tuple[int, int]], Array]:
  def finish(output: Array, size: tuple[int, int]) -> Array:
    metres = jnp.clip(output + offset, _MIN_DEPTH, max_depth)
    return resampling.resize(metres[..., None], size, 'bilinear')[..., 0]

  return finish
