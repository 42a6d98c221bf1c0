"""The cells of the ablation: what differs, and what must not."""

import pytest

from common_lib.errors import UserError
from configs import ablation as ablation_config
from fsnet_jax.builders import networks
from fsnet_jax.config import validation
from fsnet_jax.experiments import ablation
from fsnet_jax.runtime.workdir import flatten


def flat(config):
  return flatten(config.to_dict())


@pytest.fixture(scope='module')
def base():
  return ablation_config.get_config('fcn8')


@pytest.mark.parametrize('name', ablation.VARIANTS)
def test_a_cell_differs_in_its_fields_alone(base, name):
  cell = ablation.variant_config(base, name, seed=3)
  before, after = flat(base), flat(cell)
  differing = {key for key in before if before[key] != after[key]} - {'seed'}
  fields = ablation.VARIANTS[name].fields
  assert all(after[key] == value for key, value in fields.items())
  expected = {key for key, value in fields.items() if before[key] != value}
  if name == 'joint_from_scratch':
    expected = {'phase1_steps', 'phase2_steps'}
    total = base.phase1_steps + base.phase2_steps
    assert (cell.phase1_steps, cell.phase2_steps) == (0, total)
  if not ablation.VARIANTS[name].phase3:
    expected.add('phase3_steps')
  assert differing == expected and cell.seed == 3
  validation.check(cell)
  networks.model(cell)


def test_removed_input_leaves_the_network(base):
  cell = ablation.variant_config(base, 'no_w4', seed=0)
  assert networks.model(cell).failure.inputs == (
    'x', 'w1', 'w2', 'w3', 'seg_features'
  )  # fmt: skip


def test_variants_of_f_share_one_phase_1(base):
  shared = [
    ablation.phase1_config(ablation.variant_config(base, name, 0), base)
    for name in ('full', 'single_branch', 'no_x')
  ]
  assert shared[0] == shared[1] == shared[2]
  assert shared[0].phase2_steps == 0
  part = ablation.phase1_config(
    ablation.variant_config(base, 'data_20', 0), base
  )
  assert part.data.train_fraction == 0.2


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('variants', ('full', 'no_w5'), "'no_w5'.*Did you mean no_w"),
    ('variants', (), 'at least one'),
    ('seeds', (), 'at least one'),
  ],
)
def test_mistakes_are_one_sentence(field, value, words):
  config = ablation_config.get_config('fcn8')
  config.ablation[field] = value
  with pytest.raises(UserError, match=words):
    ablation.check(config)


@pytest.mark.parametrize('name', ['fsnet', 'msp'])
def test_the_table_needs_both_detectors(name):
  config = ablation_config.get_config('fcn8')
  config.eval.detectors = tuple({'fsnet', 'msp', 'entropy'} - {name})
  with pytest.raises(UserError, match=f"config.eval.detectors lacks '{name}'"):
    ablation.check(config)


def test_plateau_cannot_share_phase_1():
  config = ablation_config.get_config('fcn8')
  config.switch = 'plateau'
  with pytest.raises(UserError, match="config.switch='steps'"):
    ablation.check(config)


def test_unknown_argument():
  with pytest.raises(ValueError, match='choose fcn8, deeplab_v2, efficientnet'):
    ablation_config.get_config('fcn8_kitti')
