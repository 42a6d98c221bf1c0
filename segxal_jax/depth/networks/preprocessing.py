"""How each network wants its images."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from segxal_jax.depth.networks import resampling

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
HALF = (127.5, 127.5, 127.5)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """Resizing with OpenCV's bicubic rule, then normalisation.

  Attributes:
    side: rows and columns that the networks' authors aim at; None keeps the
      image's own size, up to rounding.
    multiple: of rows and columns, of the network's patches or strides.
    bound: the aspect ratio is kept, so only one side has the size aimed at:
      with 'lower' the other is larger, with 'upper' smaller, and with
      'minimal' it is the side whose scale is nearer to 1.
    mean: of each channel, 0..255.
    deviation: of each channel, 0..255.
  """

  side: int | None
  multiple: int
  bound: str
  mean: tuple[float, float, float]
  deviation: tuple[float, float, float]

  def size(self, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the network's input for an image's size."""
    scale = 1.0
    if self.side is not None:
      rows, columns = self.side / height, self.side / width
      nearer = columns if abs(1 - columns) < abs(1 - rows) else rows
      scale = {
        'lower': max(rows, columns),
        'upper': min(rows, columns),
        'minimal': nearer,
      }[self.bound]
    return self._rounded(scale * height), self._rounded(scale * width)

  def __call__(
    self, images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h2 w2 3']:
    """Prepares a batch.

    Args:
      images: [b h w 3] RGB, 0..255.

    Returns:
      [b h2 w2 3], normalised, of `size`.
    """
    size = self.size(images.shape[1], images.shape[2])
    images = resampling.resize(images, size, 'bicubic')
    mean, deviation = (
      np.asarray(v, np.float32) for v in (self.mean, self.deviation)
    )
    return (images - jnp.asarray(mean)) / jnp.asarray(deviation)

  def _rounded(self, length: float) -> int:
    """The nearest multiple that keeps the bound; at least one."""
    steps = round(length / self.multiple)
    if self.side is not None:
      if self.bound == 'upper' and steps * self.multiple > self.side:
        steps = int(length // self.multiple)
      if self.bound == 'lower' and steps * self.multiple < self.side:
        steps = -int(-length // self.multiple)
    return max(1, steps) * self.multiple
