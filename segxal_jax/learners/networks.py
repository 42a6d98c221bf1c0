"""The networks of a training: S alone, or S with FSNet's failure network."""

import dataclasses

import jax
import jax.numpy as jnp

from fsnet_jax.models.fsnet import FSNet, Tree
from fsnet_jax.models.layers import initializers


class SegmentationOnly(FSNet):
  """S without a failure network, in the form that the training step takes."""

  def init(self, seed: int, image_size: tuple[int, int]) -> tuple[Tree, Tree]:
    """As `FSNet.init`, with nothing under 'failure'."""
    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    s = initializers.host_init(self.segmentation, seed, images)
    return (
      {'segmentation': s['params'], 'failure': {}},
      {'segmentation': s.get('batch_stats', {}), 'failure': {}},
    )

  def shapes(self, image_size: tuple[int, int]) -> tuple[Tree, Tree]:
    """As `FSNet.shapes`, with nothing under 'failure'."""
    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    _, s = initializers.host_shapes(self.segmentation, images)
    return (
      {'segmentation': s['params'], 'failure': {}},
      {'segmentation': s.get('batch_stats', {}), 'failure': {}},
    )


def for_training(networks: FSNet, with_failure: bool) -> FSNet:
  """S, and F if it is trained."""
  if with_failure:
    return networks
  return SegmentationOnly(**{
    field.name: getattr(networks, field.name)
    for field in dataclasses.fields(networks)
  })  # fmt: skip
