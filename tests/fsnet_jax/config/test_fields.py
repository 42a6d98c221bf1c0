"""The table of fields: complete, read, and what follows from it."""

import ast
import importlib

import pytest

from configs import al_compare
from fsnet_jax.config import fields, names
from fsnet_jax.config.kinds import Many
from fsnet_jax.config.words import Name
from fsnet_jax.runtime.workdir import flatten
from segxal_jax.config import fields as segxal_fields
from tests.paths import ROOT

_NETWORKS = ('fcn8', 'deeplab_v2')
_PROTOCOLS = ('streets', 'camvid', 'cityscapes')
SHIPPED = {
  'fsnet_fcn8': _PROTOCOLS,
  'fsnet_deeplabv2': _PROTOCOLS,
  'fsnet_efficientnet': _PROTOCOLS,
  'compare_fcn8': (*_PROTOCOLS, 'camvid_full'),
  'compare_deeplabv2': (*_PROTOCOLS, 'camvid_full'),
  'compare_efficientnet': _PROTOCOLS,
  'own': ('streets', 'folder', 'camvid'),
  'compare_own': ('streets', 'folder', 'camvid'),
  'ablation': (*_NETWORKS, *(f'{n}_cityscapes' for n in _NETWORKS)),
  'fit_detector': (*_NETWORKS, *(f'{n}_cityscapes' for n in _NETWORKS)),
  'segxal_unet': _PROTOCOLS,
  'segxal_own': ('streets', 'folder'),
  'segxal_manual': ('streets', 'midas', 'dinov2', 'depth_anything'),
  'al_compare': al_compare.arguments(),
  'al_reference': _PROTOCOLS,
}
# They are of no protocol; the others take their fields, or a run's.
_SHARED = ('common', 'segxal_common', 'stored_run')


def table_of(config):
  own = config.task == 'segxal'
  return segxal_fields.FIELDS if own else fields.FIELDS


def shipped():
  """Every config that is shipped."""
  for name, arguments in SHIPPED.items():
    module = importlib.import_module(f'configs.{name}')
    for argument in arguments:
      yield module.get_config(argument)


def test_every_config_file_is_looked_at():
  files = {path.stem for path in (ROOT / 'configs').glob('*.py')}
  assert files - {'__init__', *_SHARED} == set(SHIPPED)


def test_every_field_has_a_row_and_every_row_a_field():
  """Of an open section, every key that is shipped counts for its row."""
  seen = {'fsnet': set(), 'segxal': set()}
  for config in shipped():
    table = table_of(config)
    flat = set(flatten(config.to_dict()))
    assert [name for name in flat if fields.find(name, table) is None] == []
    seen['segxal' if config.task == 'segxal' else 'fsnet'] |= flat
  for kind, table in (
    ('fsnet', fields.FIELDS),
    ('segxal', segxal_fields.FIELDS),
  ):
    for row in table:
      section = row.removesuffix('*')
      used = row in seen[kind] or any(
        name.startswith(section) for name in seen[kind] if row != section
      )
      assert used, f'{row} is a field of no shipped config'


def _words_read() -> set[str]:
  """Every attribute and every word of a text in the packages' code."""
  found = set()
  for package in ('fsnet_jax', 'segxal_jax', 'launcher'):
    for path in (ROOT / package).rglob('*.py'):
      if path.parent.name == 'config' and path.name != 'builders.py':
        continue
      for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
          found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
          found.update(node.value.replace('.', ' ').split())
  return found


def test_every_row_is_read():
  read = _words_read()
  assert 'no_such_field' not in read
  rows = {**fields.FIELDS, **segxal_fields.FIELDS}
  leaves = {row.removesuffix('.*').rpartition('.')[2] for row in rows}
  assert sorted(leaves - read) == []


@pytest.mark.parametrize(
  'name',
  [
    *(n for n in vars(names).values() if isinstance(n, Name)),
    segxal_fields.STRATEGY,
    segxal_fields.ORACLE,
    segxal_fields.PROVIDER,
  ],
  ids=lambda name: name.what,
)
def test_names_are_those_of_their_table(name):
  assert set(name.names) == set(name.registered())


def test_inputs_of_f_are_those_of_the_network():
  from fsnet_jax.models.failure.failure_net import INPUTS

  kind = fields.FIELDS['failure.inputs'].kind
  assert isinstance(kind, Many)
  assert kind.item.choices == INPUTS


def test_find():
  find = fields.find
  assert find('batch_size') is fields.FIELDS['batch_size']
  assert find('eval.roots.mini') is fields.FIELDS['eval.roots.*']
  for name in ('eval.roots.*', 'eval.roots', 'eval.roots.a.b', 'eval', '*', ''):
    assert find(name) is None
  assert find('pool.holdout') is None
  assert find('pool.holdout', segxal_fields.FIELDS) is not None


def _free_by_prefix(table, prefixes):
  return {name for name in table if name.startswith(prefixes)}


def _free(table, decided):
  example = {name: name.replace('*', 'tcp') for name in table}
  return {
    name for name in table if fields.may_differ(example[name], decided, table)
  }


_NOT_OF_A_RUN = (
  'ablation.',
  'compare.',
  'eval.',
  'calibrate.',
  'predict.',
  'export.',
  'segmentation.path',
  'segmentation.members',
  'segmentation.threads',
  'segmentation.provider',
  'data.root',
  'data.cache_dir',
  'data.num_workers',
  'log_every_steps',
  'compilation_cache_dir',
)


def _of_phase_3():
  return {n for n in fields.FIELDS if n.startswith(('fit.pixel.', 'fit.conv.'))}


def test_what_may_change_when_a_run_goes_on():
  from fsnet_jax.runtime import stored_config

  expected = _free_by_prefix(
    fields.FIELDS, (*_NOT_OF_A_RUN, 'failure.preset', 'fit.')
  )
  expected -= _of_phase_3()
  assert _free(fields.FIELDS, stored_config._TRAINED) == expected
  table = segxal_fields.FIELDS
  words = [word for word in _NOT_OF_A_RUN if word != 'compare.']
  of_oracle = tuple(
    f'oracle.{name}' for name in ('wait', 'poll_secs', 'recorded')
  )
  # What is estimated of a click changes none.
  of_oracle += ('oracle.secs_a_click',)
  # A command that failed is corrected.
  own = ('failure.preset', 'fit.', 'learner.command', *of_oracle)
  expected = _free_by_prefix(table, (*words, *own))
  expected -= _of_phase_3()
  # Each cycle is measured on them.
  assert _free(table, stored_config._TRAINED) == expected - {'eval.datasets'}


def test_what_a_shared_phase_1_does_not_depend_on():
  from fsnet_jax.training import phase1_reuse

  expected = _free_by_prefix(
    fields.FIELDS,
    (
      *_NOT_OF_A_RUN,
      'data.num_test',
      'failure.',
      'fit.',
      'init.',
      'loss.',
      'optimizer.failure_learning_rate',
      'phase2_steps',
      'phase3_steps',
      'segmentation.cache',
      'stop_gradient_to_segmentation',
      'task',
    ),
  )
  assert _free(fields.FIELDS, phase1_reuse._FIXED) == expected


def test_what_failure_data_do_not_depend_on():
  from fsnet_jax.learned_detectors import cross_predictions

  expected = _free_by_prefix(
    fields.FIELDS,
    (
      *_NOT_OF_A_RUN,
      'data.num_test',
      'failure.',
      'fit.',
      'loss.',
      'optimizer.failure_learning_rate',
      'phase3_steps',
      'phase2_steps',  # There is no second phase in networks like S,
      'segmentation.cache',
      'stop_gradient_to_segmentation',
      'task',  # and all of them are plain runs.
    ),
  )
  assert _free(fields.FIELDS, cross_predictions._FIXED) == expected


def test_what_a_fit_does_not_depend_on():
  from fsnet_jax.learned_detectors import fit_metadata

  expected = _free_by_prefix(
    fields.FIELDS,
    (
      *_NOT_OF_A_RUN,
      'data.num_test',
      'failure.',
      'fit.detector',
      'fit.failure_data',
      'init.phase1',
      'init.segmentation',
      'loss.',
      'optimizer.failure_learning_rate',
      'phase2_steps',
      'phase3_steps',
      'stop_gradient_to_segmentation',
      'task',
    ),
  )
  expected |= _of_phase_3()
  expected -= {'failure.width'}
  assert _free(fields.FIELDS, fit_metadata.FIXED) == expected
  relevant = fit_metadata._relevant(
    'tcp',
    {'fit': {'tcp': {'steps': 1}, 'direct': {'steps': 2}, 'width': 0.0}},
    fit_metadata.FIXED,
  )
  assert relevant == {'fit.tcp.steps': 1, 'fit.width': 0.0}


def test_what_weights_mean():
  same = {
    name
    for name in fields.FIELDS
    if name.startswith('segmentation.')
    and fields.may_differ(name, fields.WEIGHTS)
  }
  assert same == {
    'segmentation.features',
    'segmentation.dropout_rate',
    'segmentation.frozen_bn',
    # Of a network from elsewhere, whose weights are not stored.
    'segmentation.path',
    'segmentation.members',
    'segmentation.threads',
    'segmentation.provider',
    'segmentation.cache',
  }
  assert not fields.may_differ('width', fields.WEIGHTS)


def test_an_unknown_field_of_another_version_may_not_differ():
  assert not fields.may_differ('data.colour_space', fields.DATA)
  assert not fields.may_differ('colour', fields.NOTHING)
