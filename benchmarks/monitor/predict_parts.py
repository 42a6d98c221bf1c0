"""Where `--mode=predict` spends its time: each part of it, for one image.

    python -m benchmarks.monitor.predict_parts --workdir=runs/fsnet_fcn8 \
        --times=4

Draws streets at the network's size, or so many times its height and width, and
prints the processor time of each part, milliseconds an image. The networks look
at a whole batch, with the resizing of images to them and of maps back.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

import street_scenes
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.predict import inputs, pictures, rows

_REPEATS = 5
_SEGMENT_SHARE = 0.0005


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--times', type=int, default=1)
  return parser.parse_args()


def _milliseconds(part: Callable[[int], object], count: int) -> float:
  """Processor time of a part, an image; the first round is not counted."""
  for index in range(count):
    part(index)
  started = time.process_time()
  for _ in range(_REPEATS):
    for index in range(count):
      part(index)
  return 1e3 * (time.process_time() - started) / (_REPEATS * count)


def _parts(
  monitor: Monitor, images: np.ndarray, folder: pathlib.Path
) -> dict[str, Callable[[int], object]]:
  """What is done of each image, by what the table calls it."""
  result = monitor(images)
  own = [result.of_image(index) for index in range(len(images))]
  files = [folder / f'{index}.png' for index in range(len(images))]
  for file, image in zip(files, images):
    Image.fromarray(image).save(file)
  item = inputs.Item('x.png', 'x', '')
  classes = monitor.classes
  drawn = [
    pictures.overlay(image, one.labels[0], one.flagged[0], classes)
    for image, one in zip(images, own)
  ]
  contents = [pictures.failure_png(one.failure[0]) for one in own]
  return {
    'decode the PNG': lambda i: inputs.read_image(files[i]),
    'numbers and regions': lambda i: rows.of_image(
      item, images[i : i + 1], own[i], classes, _SEGMENT_SHARE, None
    ),
    'label map': lambda i: pictures.labels_png(own[i].labels[0]),
    'P(wrong), PNG of 16 bits': lambda i: pictures.failure_png(
      own[i].failure[0]
    ),
    'overlay': lambda i: pictures.overlay(
      images[i], own[i].labels[0], own[i].flagged[0], classes
    ),
    "overlay's JPEG": lambda i: pictures.overlay_jpeg(drawn[i]),
    "gallery's small picture": lambda i: pictures.small_jpeg(
      images[i], own[i].labels[0], own[i].failure[0], drawn[i], classes
    ),
    'the largest file, written': lambda i: (folder / 'x').write_bytes(
      contents[i]
    ),
  }


def main() -> None:
  """Prints a line a part."""
  options = _arguments()
  monitor = Monitor.load(options.workdir)
  path = pathlib.Path(options.workdir) / 'config.json'
  config = json.loads(path.read_text())
  count = config['eval']['batch_size']
  size = tuple(options.times * side for side in config['image_size'])
  images = np.stack(
    [street_scenes.draw('day', 'test', i, size).image for i in range(count)]
  )
  networks = _milliseconds(lambda _: monitor(images), 1) / count
  print(f'{size[0]}x{size[1]}, batches of {count}; ms an image')
  print(f'{"networks, and resizing":28s} {networks:6.2f}')
  with tempfile.TemporaryDirectory() as temporary:
    parts = _parts(monitor, images, pathlib.Path(temporary))
    for name, part in parts.items():
      print(f'{name:28s} {_milliseconds(part, count):6.2f}')


if __name__ == '__main__':
  main()
