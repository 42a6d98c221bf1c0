"""A table of five classes, from the command line to the report."""

import json

import jaxtyping
import numpy as np
import pytest

from common_lib import class_table_file
from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from configs import fsnet_fcn8
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.builders.classes import class_table
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.config import resolution
from tests.fsnet_jax.monitor import own_run

FIVE = {
  'flat': ('road', 'sidewalk', 'terrain'),
  'built': ('building', 'wall', 'fence'),
  'thing': ('pole', 'traffic light', 'traffic sign'),
  'nature': ('vegetation', 'sky'),
  'moving': (
    *('person', 'rider', 'car', 'truck', 'bus', 'train'),
    *('motorcycle', 'bicycle'),
  ),
}


def table():
  """Five classes of Cityscapes' trainIds."""
  return {
    'classes': [
      {
        'name': name,
        'color': [10 * number, 20, 200],
        'ids': [CITYSCAPES.index(one) for one in members],
      }
      for number, (name, members) in enumerate(FIVE.items(), 1)
    ],
    'void_ids': [255],
  }


@pytest.fixture
def path(tmp_path):
  found = tmp_path / 'five.json'
  found.write_text(json.dumps(table()))
  return found


def test_a_run_keeps_the_table_not_its_path(path):
  config = fsnet_fcn8.get_config()
  config.data.classes = str(path)
  resolved = resolution.resolved(config)
  path.unlink()
  again = resolution.resolved(resolved)
  assert again.data.classes == resolved.data.classes
  assert class_table(again).names == tuple(FIVE)
  assert networks.model(again).segmentation.num_classes == 5
  for name in ('pixel', 'synthcp', 'direct', 'class_logistic'):
    assert fit_options(name, again).num_classes == 5


def test_the_default_is_cityscapes():
  config = resolution.resolved(fsnet_fcn8.get_config())
  assert config.data.classes == '' and class_table(config) is CITYSCAPES


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    ('{', 'five.json'),
    ('{"classes": []}', 'no list of two or more'),
    (
      json.dumps(table() | {'classes': table()['classes'][:2]}),
      r'does not list 5 \(pole\)',
    ),
  ],
)
def test_a_table_that_cannot_be_used(path, content, words):
  path.write_text(content)
  config = fsnet_fcn8.get_config()
  config.data.classes = str(path)
  with pytest.raises(UserError, match=words):
    resolved = resolution.resolved(config)
    data_sources.source(resolved, 'streets/day')


@pytest.mark.slow
def test_five_classes_to_the_report(shared, path, tmp_path):
  source = own_run.function(tmp_path).rpartition(':')[0]
  with open(source, 'a') as file:
    file.write('\n\ndef five(images):\n  return predict(images)[..., :5]\n')
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    config = own_run.config_of(
      shared, f'{source}:five', data__classes=str(path)
    )
    own_run.run(config, tmp_path / 'run')
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)
  found = json.loads((tmp_path / 'run/report/metrics.json').read_text())
  kept = class_table_file.from_text(found['config']['data']['classes'])
  assert kept.names == tuple(FIVE)
  entry = found['datasets']['streets/day']
  assert list(entry['segmentation']['iou']) == list(FIVE)
  # By hand, from the 19 classes of the same images.
  plain = own_run.config_of(shared, '')
  plain.segmentation.name = 'fcn8'
  scenes = data_sources.source(resolution.resolved(plain), 'streets/day')
  of_class = np.full(256, 255, np.uint8)
  for index, members in enumerate(FIVE.values()):
    of_class[[CITYSCAPES.index(one) for one in members]] = index
  correct = labelled = 0
  for index in range(len(scenes)):
    truth = of_class[scenes[index]['label']]
    logits = scenes[index]['image'].astype(np.float32) @ own_run.WEIGHTS.T
    known = truth != 255
    correct += ((logits[..., :5].argmax(-1) == truth) & known).sum()
    labelled += known.sum()
  assert entry['segmentation']['pixel_acc'] == pytest.approx(correct / labelled)
  page = (tmp_path / 'run/report/report.html').read_text()
  assert '#0a14c8' in page and 'moving' in page and 'vegetation' not in page


@pytest.mark.slow
def test_groups_of_a_table_are_told_apart_alone(shared, path, tmp_path):
  """19 classes in the five groups are as wrong as the five classes are."""
  names = [one for members in FIVE.values() for one in members]
  grouped = {
    'classes': [
      {'name': n, 'color': list(c), 'ids': [i]}
      for i, (n, c) in enumerate(
        zip(CITYSCAPES.names, CITYSCAPES.colors, strict=True)
      )
    ],
    'groups': {name: list(members) for name, members in FIVE.items()},
  }
  assert sorted(names) == sorted(CITYSCAPES.names)
  path.write_text(json.dumps(grouped))
  source = own_run.function(tmp_path)
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    config = own_run.config_of(
      shared, source, data__classes=str(path), eval__groups=True
    )
    own_run.run(config, tmp_path / 'run')
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)
  found = json.loads((tmp_path / 'run/report/metrics.json').read_text())
  entry = found['datasets']['streets/day']
  assert list(entry['segmentation']['iou']) == list(FIVE)
  plain = own_run.config_of(shared, '')
  plain.segmentation.name = 'fcn8'
  scenes = data_sources.source(resolution.resolved(plain), 'streets/day')
  group = np.full(256, 255)
  for index, members in enumerate(FIVE.values()):
    group[[CITYSCAPES.index(one) for one in members]] = index
  correct = labelled = 0
  for index in range(len(scenes)):
    label = scenes[index]['label']
    logits = scenes[index]['image'].astype(np.float32) @ own_run.WEIGHTS.T
    known = label != 255
    correct += ((group[logits.argmax(-1)] == group[label]) & known).sum()
    labelled += known.sum()
  assert entry['segmentation']['pixel_acc'] == pytest.approx(correct / labelled)


def test_groups_that_there_are_not(shared, tmp_path):
  config = own_run.config_of(
    shared, own_run.function(tmp_path), eval__groups=True
  )
  with pytest.raises(UserError, match='names no groups'):
    own_run.run(config, tmp_path / 'run')
