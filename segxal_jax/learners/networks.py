"""The networks of a training: S alone, or S with FSNet's failure network."""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from fsnet_jax.builders import networks as network_builders
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


def model(config: ConfigDict) -> FSNet:
  """S, and F if it is trained.

  Raises:
    UserError: S cannot work at `config.image_size`.
  """
  networks = network_builders.model(config)
  if config.phase2_steps:
    return networks
  return SegmentationOnly(**{
    field.name: getattr(networks, field.name)
    for field in dataclasses.fields(networks)
  })  # fmt: skip
