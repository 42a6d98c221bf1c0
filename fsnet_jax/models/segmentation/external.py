"""A segmentation network from elsewhere, as the compiled programs see it.

It runs before them, on the host (`input_pipeline.external`), and its outputs
come with the batch. What stands here in its place has no weights, only a mark
of which network it is, so that checkpoints, fits and stored metrics of one are
never taken for those of another.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import initializers
from fsnet_jax.models.segmentation.protocol import SegmentationOutput


class ExternalSegmentation(nn.Module):
  """Says the shapes of what the network gives.

  Attributes:
    num_classes: of its logits.
    fingerprint: of the network, 64 hexadecimal digits.
    feature_size: (fh, fw) of its inner features, at the size of the run's
      images.
    feature_channels: k of them; 0 for none.
  """

  num_classes: int
  fingerprint: str
  feature_size: tuple[int, int]
  feature_channels: int = 0

  @nn.compact
  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Outputs of the right shapes; not a number, should anybody use them."""
    del train
    values = [float(byte) for byte in bytes.fromhex(self.fingerprint)]
    self.param('sha256', initializers.given(values), (len(values),))
    count = images.shape[0]
    features = (count, *self.feature_size, self.feature_channels)
    return SegmentationOutput(
      jnp.full((*images.shape[:3], self.num_classes), jnp.nan),
      jnp.full(features, jnp.nan),
    )

  @nn.nowrap
  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Nothing: whoever opens the network finds out."""

  @nn.nowrap
  def is_frozen(self, path: Sequence[str]) -> bool:
    """Whether a parameter never changes: none does."""
    del path
    return True


def is_external(network: Any) -> bool:
  """Whether a network runs elsewhere, so that batches bring its outputs."""
  return isinstance(network, ExternalSegmentation)
