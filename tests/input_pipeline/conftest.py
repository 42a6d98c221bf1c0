"""Small data sets in their real folder layouts."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import DataRequest

SIZE = (24, 32)  # of the files, h x w


def random_image(seed):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
  return coarse.repeat(4, 0).repeat(4, 1)


def random_ids(seed, count):
  rng = np.random.default_rng(seed)
  return rng.integers(0, count, (6, 8), np.uint8).repeat(4, 0).repeat(4, 1)


class Folder:
  """A data set on disk: its root, its cache and a request for them."""

  def __init__(self, base: pathlib.Path):
    self.root = base / 'original'
    self.cache = base / 'cache'

  def request(self, **changes):
    settings = {
      'image_size': SIZE,
      'root': str(self.root),
      'cache_dir': str(self.cache),
    }
    return DataRequest(**{**settings, **changes})

  def save(self, path, array, **options):
    path = self.root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


CAMVID_FRAMES = {
  'train': ['0001TP_006690', '0001TP_006720', '0006R0_f00930', '0016E5_00390'],
  'val': ['0016E5_07959', '0016E5_07961'],
  'test': ['Seq05VD_f00000', '0001TP_008550'],
}


@pytest.fixture
def camvid(tmp_path):
  """Eight frames: PNG images, JPEG in val; seed = position over all splits."""
  folder = Folder(tmp_path)
  seed = 0
  for split, names in CAMVID_FRAMES.items():
    suffix = 'jpg' if split == 'val' else 'png'
    for name in names:
      folder.save(f'{split}/{name}.{suffix}', random_image(seed))
      folder.save(f'{split}annot/{name}.png', random_ids(seed, 12))
      seed += 1
  return folder


CITYSCAPES_NAMES = {
  'train': ['aachen_000000_000019', 'ulm_000001_000019'],
  'val': ['frankfurt_000000_000294', 'lindau_000000_000019'],
}


@pytest.fixture
def cityscapes(tmp_path):
  """Four images with labels, disparities and cameras."""
  folder = Folder(tmp_path)
  seed = 0
  for split, names in CITYSCAPES_NAMES.items():
    for name in names:
      city = name.split('_')[0]
      where = f'{split}/{city}/{name}'
      folder.save(f'leftImg8bit/{where}_leftImg8bit.png', random_image(seed))
      ids = random_ids(seed, 34)
      folder.save(f'gtFine/{where}_gtFine_labelIds.png', ids)
      folder.save(f'gtFine/{where}_gtFine_color.png', random_image(seed + 50))
      folder.save(
        f'disparity/{where}_disparity.png',
        np.random.default_rng(seed).integers(0, 30000, SIZE).astype(np.uint16),
      )
      camera = folder.root / f'camera/{where}_camera.json'
      camera.parent.mkdir(parents=True, exist_ok=True)
      camera.write_text(
        '{"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2250.0}}'
      )
      seed += 1
  return folder
