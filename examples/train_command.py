"""A training command of a user's own, for active learning with `command`.

    python main.py --config=configs/segxal_own.py:folder \
        --config.data.root=data \
        --config.learner.command='python -m examples.train_command \
            --pool={pool} --model={model} --cycle={cycle}'

Each cycle is given `pool`, a folder with what is labelled so far, and writes
`model`, an ONNX file with `model.json` beside it. Whatever reads the one and
writes the other can take this file's place, in any language.

  <pool>/images/train/**     PNG or JPEG
  <pool>/labels/train/**     PNG of the same stem, 8- or 16-bit ids; 255 where
                             nobody has labelled a pixel yet
  <pool>/classes.json        the class table; Cityscapes' own if there is none
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import numpy as np
from PIL import Image

from common_lib import class_table, class_table_file
from common_lib.class_table import CITYSCAPES, UNDEFINED, VOID, ClassTable
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from examples import commands, model_files, small_network

_SUFFIXES = ('.png', '.jpg', '.jpeg')


def read_pool(
  pool: pathlib.Path, table: ClassTable, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the images that have a label.

  Args:
    pool: see above.
    table: of the label files.
    size: (h, w) that images and labels are brought to.

  Returns:
    Images uint8 [n h w 3], RGB, and labels uint8 [n h w], class indices, 255 =
    void; sorted by name.

  Raises:
    UserError: no image has a label, a damaged file, an id that is no class.
  """
  images = _by_stem(pool / 'images' / 'train')
  labels = _by_stem(pool / 'labels' / 'train')
  names = sorted(images.keys() & labels.keys())
  if not names:
    raise UserError(
      f'{pool}: no image of images/train has a label of the same name in '
      'labels/train; label some first'
    )
  lookup = table.lookup.copy()
  # Where nobody has labelled a pixel yet, whatever else the table calls void.
  if lookup[VOID] == UNDEFINED:
    lookup[VOID] = VOID
  height, width = size
  found = []
  for name in names:
    image = _opened(images[name]).convert('RGB')
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    ids = _opened(labels[name])
    if len(ids.getbands()) > 1:
      raise UserError(f'{labels[name]}: colours, not ids; save one channel')
    ids = np.asarray(ids.resize((width, height), Image.Resampling.NEAREST))
    label = class_table.remap(ids, lookup, labels[name])
    found.append((np.asarray(image), label))
  return np.stack([i for i, _ in found]), np.stack([y for _, y in found])


def _by_stem(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The pictures below a folder, by their path without the suffix."""
  return {
    str(path.relative_to(folder).with_suffix('')): path
    for path in folder.rglob('*')
    if path.suffix.lower() in _SUFFIXES and path.is_file()
  }


def _opened(path: pathlib.Path) -> Image.Image:
  """A decoded picture."""
  try:
    with Image.open(path) as picture:
      picture.load()
      return picture
  except (OSError, SyntaxError, ValueError) as error:
    raise UserError(
      f'{path}: cannot be read ({quoted(error, 80)}); replace the file'
    ) from error


def main(arguments: list[str] | None = None) -> None:
  """Trains on the pool and writes the model.

  Args:
    arguments: of the command line; None for the process's own.
  """
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--pool', required=True, help='what is labelled so far')
  parser.add_argument('--model', required=True, help='the .onnx file to write')
  parser.add_argument('--cycle', type=int, required=True, help='from 1')
  parser.add_argument('--steps', type=commands.count, default=300)
  parser.add_argument('--size', type=commands.size, default=(64, 128))
  flags = parser.parse_args(arguments)
  pool, model = expanded(flags.pool), expanded(flags.model)
  file = pool / class_table_file.FILE
  own = file.exists()
  table = class_table_file.read(file) if own else CITYSCAPES
  images, labels = read_pool(pool, table, flags.size)
  labelled = (labels != VOID).mean()
  say(
    f'cycle {flags.cycle}: {len(images)} images, {labelled:.1%} of their '
    f'pixels labelled, {table.num_classes} classes'
  )
  started = time.monotonic()
  # From scratch and the same random weights in every cycle: cycles then differ
  # in nothing but their labels, and a cycle that is run again is the same.
  network = small_network.train(
    images, labels, table.num_classes, flags.steps, say
  )
  accuracy = small_network.accuracy(network, images, labels)
  model_files.export(
    network,
    model,
    small_network.INPUT,
    small_network.OUTPUTS,
    table=json.loads(file.read_text()) if own else None,
  )
  say(
    f'{model}: {accuracy:.1%} of the labelled pixels are classified right, '
    f'{time.monotonic() - started:.0f} s'
  )


if __name__ == '__main__':
  commands.run(main)
