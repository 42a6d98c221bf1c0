"""FSNet: a segmentation network S and its failure-detection network F."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import initializers
from fsnet_jax.models.network import Network
from fsnet_jax.models.segmentation.protocol import (
  SegmentationNetwork,
  SegmentationOutput,
)

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FSNet:
  """S and F, with pure functions to initialise and run each.

  Parameters and batch statistics are dicts with the keys 'segmentation' and
  'failure'; the batch statistics of a network without batch norm are an
  empty dict.

  Attributes:
    segmentation: S.
    failure: F; called with (images, logits, features, train).
  """

  segmentation: SegmentationNetwork
  failure: Network

  def init(self, seed: int, image_size: tuple[int, int]) -> tuple[Tree, Tree]:
    """Initialises both networks on the host.

    Args:
      seed: a non-negative integer.
      image_size: (height, width) in pixels.

    Returns:
      Parameters and batch statistics, as NumPy arrays.

    Raises:
      UserError: S cannot work at this size.
    """
    self.segmentation.check_image_size(image_size)
    images = _images(image_size)
    output, _ = initializers.host_shapes(self.segmentation, images)
    return _by_network(
      initializers.host_init(self.segmentation, seed, images),
      initializers.host_init(
        self.failure, seed, images, output.logits, output.features
      ),
    )

  def shapes(self, image_size: tuple[int, int]) -> tuple[Tree, Tree]:
    """What `init` returns, a `ShapeDtypeStruct` in the place of each array.

    Args:
      image_size: (height, width) in pixels.

    Raises:
      UserError: S cannot work at this size.
    """
    self.segmentation.check_image_size(image_size)
    images = _images(image_size)
    output, s = initializers.host_shapes(self.segmentation, images)
    _, f = initializers.host_shapes(
      self.failure, images, output.logits, output.features
    )
    return _by_network(s, f)

  def segment(
    self,
    params: Tree,
    batch_stats: Tree,
    images: Float[Array, 'b h w 3'],
    train: bool = False,
    dropout_key: Any = None,
  ) -> tuple[SegmentationOutput, Tree]:
    """Runs S.

    Args:
      params: of both networks.
      batch_stats: of both networks.
      images: [b h w 3] RGB, float32, 0..255.
      train: whether dropout is on and batch statistics are of the batch.
      dropout_key: PRNG key; needed only if `train` and S has dropout.

    Returns:
      S's output, and the batch statistics with S's updated if `train`.
    """
    rngs = None if dropout_key is None else {'dropout': dropout_key}
    return _run(
      self.segmentation,
      'segmentation',
      params,
      batch_stats,
      (images,),
      train,
      rngs,
    )

  def detect(
    self,
    params: Tree,
    batch_stats: Tree,
    images: Float[Array, 'b h w 3'],
    seg_output: SegmentationOutput,
    train: bool = False,
    stop_gradient_to_segmentation: bool = False,
  ) -> tuple[Float[Array, 'b h w'], Tree]:
    """Runs F on what S said.

    Args:
      params: of both networks.
      batch_stats: of both networks.
      images: [b h w 3] RGB, float32, 0..255.
      seg_output: of `segment` for the same images.
      train: whether batch statistics are of the batch.
      stop_gradient_to_segmentation: whether F's loss leaves S alone; else
        its gradient flows into S through w1, w2, w3 and S_E(x).

    Returns:
      [b h w] float32 failure logits, higher = more likely wrong, and the
      batch statistics with F's updated if `train`.
    """
    if stop_gradient_to_segmentation:
      seg_output = jax.lax.stop_gradient(seg_output)
    arguments = (images, seg_output.logits, seg_output.features)
    return _run(
      self.failure, 'failure', params, batch_stats, arguments, train, None
    )


def _images(image_size: tuple[int, int]) -> jax.ShapeDtypeStruct:
  """One image, as networks are initialised by it."""
  return jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)


def _by_network(s: Tree, f: Tree) -> tuple[Tree, Tree]:
  """Parameters and batch statistics out of both networks' variables."""
  return (
    {'segmentation': s['params'], 'failure': f['params']},
    {
      'segmentation': s.get('batch_stats', {}),
      'failure': f.get('batch_stats', {}),
    },
  )


def _run(
  module: Network,
  name: str,
  params: Tree,
  batch_stats: Tree,
  arguments: tuple[Any, ...],
  train: bool,
  rngs: dict[str, Any] | None,
) -> tuple[Any, Tree]:
  """Applies one network; its batch statistics replace the old ones."""
  variables = {'params': params[name], 'batch_stats': batch_stats[name]}
  if not train:
    return module.apply(variables, *arguments, train=False), batch_stats
  output, updated = module.apply(
    variables, *arguments, train=True, rngs=rngs, mutable=['batch_stats']
  )
  new = updated.get('batch_stats', {})
  return output, {**batch_stats, name: new}
