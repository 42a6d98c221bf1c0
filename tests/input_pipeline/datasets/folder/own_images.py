"""Folders of a user's own images, to test on."""

import numpy as np

from common_lib.class_table import ClassTable
from input_pipeline.datasets import open_source
from tests.input_pipeline.conftest import SIZE, Folder, random_image

# Ids beyond 8 bits, several of a class, void ones; black is no class.
TABLE = ClassTable(
  names=('road', 'car', 'sky'),
  colors=((128, 64, 128), (0, 0, 142), (70, 130, 180)),
  ids=((1,), (7, 300), (65535,)),
  void_ids=(0, 255),
)


class Own(Folder):
  """A folder, opened with the table above unless told otherwise."""

  def request(self, **changes):
    return super().request(**{'classes': TABLE, **changes})

  def open(self, spec='folder', **changes):
    return open_source(spec, self.request(**changes))

  def image(self, path, seed=0):
    return self.save(f'images/{path}', random_image(seed))

  def label(self, path, value=1):
    ids = np.full(SIZE, value, np.uint8 if value < 256 else np.uint16)
    return self.save(f'labels/{path}', ids)

  def both(self, *stems, value=1):
    """An image and its label of each stem; the seed is the position."""
    for seed, stem in enumerate(stems):
      self.image(f'{stem}.png', seed)
      self.label(f'{stem}.png', value)

  def write(self, path, text, **options):
    path = self.root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, **options)
    return path


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


def sequences_of(source):
  return [source[i]['sequence'] for i in range(len(source))]
