"""Cityscapes in its official folders (fine annotations).

Cordts et al., "The Cityscapes Dataset", CVPR 2016; layout and ids: the package
`cityscapesscripts`.

  root/leftImg8bit/{train,val}/<city>/<name>_leftImg8bit.png
  root/gtFine/{train,val}/<city>/<name>_gtFine_labelIds.png
  root/disparity/{train,val}/<city>/<name>_disparity.png   only for depth
  root/camera/{train,val}/<city>/<name>_camera.json        only for depth

Images are 1024x2048 (2975 train, 500 val). SynthCP and FSNet work at 256x512.
The test split has no public labels, so it is not offered.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import base, folders, readers

SPECS = 'cityscapes[/CITY[+CITY...]][:train|val]'
SPLITS = ('train', 'val')
_LAYOUT = 'leftImg8bit/{train,val}/ and gtFine/{train,val}/'
_DEPTH_LAYOUT = _LAYOUT + ' and, for depth, disparity/ and camera/'


class Cityscapes(base.SceneBuilder):
  """TFDS builder of one official split."""

  VERSION = tfds.core.Version('1.0.0')

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one image; see `SceneBuilder.load`."""
    request = self.request
    arrays = readers.load_scene(scene, request, class_table.CITYSCAPES.lookup)
    if request.depth:
      arrays['depth'] = readers.read_disparity_depth(
        request.folder / scene.origin['disparity'],
        request.folder / scene.origin['camera'],
        request.image_size,
        request.resize,
      )
    return arrays


def has_depth(request: base.DataRequest) -> bool:
  """Whether the two packages that hold it are there; see `base`."""
  folder = request.folder
  return all((folder / kind).is_dir() for kind in ('disparity', 'camera'))


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens images of Cityscapes.

  Args:
    variant: '' for all cities, or their names joined by '+'.
    split: 'train' or 'val' (default).
    request: `root` is the folder described above.

  Returns:
    The images, sorted by name; `sequence` is the city.

  Raises:
    UserError: a missing folder, an unknown split or city, a damaged file.
  """
  split = split or 'val'
  if split not in SPLITS:
    raise UserError(
      f'cityscapes has no split {split!r} with public labels; use one of'
      f' {", ".join(SPLITS)}'
    )
  root = folders.check_root(
    request, _DEPTH_LAYOUT if request.depth else _LAYOUT
  )
  scenes = _scenes(root, split, request.depth)
  return folders.open_splits(Cityscapes, {split: scenes}, variant, request)


def _scenes(root: pathlib.Path, split: str, depth: bool) -> list[base.Scene]:
  """Lists the images of a split, those without a partner included."""
  layout = _DEPTH_LAYOUT if depth else _LAYOUT
  kinds = {
    'image': ('leftImg8bit', '_leftImg8bit.png'),
    'label': ('gtFine', '_gtFine_labelIds.png'),
  }
  if depth:
    kinds['disparity'] = ('disparity', '_disparity.png')
    kinds['camera'] = ('camera', '_camera.json')
  sides = {}
  for role, (kind, ending) in kinds.items():
    folder = root / kind / split
    folders.check_folder(folder, layout)
    sides[role] = folders.Side(folder, ending, _files_of_cities(folder, ending))
  scenes = []
  # An image without label and a label without image are both found.
  for name, files in folders.pair(sides['image'], sides['label']).items():
    city, _, frame = name.partition('/')
    files |= {role: side.path(name) for role, side in sides.items()}
    scenes.append(folders.scene_of_files(root, frame, city, files))
  return scenes


def _files_of_cities(
  root: pathlib.Path, ending: str
) -> dict[str, pathlib.Path]:
  """'<city>/<name>' to file; the ending is the official one, case and all."""
  found: dict[str, pathlib.Path] = {}
  for city in folders.entries(root):
    if not folders.is_folder(city):
      continue
    for path in folders.entries(city):
      if path.name.endswith(ending):
        name = f'{city.name}/{path.name.removesuffix(ending)}'
        folders.add_file(found, name, path)
  return found
