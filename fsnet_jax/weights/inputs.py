"""How networks take images, and how weights move between such ways.

A network that sees (x - m) a of an RGB image x of 0..255 computes the same
as one that sees (x - m') a' with other numbers in its first layer: kernels
times a / a' and a constant per output channel. Where a layer pads its input
with zeros, the constant is that of a full window, so cells at the border
whose window reaches into the padding are off by the part of the constant
that the padding would not have had. Our means differ from ImageNet's by at
most half a grey level of 256, which is 0.009 of what such networks see.
"""

from typing import NamedTuple

import numpy as np

from fsnet_jax.models.segmentation import fcn8


class Input(NamedTuple):
  """Channels are scaled to (x - mean) * scale, x in 0..255.

  Attributes:
    mean: of red, green and blue.
    scale: of red, green and blue.
    blue_first: whether the network's own channels are blue, green, red.
  """

  mean: tuple[float, ...]
  scale: tuple[float, ...]
  blue_first: bool = False


INPUTS = {
  # RGB 0..1 less mean, over standard deviation: all of torchvision's.
  'torchvision': Input(
    tuple(255 * m for m in (0.485, 0.456, 0.406)),
    tuple(1 / (255 * s) for s in (0.229, 0.224, 0.225)),
  ),
  # FCN8 and DeepLabV2 here and in SynthCP.
  'rgb255': Input(fcn8.MEAN_RGB, (1.0, 1.0, 1.0)),
  # Caffe's VGG16, and Keras's.
  'bgr255': Input((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), True),
}


def fold(
  kernel: np.ndarray, source: Input, target: Input
) -> tuple[np.ndarray, np.ndarray]:
  """Makes a first layer see another input.

  Args:
    kernel: [h w 3 k], for `source`.
    source: what the network was trained on.
    target: what it will see.

  Returns:
    The kernel for `target`, float32 [h w 3 k], and what must be added to
    its output, float32 [k].
  """
  if source == target:
    return kernel, np.zeros(kernel.shape[-1], np.float32)
  wide = kernel.astype(np.float64)
  if source.blue_first:
    wide = wide[:, :, ::-1]
  scale, target_scale = np.array(source.scale), np.array(target.scale)
  offset = (np.array(target.mean) - np.array(source.mean)) * scale
  shift = np.einsum('hwik,i->k', wide, offset)
  wide = wide * (scale / target_scale)[:, None]
  return wide.astype(np.float32), shift.astype(np.float32)
