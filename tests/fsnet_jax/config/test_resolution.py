"""A config from a file or from Python: complete, typed, with its paths."""

import random

import pytest
from ml_collections import ConfigDict, config_dict

from common_lib.errors import UserError
from configs import compare_fcn8, fsnet_fcn8, segxal_unet
from fsnet_jax.builders import networks
from fsnet_jax.config import fields, resolution
from segxal_jax.config import fields as segxal_fields
from tests.fsnet_jax.config.test_fields import shipped, table_of


def _changed(field, value, module=fsnet_fcn8):
  plain = module.get_config().to_dict()
  section = plain
  *parents, leaf = field.split('.')
  for parent in parents:
    section = section.setdefault(parent, {})
  section[leaf] = value
  return ConfigDict(plain)


def _without(field):
  plain = fsnet_fcn8.get_config().to_dict()
  section = plain
  *parents, leaf = field.split('.')
  for parent in parents:
    section = section[parent]
  del section[leaf]
  return ConfigDict(plain)


def test_shipped_configs_stay_as_they_are():
  for config in shipped():
    before = config.to_dict()
    result = resolution.resolved(config, table_of(config))
    assert before == config.to_dict()
    assert result.is_locked
    before['failure']['blocks'] = result.failure.blocks
    assert result.to_dict() == before


@pytest.mark.parametrize(
  ('preset', 'encoder', 'given', 'blocks'),
  [
    ('robust', '', 0, 1),
    ('light', '', 0, 1),
    ('paper', '', 0, 2),
    ('robust', 'resnet18', 0, 2),
    ('paper', '', 1, 1),
    ('robust', '', 2, 2),
  ],
)
def test_how_deep_f_is_is_decided_once(preset, encoder, given, blocks):
  config = fsnet_fcn8.get_config()
  config.failure.preset, config.failure.blocks = preset, given
  config.init.failure_encoder = encoder
  result = resolution.resolved(config)
  assert result.failure.blocks == blocks
  # Whoever builds the network of a config that no command has read.
  assert networks.failure(config).blocks == blocks
  # What is evaluated with another preset has the weights it had.
  again = ConfigDict(result.to_dict())
  again.failure.preset = 'paper' if preset == 'robust' else 'robust'
  assert resolution.resolved(again).failure.blocks == blocks


def test_json_gives_back_the_config_that_was_stored():
  import json

  config = resolution.resolved(
    segxal_unet.get_config('streets'), segxal_fields.FIELDS
  )
  stored = ConfigDict(json.loads(json.dumps(config.to_dict())))
  again = resolution.resolved(stored, segxal_fields.FIELDS)
  assert again.to_dict() == config.to_dict()
  assert isinstance(again.depth.percentiles, tuple)


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('batchsize', 4, "no field 'batchsize'. Did you mean batch_size?"),
    ('learning_rate', 0.1, 'Did you mean optimizer.learning_rate?'),
    ('optimiser.kind', 'sgd', 'Did you mean optimizer.kind?'),
    ('eval.root.camvid', 'x', 'Did you mean eval.roots.camvid?'),
    ('data.nme', 'x', "'data.nme'. Did you mean data.name?"),
    ('qqq', {}, "no field 'qqq'."),
    ('eval.roots.kitti', 'x', "config.eval.roots.kitti is 'kitti': choose"),
    ('eval.fitted.tpc', 'x', 'Did you mean tcp?'),
    ('data', 3, 'config.data is 3, but it is a section'),
    ('eval.roots', 'x', "config.eval.roots is 'x', but it is a section"),
    ('eval', None, 'config.eval is None, but it is a section'),
    ('width', {'height': 1}, 'config.width is a section, but it is a field'),
    ('batch_size', True, 'config.batch_size is True: give a whole number'),
    ('batch_size', None, 'config.batch_size is None'),
    ('batch_size', 10**5000, 'config.batch_size is of type int and too long'),
    ('width', float('nan'), 'config.width is nan: give a finite number'),
    ('image_size', (64, 128.0), 'config.image_size has 128.0'),
    ('image_size', '(64,128)', "config.image_size is '(64,128)': give 2"),
    ('seed', -1, 'config.seed is -1'),
    ('segmentation.skip_scale', (1, 2, 3), 'give 2 values, each a number'),
    ('segmentation.features', 'layer4', 'fcn8 offers pool5, fc7'),
    ('segmentation.padding', 'none', 'fcn8 offers pad99, same'),
    ('loss.beta_range', 0.5, 'config.loss.beta_range is 0.5: give 2 values'),
    ('eval.detectors', (), 'config.eval.detectors is (): give 1 or more'),
    ('eval.detectors', 'msp', "config.eval.detectors is 'msp'"),
    ('eval.detectors', ('msp', 'fsnt'), "has 'fsnt': choose one of fsnet,"),
    ('eval.datasets', ('a', 'a'), 'give each of them once'),
    ('switch', 'platau', 'Did you mean plateau?'),
    ('compare', {}, "lacks the field 'compare.seeds'"),
    ('compare.seeds', (0,), "lacks the field 'compare.fitted'"),
  ],
  ids=lambda value: value if isinstance(value, str) else '',
)
def test_a_mistake_is_one_sentence(field, value, words):
  with pytest.raises(UserError) as error:
    resolution.resolved(_changed(field, value))
  message = str(error.value)
  assert words in message
  assert '\n' not in message and message[-1] in '.?' and len(message) < 500


@pytest.mark.parametrize(
  ('field', 'words'),
  [
    ('eval', "no section 'eval"),
    ('eval.roots', "no section 'eval.roots'"),
    ('fit.tcp', "no section 'fit.tcp'"),
    ('batch_size', "lacks the field 'batch_size'"),
    ('data.name', "lacks the field 'data.name'"),
    ('task', "lacks the field 'task'"),
  ],
)
def test_what_is_missing_is_named(field, words):
  with pytest.raises(UserError, match=words):
    resolution.resolved(_without(field))


def test_a_section_comes_with_its_task():
  config = _changed('task', 'compare')
  with pytest.raises(UserError, match="no section 'compare'"):
    resolution.resolved(config)
  resolution.resolved(compare_fcn8.get_config())
  alone = segxal_unet.get_config('streets').to_dict()
  del alone['compare']
  with pytest.raises(UserError, match="no section 'compare'"):
    resolution.resolved(ConfigDict(alone), segxal_fields.FIELDS)


@pytest.mark.parametrize('config', [None, {'seed': 1}, 'x', 3, object()])
def test_no_config_dict(config):
  with pytest.raises(UserError, match='not a ConfigDict'):
    resolution.resolved(config)


def test_a_placeholder_that_nobody_filled():
  config = fsnet_fcn8.get_config()
  config.data.root = config_dict.placeholder(str)
  with pytest.raises(UserError, match='config.data.root is None: give a path'):
    resolution.resolved(config)


def test_paths_are_expanded(monkeypatch):
  monkeypatch.setenv('HOME', '/somewhere')
  config = segxal_unet.get_config('streets')
  values = {
    name: '~/x'
    for name, row in segxal_fields.FIELDS.items()
    if isinstance(row.kind, fields.PathText)
  }
  assert {'init.backbone', 'data.root', 'data.cache_dir'} < values.keys()
  roots = ('eval.roots.streets', 'eval.roots.camvid', 'eval.fitted.tcp')
  plain = config.to_dict()
  for name in (*values, *roots):
    section = plain
    *parents, leaf = name.split('.')
    for parent in parents:
      section = section[parent]
    if leaf != '*':
      section[leaf] = '~/x'
  plain['depth']['weights'] = '~/a,/b'
  result = resolution.resolved(ConfigDict(plain), segxal_fields.FIELDS)
  for name in (*values, *roots):
    if name.endswith('.*') or name == 'depth.weights':
      continue
    assert resolution.get(result, name) == '/somewhere/x', name
  assert result.depth.weights == '/somewhere/a,/b'
  again = resolution.resolved(result, segxal_fields.FIELDS)
  assert again.to_dict() == result.to_dict()


def test_words_and_empty_paths_stay():
  config = _changed('compilation_cache_dir', 'off')
  result = resolution.resolved(config)
  assert result.compilation_cache_dir == 'off'
  assert result.init.backbone == ''


def test_a_data_set_of_ones_own_has_a_root(monkeypatch):
  from input_pipeline.datasets import DATASETS

  config = _changed('eval.roots.mini', '/data/mini')
  with pytest.raises(UserError, match="'mini'"):
    resolution.resolved(config)
  monkeypatch.setitem(DATASETS, 'mini', 'my_package.mini')
  assert resolution.resolved(config).eval.roots.mini == '/data/mini'


def test_whatever_stands_in_a_field_is_a_sentence():
  """Any value in any field: a config or a UserError, nothing else."""
  rng = random.Random(0)
  values = [
    *(None, True, 0, -1, 1, 10**400, 0.5, float('nan'), float('-inf'), ''),
    *('x', 'x' * 10_000, '\x1b[2J', '\udc80', (), (1,), ((),), [1, [2]], b'x'),
    *({}, {'a': 1}, object(), (None,), ('x', 'x'), (0.1, 0.2), 1e300),
  ]
  rows = [name for name in fields.COMMON if not name.endswith('.*')]
  wrong = 0
  for name in rows:
    for value in rng.sample(values, 3):
      try:
        resolution.resolved(_changed(name, value))
      except UserError as error:
        wrong += 1
        assert '\n' not in str(error) and '\x1b' not in str(error)
        assert len(str(error)) < 700
  assert wrong > len(rows)
