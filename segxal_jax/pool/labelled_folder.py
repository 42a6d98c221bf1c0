"""What is labelled so far, as a `folder` data set for any program.

  <folder>/images/train/**.png   RGB, 8 bits
  <folder>/labels/train/**.png   class indices in 8 bits, 255 = void
  <folder>/classes.json          the table; its ids are the indices

Images have the size of the run, at which they were labelled.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from common_lib import class_table_file, files
from common_lib.class_table import VOID, ClassTable
from input_pipeline.sources import Source

_SPLIT = 'train'
# Quick to write; they are read a few times.
_COMPRESSION = 1


def write(
  source: Source,
  folder: Path,
  classes: ClassTable,
  check_stop: Callable[[], None],
) -> None:
  """Writes a folder, whole or not at all; one that is there is replaced.

  Args:
    source: images and labels.
    folder: to be made.
    classes: of the labels.
    check_stop: called before each image; may raise.
  """
  part = folder.with_name(f'{folder.name}.part')
  for old in (part, folder):
    shutil.rmtree(old, ignore_errors=True)
  for index in range(len(source)):
    check_stop()
    scene = source[index]
    name = _name(str(scene['id']), index)
    _save(part / 'images' / _SPLIT / name, np.asarray(scene['image']))
    _save(part / 'labels' / _SPLIT / name, np.asarray(scene['label']))
  table = dataclasses.replace(
    classes,
    ids=tuple((index,) for index in range(classes.num_classes)),
    void_ids=(VOID,),
  )
  text = json.dumps(json.loads(class_table_file.to_text(table)), indent=2)
  files.write_text(part / class_table_file.FILE, text + '\n')
  part.rename(folder)


def _name(id: str, index: int) -> str:
  """Path of an image below its split: its id, so that groups stay together."""
  path = PurePosixPath(id)
  inside = not path.is_absolute() and '..' not in path.parts and id.strip()
  # Not every disk takes what is no text.
  named = inside and id.isprintable() and len(id) < 200
  return f'{id}.png' if named else f'{index:07d}.png'


def _save(path: Path, pixels: np.ndarray) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, compress_level=_COMPRESSION)
