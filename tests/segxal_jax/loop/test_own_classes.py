"""Active learning in five classes of one's own, on drawn streets."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from common_lib import class_table_file
from common_lib.class_table import CITYSCAPES, VOID
from configs import segxal_unet
from fsnet_jax.builders.classes import class_table
from fsnet_jax.config import resolution
from segxal_jax.config import builders, fields, validation
from segxal_jax.loop.driver import run_loop
from segxal_jax.oracles.label_studio import answers, interface, tasks
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.queries import storage
from segxal_jax.report.write import report
from tests.segxal_jax.loop import small_loop

# Of the 19 classes, those of each; sky is void.
GROUPS = {
  'ground': ('road', 'sidewalk', 'terrain'),
  'structure': ('building', 'wall', 'fence', 'pole'),
  'sign': ('traffic light', 'traffic sign'),
  'green': ('vegetation',),
  'movable': (
    *('person', 'rider', 'car', 'truck', 'bus', 'train'),
    *('motorcycle', 'bicycle'),
  ),
}
COLORS = ((90, 40, 90), (70, 70, 70), (220, 220, 0), (0, 140, 0), (0, 0, 200))


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  folder = tmp_path_factory.mktemp('five')
  rows = zip(GROUPS.items(), COLORS, strict=True)
  (folder / 'classes.json').write_text(
    json.dumps(
      {
        'classes': [
          {
            'name': name,
            'color': color,
            'ids': [CITYSCAPES.names.index(member) for member in members],
          }
          for (name, members), color in rows
        ],
        'void_ids': [CITYSCAPES.names.index('sky'), VOID],
      }
    )
  )
  made = segxal_unet.get_config('streets')
  made.update_from_flattened_dict(
    small_loop.FIELDS
    | {
      'data.num_train': 12,
      'data.classes': str(folder / 'classes.json'),
      'data.cache_dir': str(folder / 'data'),
      'report.num_watched': 1,
    }
  )
  validation.check(made)
  return resolution.resolved(made, fields.FIELDS)


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  run_loop(config, workdir)
  return workdir


def test_labels_are_the_groups_of_the_nineteen(config, finished):
  pool = builders.pool_source(config)
  plain = config.copy_and_resolve_references()
  plain.data.classes = ''
  fine = builders.pool_source(plain)
  wanted = np.full(256, VOID, np.uint8)
  for index, members in enumerate(GROUPS.values()):
    wanted[[CITYSCAPES.names.index(name) for name in members]] = index
  for name in ('annotations/cycle000_*.png', 'annotations/cycle001_*.png'):
    for path in (finished / 'pool').glob(name):
      label, asked = read_annotation(path, num_classes=5)
      index = int(path.stem.partition('_')[2])
      right = wanted[fine[index]['label']]
      np.testing.assert_array_equal(pool[index]['label'], right)
      np.testing.assert_array_equal(label[asked], right[asked])


def test_metrics_and_report_are_of_the_five(config, finished):
  report(config, finished, {})
  metrics = json.loads((finished / 'report' / 'metrics.json').read_text())
  measured = metrics['datasets']['streets/day']['segmentation']
  assert list(measured['iou']) == list(GROUPS)
  page = (finished / 'report' / 'report.html').read_text()
  assert 'movable' in page and '#5a285a' in page
  assert 'motorcycle' not in page.partition('data.classes')[0].split('Paper')[0]


def test_annotators_see_them_and_answers_are_painted_in_them(config, finished):
  table = class_table(config)
  assert table == class_table_file.from_text(config.data.classes)
  labels = [
    (one.get('value'), one.get('background'))
    for one in ElementTree.fromstring(interface.labelling_config(table))
    .find('.//BrushLabels')
    .iter('Label')
  ]
  assert labels == [
    (name, '#{:02x}{:02x}{:02x}'.format(*color))
    for name, color in zip(GROUPS, COLORS, strict=True)
  ]
  file = next((finished / 'cycles/001/questions').glob('*.npz'))
  prediction = storage.read(file).prediction
  assert prediction.max() < 5
  box = np.zeros(prediction.shape, bool)
  box[3:9, 5:20] = True
  new = tasks.brush(box, 'movable', 'new', 'manual')
  painted = answers.paint({'result': [new]}, prediction, table)
  np.testing.assert_array_equal(painted.label, np.where(box, 4, VOID))
  other = tasks.brush(box, 'motorcycle', 'new', 'manual')
  with pytest.raises(answers.BadAnnotation, match='motorcycle'):
    answers.paint({'result': [other]}, prediction, table)
