"""The folder of an evaluation: told by what was asked, never training's."""

import json
import re

import pytest

from common_lib.errors import UserError
from configs import ablation, fsnet_fcn8
from fsnet_jax.evaluation import folders
from fsnet_jax.runtime.workdir import open_workdir


def config_of(**fields):
  config = fsnet_fcn8.get_config()
  config.eval.datasets = ('streets/night',)
  config.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in fields.items()}
  )
  return config


def test_the_name_can_be_read_and_repeats():
  name = folders.name_of(config_of())
  assert re.fullmatch(r'streets_night-[0-9a-f]{8}', name)
  assert name == folders.name_of(config_of(eval__num_examples=9))
  two = folders.name_of(config_of(eval__datasets=('streets/day', 'camvid:val')))
  assert two.startswith('streets_day_and_camvid_val-')
  many = tuple(f'streets/day@fog{level}' for level in range(1, 6))
  name = folders.name_of(config_of(eval__datasets=many))
  assert name.startswith('streets_day_fog1_and_4_more-')
  long = folders.name_of(config_of(eval__datasets=('x' * 300,)))
  assert len(long) == 60 + 1 + 8


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('eval.datasets', ('streets_night',)),
    ('eval.detectors', ('msp',)),
    ('eval.checkpoint', 'best'),
    ('eval.exact_pixels', 0),
    ('eval.details', False),
    ('data.root', '/elsewhere'),
  ],
)
def test_what_is_asked_in_another_way_has_another_folder(field, value):
  other = config_of()
  other.update_from_flattened_dict({field: value})
  assert folders.name_of(other) != folders.name_of(config_of())


def test_fits_and_samples_count_where_they_are_used():
  names = {
    folders.name_of(config_of(eval__fitted__tcp=folder))
    for folder in ('', 'a', 'b')
  }
  assert len(names) == 1
  learns = {
    folders.name_of(
      config_of(eval__fitted__tcp=folder, eval__detectors=('tcp',))
    )
    for folder in ('a', 'b', './b')
  }
  assert len(learns) == 2
  samples = {
    folders.name_of(
      config_of(eval__dropout_samples=n, eval__detectors=('mc_dropout',))
    )
    for n in (3, 4)
  }
  assert len(samples) == 2


def test_a_name_of_ones_own(tmp_path):
  config = config_of(eval__name='at_night-2')
  folders.check_name(config)
  found = folders.of_evaluation(config, tmp_path)
  assert found == tmp_path / 'evaluations' / 'at_night-2'


@pytest.mark.parametrize(
  'name', ['.', '..', 'a/b', '.x', ' ', 'a b', 'x' * 101]
)
def test_a_name_that_is_no_folders_is_refused(name):
  with pytest.raises(UserError, match='config.eval.name is '):
    folders.check_name(config_of(eval__name=name))


def test_a_training_command_keeps_to_its_report(tmp_path):
  config = config_of()
  assert folders.after_training(config, tmp_path) == tmp_path / 'report'
  path = tmp_path / 'report' / 'metrics.json'
  path.parent.mkdir()
  path.write_text(json.dumps({'config': config.to_dict()}))
  assert folders.after_training(config, tmp_path) == tmp_path / 'report'
  again = config_of(eval__num_examples=1, eval__batch_size=2)
  assert folders.after_training(again, tmp_path) == tmp_path / 'report'
  other = config_of(eval__detectors=('msp',))
  found = folders.after_training(other, tmp_path)
  assert found == folders.of_evaluation(other, tmp_path)
  path.write_text('{}')
  assert folders.after_training(other, tmp_path) == tmp_path / 'report'


def test_a_table_in_other_settings_is_an_evaluation(tmp_path):
  config = ablation.get_config('fcn8')
  with open_workdir(tmp_path, config):
    report = tmp_path / 'report'
  assert folders.of_table(config, tmp_path, 'evaluate') == report
  config.ablation.variants = ('full',)
  fewer = folders.of_table(config, tmp_path, 'evaluate')
  assert fewer.parent == tmp_path / 'evaluations'
  assert folders.of_table(config, tmp_path, 'train') == report
  config.ablation.variants = ('full', 'no_w4')
  assert folders.of_table(config, tmp_path, 'evaluate') != fewer
  config.eval.name = 'two'
  named = folders.of_table(config, tmp_path, 'evaluate')
  assert named == tmp_path / 'evaluations' / 'two'
