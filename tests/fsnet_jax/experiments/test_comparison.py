"""The comparison's cells: what differs, what is shared, what is refused."""

import copy
import json
import pathlib

import pytest

from common_lib.errors import UserError
from configs import compare_deeplabv2, compare_fcn8, stored_run
from fsnet_jax import cli
from fsnet_jax.builders import networks
from fsnet_jax.config import run_paths, validation
from fsnet_jax.experiments import comparison
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.metrics.ranking import COVERAGES
from fsnet_jax.models import mc_dropout
from fsnet_jax.runtime.workdir import flatten, open_workdir


def flat(config):
  return flatten(config.to_dict())


@pytest.mark.parametrize('protocol', ['streets', 'camvid', 'cityscapes'])
@pytest.mark.parametrize('module', [compare_fcn8, compare_deeplabv2])
def test_shipped_configs_can_serve_every_detector(module, protocol):
  config = module.get_config(protocol)
  validation.check(config)
  comparison.check(config)
  assert mc_dropout.problem(networks.segmentation(config)) is None
  assert config.data.validation_split  # for the temperature


def test_cells_differ_in_what_they_must():
  config = compare_fcn8.get_config()
  config.compare.fitted = ('tcp',)
  config.eval.fitted.direct = '/of/the/user'
  phase1, fsnet, fit = cells.of_seed(config, 3)
  before, after = flat(config), flat(fsnet.config)
  differing = {key for key in after if before.get(key) != after[key]}
  assert differing == {
    'task', 'seed', 'init.phase1', 'eval.detectors', 'eval.fitted.tcp',
  }  # fmt: skip
  assert not any(key.startswith('compare') for key in after)
  assert {'tcp', 'tcp_msp'} <= set(fsnet.config.eval.detectors)
  # What learns looks at the S that FSNet ends with, the one it is judged on.
  home = pathlib.Path('/w/seed3')
  places = {}
  for cell in (phase1, fsnet, fit):
    validation.check(cell.config)
    assert cell.config.phase1_steps == config.phase1_steps
    assert cell.config.seed == cell.number == 3
    places[cell.title] = cell.place(pathlib.Path('/w'))
  assert places == {
    'phase 1': home / 'phase1',
    'FSNet': home / 'fsnet',
    'fit of tcp': home / 'fitted/tcp',
  }
  found = {
    cell.title: run_paths.located(cell.config, places[cell.title])
    for cell in (phase1, fsnet, fit)
  }
  assert found['FSNet'].init.phase1 == str(home / 'phase1')
  assert found['FSNet'].eval.fitted.tcp == str(home / 'fitted/tcp')
  assert found['fit of tcp'].init.phase1 == str(home / 'fsnet')
  assert found['fit of tcp'].fit.failure_data == str(home / 'failure_data')
  assert found['phase 1'].init.phase1 == ''
  assert found['phase 1'].phase2_steps == 0
  for cell in found.values():
    assert cell.eval.fitted.direct == '/of/the/user'


def test_both_ways_to_feed_tcp_in_one_comparison():
  config = compare_fcn8.get_config()
  config.compare.fitted = ('tcp', 'tcp_synthcp')
  comparison.check(config)
  joint = cells.joint_config(config, 0)
  assert joint.eval.detectors[-4:] == (
    'tcp', 'tcp_msp', 'tcp_synthcp', 'tcp_synthcp_msp',
  )  # fmt: skip
  folders = joint.eval.fitted
  assert folders.tcp_synthcp == '{workdir}/../fitted/tcp_synthcp'
  assert folders.tcp == '{workdir}/../fitted/tcp'
  assert 'tcp_synthcp' not in compare_fcn8.get_config().compare.fitted


def test_an_observer_is_compared_where_it_is_asked_for():
  config = compare_fcn8.get_config()
  assert 'obsnet' not in config.compare.fitted
  config.compare.fitted = ('obsnet',)
  comparison.check(config)
  joint = cells.joint_config(config, 0)
  assert joint.eval.detectors[-1] == 'obsnet'
  assert joint.eval.fitted.obsnet == '{workdir}/../fitted/obsnet'


def test_seeds_and_methods_may_be_added_to_a_comparison(tmp_path):
  config = compare_fcn8.get_config()
  with open_workdir(tmp_path, config):
    (tmp_path / 'seed0/phase1/checkpoints/4').mkdir(parents=True)
  more = copy.deepcopy(config)
  more.compare.seeds = (0, 1, 2, 3)
  more.compare.fitted = ('tcp',)
  with open_workdir(tmp_path, more):
    stored = stored_run.get_config(str(tmp_path))
  assert stored.compare.seeds == (0, 1, 2, 3) and stored == more
  more.width = 0.5
  with (
    pytest.raises(UserError, match='width was 0.125 and is now 0.5'),
    open_workdir(tmp_path, more),
  ):
    pass


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('compare.seeds', (), 'at least one'),
    ('compare.seeds', (0, 0), 'each seed once'),
    ('compare.fitted', ('tpc',), "'tpc'.*Did you mean tcp"),
    ('compare.fitted', ('tcp', 'tcp'), "config.compare.fitted.*'tcp' twice"),
    ('eval.datasets', ('streets/day',) * 2, "eval.datasets.*'streets/day' twi"),
    ('eval.detectors', ('fsnet', 'fsnet'), "eval.detectors.*'fsnet' twice"),
    ('compare.reference', 'entropyy', 'config.compare.reference.*mean entropy'),
    ('compare.resamples', 10, 'give 40 or more'),
    ('compare.segment_images', -1, 'config.compare.segment_images is -1'),
    ('compare.ablation.num_seeds', 4, 'num_seeds is 4.*give 0 to 3'),
    ('compare.ablation.variants', ('no_w5',), "ablation.*'no_w5'.*no_w"),
    ('switch', 'plateau', "config.switch='steps'"),
    ('phase2_steps', 0, 'joint phase'),
    ('eval.detectors', ('msp',), 'config.compare.reference'),
  ],
)
def test_a_mistake_is_one_sentence(field, value, words):
  config = compare_fcn8.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=words) as error:
    comparison.check(config)
  assert '\n' not in str(error.value)


def test_evaluating_nothing_is_a_mistake(tmp_path):
  config = compare_fcn8.get_config()
  with pytest.raises(UserError, match='no finished seed'):
    comparison.run(config, tmp_path, 'evaluate', {})


@pytest.mark.parametrize('name', ['ensemble', 'tcp_msp', 'entropy'])
def test_every_compared_detector_can_be_the_reference(name):
  config = compare_fcn8.get_config()
  config.compare.reference = name
  comparison.check(config)
  config.eval.detectors = ('fsnet',)
  config.compare.fitted = ()
  with pytest.raises(UserError, match='config.compare.reference'):
    comparison.check(config)


def test_a_detector_that_the_comparison_fits_needs_no_folder():
  config = compare_fcn8.get_config()
  config.eval.detectors = ('fsnet', 'tcp_msp')
  model = networks.model(config)
  cli._check_detectors(config, model)
  entries = cells.entries_of(config)
  assert entries[:2] == ('fsnet', 'tcp_msp') and 'tcp' in entries[2:]
  config.compare.fitted = ('direct',)
  words = "'tcp_msp'.*add 'tcp' to config.compare.fitted"
  with pytest.raises(UserError, match=words) as error:
    cli._check_detectors(config, model)
  assert '\n' not in str(error.value)
  config.task = 'fsnet'
  with pytest.raises(UserError, match='set config.eval.fitted.tcp'):
    cli._check_detectors(config, model)


def beside(folder, content):
  """The config of a comparison beside a folder with this compare.json."""
  (folder / 'report').mkdir(parents=True)
  (folder / 'report' / 'compare.json').write_text(json.dumps(content))
  config = compare_fcn8.get_config()
  config.compare.beside = str(folder)
  return config


def spread(value=0.5):
  return {'mean': value, 'std': None, 'seeds': [value]}


def whole(**changes):
  """What figures need of another network's comparison."""
  msp = {
    'pooled': {'auroc': spread(), 'fpr95_error': spread(None)},
    'risk_at_coverage': {one: spread(0.1) for one in COVERAGES},
    'risk_at_coverage_class_macro': {one: spread(0.1) for one in COVERAGES},
  }
  for path, value in changes.items():
    group, _, key = path.partition('__')
    if key:
      msp[group] = msp[group] | {key: value}
    else:
      msp[group] = value
  return {
    'schema': 1,
    'network': 'unet',
    'datasets': {'streets/day': {'failure': {'msp': msp}}},
  }


WHOLE = whole()


def test_another_network_may_stand_beside(tmp_path):
  comparison.check(beside(tmp_path, WHOLE))


@pytest.mark.parametrize(
  'content',
  [
    {},
    [],
    None,
    WHOLE | {'schema': 2},
    {key: WHOLE[key] for key in ('schema', 'datasets')},
    {key: WHOLE[key] for key in ('schema', 'network')},
    WHOLE | {'datasets': {}},
    WHOLE | {'datasets': {'streets/day': None}},
    WHOLE | {'datasets': {'streets/day': {'failure': {'msp': {}}}}},
    WHOLE | {'datasets': {'streets/day': {'failure': {}}}},
    WHOLE | {'datasets': {'\x1b[2J': WHOLE['datasets']['streets/day']}},
    WHOLE | {'datasets': [WHOLE]},
    WHOLE | {'schema': True},
    WHOLE | {'schema': 10**400},
    WHOLE | {'network': ['unet']},
    WHOLE | {'network': 'u' * 2000},
    whole(pooled=[1]),
    whole(pooled__auroc=0.5),
    whole(pooled__auroc={'std': 0.5}),
    whole(pooled__auroc=spread('0.5')),
    whole(pooled__auroc=spread(10**400)),
    whole(pooled__auroc=spread(float('nan'))),
    whole(pooled__auroc=spread(50)),
    whole(risk_at_coverage={}),
    whole(risk_at_coverage__half=spread()),
    whole(risk_at_coverage_class_macro=None),
    json.loads('[' * 900 + ']' * 900),
  ],
)
def test_half_a_comparison_beside_is_a_mistake(tmp_path, content):
  with pytest.raises(UserError, match='config.compare.beside') as error:
    comparison.check(beside(tmp_path, content))
  said = str(error.value)
  assert 'no finished comparison' in said
  assert '\n' not in said and '\x1b' not in said and len(said) < 700


def test_a_folder_without_a_comparison_beside_is_a_mistake(tmp_path):
  config = beside(tmp_path, WHOLE)
  for text in ('', '{"schema": ', '[' * 100_000, '{"schema": ' + '9' * 5000):
    (tmp_path / 'report' / 'compare.json').write_text(text)
    with pytest.raises(UserError, match='holds no finished comparison'):
      comparison.check(config)
  (tmp_path / 'report' / 'compare.json').unlink()
  with pytest.raises(UserError, match='no finished comparison.*No such file'):
    comparison.check(config)


def test_the_same_network_beside_is_a_mistake(tmp_path):
  config = beside(tmp_path, WHOLE | {'network': 'fcn8'})
  words = 'config.compare.beside.*fcn8.*another network'
  with pytest.raises(UserError, match=words):
    comparison.check(config)
