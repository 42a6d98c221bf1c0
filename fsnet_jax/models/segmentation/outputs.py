"""What S says of a batch: it is run, or the batch brings what it has said.

A network of this package is part of the compiled program. One from elsewhere
runs before it (`input_pipeline.external`), and a batch has its outputs: logits
[b h w c], those of the mirrored images, features [b fh fw k], and of an
ensemble what `learned_detectors.ensemble` says, [b h w 2], all float32.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.network import Network
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from input_pipeline.external.protocol import (
  ENSEMBLE,
  FEATURES,
  FLIP_LOGITS,
  LOGITS,
)

NAMES = (LOGITS, FLIP_LOGITS, FEATURES, ENSEMBLE)
# Pixels a cell where a network has no features: F's own last stage.
_CELL = 32

Batch = Mapping[str, Array]


def brought(batch: Mapping[str, Any]) -> dict[str, Any]:
  """Of a batch, what it brings of a network from elsewhere."""
  return {name: batch[name] for name in NAMES if name in batch}


def grid_without_features(image_size: tuple[int, int]) -> tuple[int, int]:
  """(fh, fw) of the features of no channels, at a size (h, w) of images."""
  return -(-image_size[0] // _CELL), -(-image_size[1] // _CELL)


def output_of_batch(
  network: Network, variables: Mapping[str, Any], batch: Batch
) -> SegmentationOutput:
  """S in evaluation mode.

  Args:
    network: S.
    variables: of it.
    batch: with `image` uint8 [b h w 3], and `s_logits` of a network from
      elsewhere; without `s_features` it has features of no channels.
  """
  if LOGITS not in batch:
    return network.apply(variables, batch['image'].astype(jnp.float32))
  return output_brought(batch)


def output_brought(batch: Batch) -> SegmentationOutput:
  """What a batch brings of a network from elsewhere; see `output_of_batch`."""
  logits = batch[LOGITS].astype(jnp.float32)
  count, height, width, _ = logits.shape
  grid = (count, *grid_without_features((height, width)), 0)
  features = batch.get(FEATURES)
  if features is None:
    features = jnp.zeros(grid, jnp.float32)
  return SegmentationOutput(logits, features.astype(jnp.float32))


def flip_logits_of_batch(
  network: Network, variables: Mapping[str, Any], batch: Batch
) -> Float[Array, 'b h w c']:
  """Logits of the mirrored images, mirrored back.

  Args:
    network: S.
    variables: of it.
    batch: as `output_of_batch` takes it, with `s_flip_logits`.
  """
  if FLIP_LOGITS in batch:
    return batch[FLIP_LOGITS].astype(jnp.float32)
  mirrored = batch['image'].astype(jnp.float32)[:, :, ::-1]
  return network.apply(variables, mirrored).logits[:, :, ::-1]
