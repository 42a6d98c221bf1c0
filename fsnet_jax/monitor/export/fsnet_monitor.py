"""Runs an exported monitor: needs numpy and onnxruntime, and nothing else.

  from fsnet_monitor import Monitor

  monitor = Monitor('monitor.onnx')
  result = monitor(images)  # uint8 [b h w 3], RGB
  result.labels, result.failure, result.flagged, result.image_risk

Written by --mode=export beside the ONNX file; copy both wherever you like.
"""

import json
import sys
from typing import NamedTuple

import numpy as np
import onnxruntime

# A monitor without a calibration flags what is more likely wrong than right.
UNCALIBRATED = 0.5
_MOST_CARD = 2**20


class Result(NamedTuple):
  """What a monitor says of a batch of images.

  labels: uint8 [b h w], class index of each pixel.
  failure: float32 [b h w], P(wrong): that the class is not the true one.
  flagged: bool [b h w], where `failure` exceeds the threshold.
  image_risk: float32 [b], mean of `failure`: the expected share of wrong
    pixels.
  """

  labels: np.ndarray
  failure: np.ndarray
  flagged: np.ndarray
  image_risk: np.ndarray


class Monitor:
  """A segmentation network and the network that says where it is wrong.

  classes: names, in the order of the class indices.
  colors: (red, green, blue) of each class.
  threshold: P(wrong) above which a pixel is flagged.
  is_calibrated: whether a risk was bounded for it.
  statement: what is guaranteed for pixels that pass; '' for nothing.
  size: (height, width) that images must have; None where any will do.
  """

  def __init__(self, path, threads=0, providers=('CPUExecutionProvider',)):
    """Loads a file.

    Args:
      path: of the ONNX file.
      threads: that one image is spread over; 0 = all of the machine.
      providers: of onnxruntime, the preferred one first.

    Raises:
      ValueError: it is no exported monitor.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    self._session = onnxruntime.InferenceSession(
      str(path), options, providers=list(providers)
    )
    card = self._session.get_modelmeta().custom_metadata_map
    try:
      text = card['fsnet.classes']
      if len(text) > _MOST_CARD:
        raise ValueError
      classes = json.loads(text)['classes']
      self.classes = tuple(str(one['name']) for one in classes)
      self.colors = tuple(tuple(map(int, one['color'])) for one in classes)
      own = card.get('fsnet.threshold', '')
      self.threshold = float(own) if own else UNCALIBRATED
      if not 0 <= self.threshold <= 1:
        raise ValueError
      (images,) = self._session.get_inputs()
      self._batch, *sides = images.shape[:3]
    except (KeyError, TypeError, ValueError, RecursionError):
      raise ValueError(f'{path} is no exported monitor') from None
    self.is_calibrated = bool(own)
    self.statement = card.get('fsnet.statement', '')
    fixed = all(isinstance(side, int) for side in sides)
    self.size = tuple(sides) if fixed else None

  def __call__(self, images):
    """Looks at a batch of images; returns a Result.

    Args:
      images: uint8 [b h w 3], RGB, or one image [h w 3].

    Raises:
      ValueError: they are of another type or size.
    """
    images = np.asarray(images)
    images = images[None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
      raise ValueError(
        f'images are {images.dtype} {images.shape}, not uint8 [b h w 3]'
      )
    if self.size and images.shape[1:3] != self.size:
      raise ValueError(
        f'images are {images.shape[1]}x{images.shape[2]}, and this file takes '
        f'{self.size[0]}x{self.size[1]} (height x width)'
      )
    step = self._batch if isinstance(self._batch, int) else len(images)
    parts = [
      self._run(images[at : at + step], step)
      for at in range(0, len(images), step)
    ]
    labels, failure, flagged = map(np.concatenate, zip(*parts))
    risk = failure.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    return Result(labels, failure, flagged, risk)

  def _run(self, images, batch):
    """Outputs of at most as many images as the file takes at once."""
    count = len(images)
    images = np.concatenate([images, images[:1].repeat(batch - count, 0)])
    names = ['labels', 'failure', 'flagged']
    found = self._session.run(names, {'images': images})
    return [one[:count] for one in found]

  def colored(self, labels):
    """Colours uint8 [... 3] of class indices."""
    return np.array(self.colors, np.uint8)[labels]


def main(path, picture):
  """Says of one picture how much of it is doubtful; needs Pillow."""
  from PIL import Image

  monitor = Monitor(path)
  image = Image.open(picture, formats=('PNG', 'JPEG')).convert('RGB')
  if monitor.size:
    image = image.resize(monitor.size[::-1], Image.Resampling.BICUBIC)
  result = monitor(np.asarray(image))
  print(monitor.statement or 'not calibrated')
  print(
    f'{picture}: {100 * result.image_risk[0]:.1f} % of the pixels are expected '
    f'to be wrong, {100 * result.flagged.mean():.1f} % are flagged'
  )


if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit(f'usage: python {sys.argv[0]} monitor.onnx image.png')
  main(*sys.argv[1:])
