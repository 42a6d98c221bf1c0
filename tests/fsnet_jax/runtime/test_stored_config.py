"""A run's own config: read back as configs have it, and held to."""

import json
import re

import pytest

from common_lib.errors import UserError
from configs import (
  ablation,
  al_compare,
  al_reference,
  common,
  compare_fcn8,
  fit_detector,
  fsnet_deeplabv2,
  fsnet_fcn8,
  segxal_manual,
  segxal_unet,
  stored_run,
)
from fsnet_jax.config import fields
from fsnet_jax.runtime import stored_config
from segxal_jax.config import fields as segxal_fields
from tests.paths import ROOT

SHIPPED = (
  ablation,
  al_compare,
  al_reference,
  compare_fcn8,
  fit_detector,
  fsnet_deeplabv2,
  fsnet_fcn8,
  segxal_manual,
  segxal_unet,
)


def store(folder, config):
  folder.mkdir(exist_ok=True)
  plain = config if isinstance(config, dict) else stored_config.as_plain(config)
  (folder / 'config.json').write_text(json.dumps(plain))
  return folder


@pytest.mark.parametrize('module', SHIPPED, ids=lambda m: m.__name__)
def test_what_is_stored_comes_back_as_it_was(module, tmp_path):
  config = module.get_config()
  found = stored_run.get_config(str(store(tmp_path, config)))
  assert found.to_dict() == config.to_dict()
  assert types(found) == types(config)


def types(config):
  flat = stored_config.flatten(config.to_dict())
  return {key: type(value) for key, value in flat.items()}


def test_an_older_run_has_one_per_pixel_network_over_all_pixels(tmp_path):
  config = stored_config.as_plain(fsnet_fcn8.get_config())
  assert config['fit']['pixel'].pop('colorless') is True
  assert config['fit']['pixel'].pop('stride') == 0
  found = stored_run.get_config(str(store(tmp_path, config)))
  assert found.fit.pixel.colorless is False
  assert found.fit.pixel.stride == 1


def test_fields_of_newer_versions_have_their_default(tmp_path):
  config = stored_config.as_plain(fsnet_fcn8.get_config())
  del config['eval']['name'], config['fit'], config['eval']['roots']['camvid']
  found = stored_run.get_config(str(store(tmp_path, config)))
  assert found.eval.name == '' and found.eval.roots.camvid == ''
  assert found.fit == common.get_config().fit
  assert found.phase1_steps == 400  # its own, not the default


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('batch_size', '8'),
    ('batch_size', True),
    ('batch_size', 8.5),
    ('batch_size', None),
    ('width', [1.0]),
    ('eval', 3),
    ('eval.datasets', 'streets/day'),
    ('eval.roots', ['x']),
  ],
)
def test_a_damaged_config_is_named(field, value, tmp_path):
  config = stored_config.as_plain(fsnet_fcn8.get_config())
  *parents, leaf = field.split('.')
  node = config
  for parent in parents:
    node = node[parent]
  node[leaf] = value
  store(tmp_path, config)
  words = f'config.json, .* is damaged: its {field} is no'
  with pytest.raises(UserError, match=words):
    stored_run.get_config(str(tmp_path))


@pytest.mark.parametrize(
  'text', ['', '{', '[]', '[' * 99_999, '{"a": 1}', '{}']
)
def test_what_is_no_config_is_one_sentence(text, tmp_path):
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(UserError, match=r'config\.json.* give --config'):
    stored_run.get_config(str(tmp_path))


@pytest.mark.parametrize(
  'flags',
  [
    ['--workdir={run}', '--mode=evaluate'],
    ['--mode=evaluate', '-workdir', '{run}'],
    ['--workdir={run}', '--config.seed=1', '--', '--config=x'],
  ],
)
def test_a_command_without_config_takes_that_of_its_folder(flags, tmp_path):
  run = store(tmp_path / 'run', fsnet_fcn8.get_config())
  argv = ['main.py', *(flag.format(run=run) for flag in flags)]
  found = stored_config.completed(argv, ROOT)
  assert found[0] == 'main.py' and found[2:] == argv[1:]
  given = re.fullmatch(r'--config=(.*stored_run\.py):(.*)', found[1])
  assert given[2] == str(run)
  assert stored_config.config_name(found[1].removeprefix('--config=')) == 'run'


@pytest.mark.parametrize(
  'flags',
  [
    ['--config=x.py', '--workdir={run}'],
    ['-config', 'x.py', '--workdir={run}'],
    ['--workdir={run}/no_such'],
    ['--workdir'],
    ['--', '--workdir={run}'],
    [],
  ],
)
def test_other_commands_stay_as_they_are(flags, tmp_path):
  run = store(tmp_path / 'run', fsnet_fcn8.get_config())
  argv = ['main.py', *(flag.format(run=run) for flag in flags)]
  assert stored_config.completed(argv, ROOT) == argv


def test_a_run_is_named_by_its_config_file():
  name = stored_config.config_name
  assert name('configs/fsnet_fcn8.py') == 'fsnet_fcn8'
  assert name('configs/fsnet_fcn8.py:camvid') == 'fsnet_fcn8_camvid'


def check(run, config, mode='evaluate'):
  own = config.task == 'segxal'
  table = segxal_fields.FIELDS if own else fields.FIELDS
  stored_config.check_overrides(config, f'x/stored_run.py:{run}', mode, table)


@pytest.mark.parametrize(
  ('module', 'field', 'value'),
  [
    (fsnet_fcn8, 'eval.datasets', ('streets/night',)),
    (fsnet_fcn8, 'eval.roots.camvid', 'there'),
    (fsnet_fcn8, 'data.root', 'there'),
    (fsnet_fcn8, 'data.cache_dir', 'there'),
    (fsnet_fcn8, 'compilation_cache_dir', 'off'),
    (ablation, 'ablation.variants', ('full',)),
    (compare_fcn8, 'compare.reference', 'msp'),
    (segxal_unet, 'eval.batch_size', 2),
  ],
)
def test_a_look_at_a_run_may_differ_in_this(module, field, value, tmp_path):
  config = module.get_config()
  run = store(tmp_path, config)
  config.update_from_flattened_dict({field: value})
  check(run, config)


@pytest.mark.parametrize(
  ('module', 'field', 'value'),
  [
    (fsnet_fcn8, 'batch_size', 3),
    (fsnet_fcn8, 'data.name', 'camvid'),
    (fsnet_fcn8, 'data.num_test', 3),
    (fsnet_fcn8, 'image_size', (32, 64)),
    (fsnet_fcn8, 'fit.width', 3.0),
    # Each cycle is measured when it is there, on the data sets of then.
    (segxal_unet, 'eval.datasets', ('streets/night',)),
    (al_compare, 'compare.seeds', (7,)),
  ],
)
def test_but_in_nothing_else(module, field, value, tmp_path):
  config = module.get_config()
  run = store(tmp_path, config)
  config.update_from_flattened_dict({field: value})
  words = rf'--workdir={run} is a run whose {field} was .* and is now .*: only'
  with pytest.raises(UserError, match=words) as error:
    check(run, config)
  assert '\n' not in str(error.value)
  # A config file of its own is compared when the folder is opened.
  stored_config.check_overrides(config, 'configs/fsnet_fcn8.py', 'evaluate')


def test_many_differences_are_counted():
  old = dict.fromkeys('abcde', 0)
  new = dict.fromkeys('abcde', 1)
  words = stored_config.in_words(stored_config.differences(old, new, 'train'))
  assert words.startswith('a was 0 and is now 1; b was')
  assert words.endswith('c was 0 and is now 1 (and 2 more)')
