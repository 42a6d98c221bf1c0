"""Mapillary Vistas, v1.2 and v2.0 labels, in either package's folders.

Neuhold et al., "The Mapillary Vistas Dataset for Semantic Understanding of
Street Scenes", ICCV 2017; layouts: the documentation of MMSegmentation
(`2_dataset_prepare.md`) and the loaders of RobustNet and Mask2Former.

  root/{training,validation}/images/<name>.jpg                both packages

  root/{training,validation}/v1.2/labels/<name>.png           current package
  root/{training,validation}/v2.0/labels/<name>.png
  root/config_v1.2.json, root/config_v2.0.json

  root/{training,validation}/labels/<name>.png                v1.1 and v1.2
  root/config.json

A label is an 8-bit palette file whose indices are positions in the config's
list of classes: 66 in v1.2, 124 in v2.0. The indices of the two versions have
nothing in common, so classes are looked up by name (`classes`) in the
config that lies beside the labels.

Images have many sizes, up to 22 megapixels, and are resized to the requested
one without regard to their aspect, as those of the other data sets. The test
split has no public labels, so it is not offered.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from common_lib import class_table
from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted
from input_pipeline.datasets import base, folders, readers
from input_pipeline.datasets.mapillary import classes as vistas_classes

SPECS = (
  'mapillary_vistas[/OPTION[+OPTION...]][:train|val] with the options strict'
  ' or liberal, v1.2 or v2.0, sample1000'
)
SPLITS = {'train': 'training', 'val': 'validation'}
# Option sample1000: the validation images with the smallest SHA-256 of
# '<seed>/<name>', as any language can find them again.
SAMPLE_SIZE = 1000
SAMPLE_SEED = 0
# Version, folder of labels below the split, config.
_LABELS = (
  ('v1.2', 'v1.2/labels', 'config_v1.2.json'),
  ('v1.2', 'labels', 'config.json'),
  ('v2.0', 'v2.0/labels', 'config_v2.0.json'),
)
_LAYOUT = (
  '{training,validation}/images/ with {training,validation}/v1.2/labels/ and'
  ' config_v1.2.json (or v2.0), or with {training,validation}/labels/ and'
  ' config.json'
)


class MapillaryVistas(base.SceneBuilder):
  """TFDS builder of one official split under one map."""

  # Raise it also when `classes` changes.
  VERSION = tfds.core.Version('1.0.0')

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one image; see `SceneBuilder.load`."""
    config = self.request.folder / scene.origin['config']
    return readers.load_scene(
      scene, self.request, read_table(config, scene.origin['map'])
    )


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens images of Mapillary Vistas.

  Args:
    variant: options joined by '+', each at most once: the map ('strict', the
      default, or 'liberal'), the labels ('v1.2' or 'v2.0'; by default v1.2
      where the folder has them), and 'sample1000' for the 1000 validation
      images of a fixed choice. FSNet tests on 1000 random ones of the 2000 and
      does not say which.
    split: 'train' or 'val' (default).
    request: `root` is the folder described above.

  Returns:
    The images, sorted by name; `sequence` is 'mapillary-vistas' for all.

  Raises:
    UserError: a missing folder or config, an unknown split, option or class, a
      damaged file, a sample of too few images.
  """
  split = split or 'val'
  if split not in SPLITS:
    raise UserError(
      f'mapillary_vistas has no split {split!r} with public labels; use one of'
      f' {", ".join(SPLITS)}'
    )
  options = _Options.parse(variant)
  if options.sample and split != 'val':
    raise UserError(
      'mapillary_vistas/sample1000 is taken from val; leave the option or the'
      f' split {split!r} out'
    )
  if request.depth:
    raise UserError('mapillary_vistas has no depth; use another data set')
  root = folders.check_root(request, _LAYOUT)
  scenes = _scenes(root, SPLITS[split], options)
  if options.sample:
    scenes = _sample(root, scenes)
  return folders.open_splits(MapillaryVistas, {split: scenes}, '', request)


def read_table(path: pathlib.Path, map_name: str) -> np.ndarray:
  """Reads a package's list of classes.

  Args:
    path: `config*.json` of a package; its `labels[i].name` is the class of
      index i.
    map_name: one of `classes.MAPS`.

  Returns:
    Lookup array of `class_table.lookup_table`.

  Raises:
    UserError: the file is missing, damaged or lists a class that is not in
      `classes`.
  """
  names = _class_names(path)
  column = vistas_classes.MAPS.index(map_name)
  classes, void_ids = {}, []
  for index, name in enumerate(names):
    known = vistas_classes.REFINES.get(name, name)
    # '' in `REFINES` is a class that v1.2 does not have.
    targets = vistas_classes.V1_CLASSES.get(known) if known else ('', '')
    if targets is None or index > 255:
      raise UserError(
        f'{path}: class {index}, {quoted(name, 80)!r}, is neither of v1.2 nor'
        ' of v2.0; restore the file from the package'
      )
    if targets[column]:
      classes[index] = class_table.CLASS_NAMES.index(targets[column])
    else:
      void_ids.append(index)
  return class_table.lookup_table(classes, tuple(void_ids))


def _class_names(path: pathlib.Path) -> list[str]:
  """The classes of a package, in the order of their indices."""
  if not path.is_file():  # a pipe would be waited for
    raise UserError(
      f'{path}: file is missing; copy it from the package, its list of classes'
      ' says what the labels mean'
    )
  fix = 'restore it from the package'
  config = read_json_object(path, what='a config of Mapillary Vistas', fix=fix)
  labels = config.get('labels')
  if not isinstance(labels, list) or not all(
    isinstance(label, dict) and isinstance(label.get('name'), str)
    for label in labels
  ):
    raise UserError(
      f'{path}: not a config of Mapillary Vistas ("labels" is no list of'
      f' classes with a "name"); {fix}'
    )
  return [label['name'] for label in labels]


@dataclasses.dataclass(frozen=True)
class _Options:
  """What the variant of a spec says."""

  map_name: str = 'strict'
  version: str = ''
  sample: bool = False

  @classmethod
  def parse(cls, variant: str) -> _Options:
    options, given = cls(), set()
    for word in variant.split('+') if variant else ():
      if word in vistas_classes.MAPS:
        field = 'map_name'
        options = dataclasses.replace(options, map_name=word)
      elif word in ('v1.2', 'v2.0'):
        field = 'version'
        options = dataclasses.replace(options, version=word)
      elif word == 'sample1000':
        field = 'sample'
        options = dataclasses.replace(options, sample=True)
      else:
        raise UserError(
          f'mapillary_vistas has no option {word!r}; write {SPECS}'
        )
      if field in given:
        raise UserError(
          f'mapillary_vistas/{variant} says the same thing twice; write {SPECS}'
        )
      given.add(field)
    return options


def _find_labels(
  root: pathlib.Path, split_folder: str, version: str
) -> tuple[pathlib.Path, pathlib.Path]:
  """Returns the folder of labels and its config; probes the packages."""
  for name, folder, config in _LABELS:
    label_folder = root / split_folder / folder
    if version in ('', name) and folders.is_folder(label_folder):
      return label_folder, root / config
  wanted = f'labels of {version}' if version else 'labels'
  raise UserError(
    f'{root / split_folder}: no folder of {wanted}; point data.root at the'
    f' folder that has {_LAYOUT}'
  )


def _scenes(
  root: pathlib.Path, split_folder: str, options: _Options
) -> list[base.Scene]:
  """Lists the images of a split, those without image or label included."""
  image_folder = root / split_folder / 'images'
  folders.check_folder(image_folder, _LAYOUT)
  label_folder, config = _find_labels(root, split_folder, options.version)
  read_table(config, options.map_name)  # before anything is written
  pairs = folders.pair(
    folders.Side(
      image_folder,
      '.jpg',
      folders.files_by_stem(image_folder, folders.IMAGE_SUFFIXES),
    ),
    folders.Side(
      label_folder, '.png', folders.files_by_stem(label_folder, ('.png',))
    ),
  )
  scenes = []
  for name, pair in pairs.items():
    files = {**pair, 'config': config}
    scene = folders.scene_of_files(root, name, 'mapillary-vistas', files)
    # Part of the digest: each map has a copy of its own.
    origin = {**scene.origin, 'map': options.map_name}
    scenes.append(dataclasses.replace(scene, origin=origin))
  return scenes


def _sample(root: pathlib.Path, scenes: list[base.Scene]) -> list[base.Scene]:
  """Takes the published sample, sorted by name."""
  if len(scenes) < SAMPLE_SIZE:
    raise UserError(
      f'{root}: {len(scenes)} validation images, too few for a sample of'
      f' {SAMPLE_SIZE}; complete the package or leave the option out'
    )

  def rank(scene: base.Scene) -> str:
    return hashlib.sha256(f'{SAMPLE_SEED}/{scene.id}'.encode()).hexdigest()

  return sorted(
    sorted(scenes, key=rank)[:SAMPLE_SIZE], key=lambda scene: scene.id
  )
