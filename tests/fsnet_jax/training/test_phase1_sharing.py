"""Which earlier runs may lend their phase 1."""

import json

import pytest

from common_lib.errors import UserError
from configs import compare_fcn8, fsnet_fcn8
from fsnet_jax.training import phase1_reuse


def lender(tmp_path, **changes):
  config = fsnet_fcn8.get_config()
  config.phase2_steps = 0
  for key, value in changes.items():
    config[key] = value
  tmp_path.joinpath('config.json').write_text(json.dumps(config.to_dict()))
  borrower = fsnet_fcn8.get_config()
  borrower.failure.branches = 'single'
  borrower.loss.l2_weight = 0.5
  borrower.init.phase1 = str(tmp_path)
  return borrower


def test_another_failure_network_is_fine(tmp_path):
  phase1_reuse.check(lender(tmp_path))


def test_a_cell_lends_to_a_config_of_its_comparison(tmp_path):
  lender(tmp_path)
  config = compare_fcn8.get_config()
  config.init.phase1 = str(tmp_path)
  phase1_reuse.check(config)


@pytest.mark.parametrize(
  ('field', 'value'), [('seed', 1), ('batch_size', 4), ('phase1_steps', 9)]
)
def test_what_phase_1_depends_on_must_agree(tmp_path, field, value):
  with pytest.raises(UserError, match=f'whose {field} was {value}'):
    phase1_reuse.check(lender(tmp_path, **{field: value}))


def test_folder_that_is_no_run(tmp_path):
  config = fsnet_fcn8.get_config()
  config.init.phase1 = str(tmp_path / 'none')
  with pytest.raises(UserError, match='none, which holds no run'):
    phase1_reuse.check(config)


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('', 'config of a run, cannot be read'),
    ('[]', 'holds no JSON object'),
    ('[' * 100_000, 'nested too deep'),
    ('{"init": 3}', 'whose config.json has no failure.decoder'),
    ('{"phase2_steps": "many"}', "config.phase2_steps is 'many'"),
    ('{"data": {"num_train": [[1]]}}', 'config.data.num_train is'),
  ],
)
def test_a_damaged_config_of_that_run_is_named(tmp_path, text, words):
  config = lender(tmp_path)
  (tmp_path / 'config.json').write_text(text)
  with pytest.raises(UserError, match='config.init.phase1 names') as error:
    phase1_reuse.check(config)
  assert words in str(error.value)
