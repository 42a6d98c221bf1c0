import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import open_source, skipped_files
from input_pipeline.datasets.mapillary import classes, vistas
from tests.input_pipeline.conftest import Folder, random_ids, random_image

V1 = list(classes.V1_CLASSES)
# Classes of v1.2 that v2.0 divides or drops.
GONE = {
  'human--person',
  'marking--crosswalk-zebra',
  'marking--general',
  'object--billboard',
  'object--traffic-light',
}
V2 = sorted(set(V1) - GONE | set(classes.REFINES))
NAMES = {
  'training': ['-0bTRSrpqFfRkDTxgZvXBw', '_4VjZJ5jqoTcVyQBr9Eb-g'],
  'validation': ['0A-xe-Ug3HTT7TkTjxOeEw', 'aBc_0000000000000000-_', 'zz9'],
}
# Folder of labels below the split, config, classes.
OLD = ('labels', 'config.json', V1)
V1_2 = ('v1.2/labels', 'config_v1.2.json', V1)
V2_0 = ('v2.0/labels', 'config_v2.0.json', V2)


def write_config(folder, name, names):
  entries = [
    {'name': known, 'readable': known, 'evaluate': True} for known in names
  ]
  path = folder.root / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps({'labels': entries, 'version': '1'}))


def save_palette(folder, path, ids):
  image = Image.fromarray(ids)
  image.putpalette([255 - i // 3 for i in range(768)])
  path = folder.root / path
  path.parent.mkdir(parents=True, exist_ok=True)
  image.save(path)


def build(base, *packages):
  """Writes a package; seed = position over all splits, plus 100 in v2.0."""
  folder = Folder(base)
  seed = 0
  for split, names in NAMES.items():
    for name in names:
      # Of another size each.
      image = random_image(seed)[: 24 - seed]
      folder.save(f'{split}/images/{name}.jpg', image)
      for masks, _, known in packages:
        offset = 100 if known is V2 else 0
        ids = random_ids(seed + offset, len(known))[: 24 - seed]
        save_palette(folder, f'{split}/{masks}/{name}.png', ids)
        folder.save(f'{split}/instances/{name}.png', ids.astype(np.uint16))
      seed += 1
  for _, config, known in packages:
    write_config(folder, config, known)
  return folder


@pytest.fixture(params=[OLD, V1_2, V2_0], ids=['old', 'v1.2', 'v2.0'])
def package(request, tmp_path):
  return build(tmp_path, request.param), request.param


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


def train_id(name, column):
  target = classes.V1_CLASSES.get(classes.REFINES.get(name, name), ('', ''))
  if not target[column]:
    return 255
  return class_table.CLASS_NAMES.index(target[column])


# The strict map as benchmark-vfm-ss publishes it, by the ids of v1.2.
STRICT = (
  {13: 0, 24: 0, 41: 0, 2: 1, 15: 1, 17: 2, 6: 3, 3: 4, 45: 5, 47: 5, 48: 6}
  | {50: 7, 30: 8, 29: 9, 27: 10, 19: 11, 20: 12, 21: 12, 22: 12, 55: 13}
  | {61: 14, 54: 15, 58: 16, 57: 17, 52: 18}
)
# Where the liberal map differs.
LIBERAL = {
  4: 4,
  7: 0,
  8: 0,
  9: 1,
  10: 0,
  11: 1,
  12: 0,
  14: 0,
  16: 2,
  18: 2,
  23: 0,
} | {26: 9, 28: 9, 41: 255, 46: 7}


def test_maps_are_the_published_ones(tmp_path):
  write_config(Folder(tmp_path), 'config.json', V1)
  path = tmp_path / 'original/config.json'
  strict = vistas.read_table(path, 'strict')
  expected = [STRICT.get(i, 255) for i in range(66)]
  np.testing.assert_array_equal(strict[:66], expected)
  assert (strict[66:] == class_table.UNDEFINED).all()
  assert (strict < 19).sum() == 25
  liberal = vistas.read_table(path, 'liberal')
  expected = [LIBERAL.get(i, STRICT.get(i, 255)) for i in range(66)]
  np.testing.assert_array_equal(liberal[:66], expected)
  assert (liberal < 19).sum() == 38


def test_v2_has_124_classes_and_refines_classes_of_v1():
  assert len(V2) == 124
  assert not set(V1) & set(classes.REFINES)
  assert set(classes.REFINES.values()) <= set(V1) | {''}


def test_the_config_decides_the_ids(tmp_path):
  write_config(Folder(tmp_path), 'config.json', V1[::-1])
  table = vistas.read_table(tmp_path / 'original/config.json', 'strict')
  expected = [STRICT.get(65 - i, 255) for i in range(66)]
  np.testing.assert_array_equal(table[:66], expected)


@pytest.mark.parametrize('column', [0, 1], ids=classes.MAPS)
def test_scenes_are_those_of_the_files(package, column):
  folder, (masks, _, known) = package
  option = classes.MAPS[column]
  for spec, split in (
    (f'mapillary_vistas/{option}', 'validation'),
    (f'mapillary_vistas/{option}:train', 'training'),
  ):
    source = open_source(spec, folder.request(image_size=(20, 32)))
    assert ids_of(source) == sorted(NAMES[split])
    for i in range(len(source)):
      scene = source[i]
      stem = f'{folder.root}/{split}/{{}}/{scene["id"]}'
      with Image.open(stem.format('images') + '.jpg') as image:
        image = image.resize((32, 20), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(scene['image'], np.asarray(image))
      with Image.open(stem.format(masks) + '.png') as image:
        ids = image.resize((32, 20), Image.Resampling.NEAREST)
        to_train_ids = [train_id(name, column) for name in known]
        expected = np.array(to_train_ids)[np.array(ids)]
      np.testing.assert_array_equal(scene['label'], expected)


def test_strict_is_the_default_and_maps_have_copies_of_their_own(tmp_path):
  request = build(tmp_path, V1_2).request()
  found = {
    spec: np.stack([scene['label'] for scene in source])
    for spec in ('', '/strict', '/liberal')
    for source in [open_source('mapillary_vistas' + spec, request)]
  }
  np.testing.assert_array_equal(found[''], found['/strict'])
  assert (found['/strict'] != found['/liberal']).any()


def test_v1_2_labels_come_first(tmp_path):
  request = build(tmp_path, V1_2, V2_0).request()
  label = open_source('mapillary_vistas', request)[0]['label']
  first = open_source('mapillary_vistas/v1.2', request)[0]['label']
  second = open_source('mapillary_vistas/v2.0+strict', request)[0]['label']
  np.testing.assert_array_equal(label, first)
  assert (first != second).any()


def test_sample_is_of_the_published_seed(tmp_path, monkeypatch):
  monkeypatch.setattr(vistas, 'SAMPLE_SIZE', 2)
  request = build(tmp_path, OLD).request()
  source = open_source('mapillary_vistas/sample1000+liberal', request)
  ranks = {
    hashlib.sha256(f'0/{name}'.encode()).hexdigest(): name
    for name in NAMES['validation']
  }
  assert ids_of(source) == sorted(ranks[key] for key in sorted(ranks)[:2])
  with pytest.raises(UserError, match='taken from val'):
    open_source('mapillary_vistas/sample1000:train', request)


def test_sample_needs_a_complete_package(package):
  with pytest.raises(UserError, match='original: 3 validation images, too few'):
    open_source('mapillary_vistas/sample1000', package[0].request())


def test_wrong_folder(tmp_path):
  folder = Folder(tmp_path)
  folder.save('elsewhere/a.jpg', random_image(0))
  message = r'validation/images: no such folder.*config_v1\.2\.json'
  with pytest.raises(UserError, match=message):
    open_source('mapillary_vistas', folder.request())
  with pytest.raises(UserError, match=r'nope.*data\.root'):
    open_source('mapillary_vistas', folder.request(root='nope'))
  assert not folder.cache.exists()


def test_missing_labels_and_versions(tmp_path):
  folder = build(tmp_path, V1_2)
  with pytest.raises(UserError, match=r'no folder of labels of v2\.0'):
    open_source('mapillary_vistas/v2.0', folder.request())
  (folder.root / 'validation/v1.2').rename(folder.root / 'elsewhere')
  with pytest.raises(UserError, match='validation: no folder of labels;'):
    open_source('mapillary_vistas', folder.request())


def test_damaged_config_is_named(package):
  folder, (_, config, _) = package
  for content, message in (
    ('{"labels": [', 'a config of Mapillary Vistas, cannot be read'),
    ('[1]', 'a config of Mapillary Vistas, cannot be read'),
    ('{"labels":' + '[' * 5000, 'nested too deep'),
    ('{"classes": []}', 'not a config'),
    ('{"labels": {"name": "x"}}', 'not a config'),
    ('{"labels": ["road"]}', 'not a config'),
    ('{"labels": [{"name": 7}]}', 'not a config'),
    ('{"labels": [{"name": "road"}]}', "class 0, 'road', is neither"),
  ):
    (folder.root / config).write_text(content)
    with pytest.raises(UserError, match=f'{config}.*{message}'):
      open_source('mapillary_vistas', folder.request())
  (folder.root / config).unlink()
  with pytest.raises(UserError, match=f'{config}: file is missing'):
    open_source('mapillary_vistas', folder.request())
  assert not folder.cache.exists()


def damage(folder, path, kind, count):
  path = folder.root / path
  if kind == 'missing':
    path.unlink()
  elif kind == 'truncated':
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  elif kind == 'size':
    folder.save(path, np.zeros((9, 9), np.uint8))
  elif kind == 'id':
    with Image.open(path) as image:
      ids = np.array(image)
    ids[3, 5] = count
    save_palette(folder, path, ids)


@pytest.mark.parametrize(
  ('role', 'kind', 'reason'),
  [
    ('image', 'missing', 'file is missing'),
    ('image', 'truncated', 'cannot be decoded'),
    ('label', 'missing', 'file is missing'),
    ('label', 'truncated', 'cannot be decoded'),
    ('label', 'size', 'label is 9x9, its image is'),
    ('label', 'id', 'label id {} is not defined'),
  ],
)
def test_damaged_file_is_named_or_skipped(package, role, kind, reason):
  folder, (masks, _, known) = package
  name = NAMES['validation'][1]
  path = {
    'image': f'validation/images/{name}.jpg',
    'label': f'validation/{masks}/{name}.png',
  }[role]
  damage(folder, path, kind, len(known))
  reason = reason.format(len(known))
  with pytest.raises(UserError, match=f'{path}: .*{reason}'):
    open_source('mapillary_vistas', folder.request())
  source = open_source('mapillary_vistas', folder.request(on_error='skip'))
  assert ids_of(source) == [NAMES['validation'][0], NAMES['validation'][2]]
  assert [skipped['id'] for skipped in skipped_files(source)] == [name]


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    (':test', "no split 'test' with public labels.*train, val"),
    ('/fog', "no option 'fog'.*sample1000"),
    ('/v1.2+v2.0', 'the same thing twice'),
    ('/strict+', "no option ''"),
  ],
)
def test_unknown_names(package, spec, message):
  with pytest.raises(UserError, match=message):
    open_source('mapillary_vistas' + spec, package[0].request())


def test_no_depth(package):
  with pytest.raises(UserError, match='no depth'):
    open_source('mapillary_vistas', package[0].request(depth=True))
