"""Table IV with hand-computed cells."""

import json

import pytest

from fsnet_jax.experiments import ablation
from fsnet_jax.report import ablation_table, measures
from fsnet_jax.report.paper_numbers import TABLE_IV_CITYSCAPES
from tests.fsnet_jax.report import report_data


def run(auroc, error_rate=0.1):
  dataset = report_data.make_dataset(
    {
      'fsnet': report_data.make_detector(auroc=auroc),
      'msp': report_data.make_detector(auroc=0.8),
    },
    error_rate,
  )
  return report_data.make_metrics({'streets/day': dataset})


def rows(cells, network='fcn8'):
  """Texts of the rows, by data set and title."""
  table = ablation_table.table(ablation_table.summary(cells), network)
  return {
    dataset: {row[0].text: [cell.text for cell in row[1:]] for row in block}
    for dataset, block in table.blocks
  }


def test_ours_and_the_papers_stand_side_by_side():
  cells = {
    'full': {0: run(0.88), 1: run(0.92)},
    'no_w4': {1: run(0.7)},
    'joint_from_scratch': {0: run(None, error_rate=0.3)},
  }
  found = rows(cells)['streets/day']
  # 88 and 92: mean 90, deviation 2 sqrt 2; ahead of MSP by 8 and 12.
  full = found['all (multi-branch)']
  assert full[:2] == ['2', '10.00 ± 0.00'] and '90.00 ± 2.83' in full
  assert full[-5:] == [
    '80.00 ± 0.00', '+10.00 ± 2.83, 2/2', '', '67.83', '94.35'
  ]  # fmt: skip
  # Paired: seed 1 alone has both.
  without = found['without w4']
  assert without[-5:] == ['80.00', '-10.00', '-22.00', '45.85', '79.85']
  joint = found['joint from scratch']
  assert joint[1] == '30.00' and joint[-4:-2] == [measures.UNDEFINED] * 2
  assert joint[-2:] == ['–', '–']


def test_the_summary_is_plain_numbers_by_seed():
  cells = {'full': {0: run(0.88), 3: run(0.92)}, 'no_x': {3: run(0.9)}}
  found = json.loads(json.dumps(ablation_table.summary(cells)))
  assert found['full']['seeds'] == [0, 3]
  without = found['no_x']['datasets']['streets/day']
  assert without['auroc_less_full'] == [pytest.approx(-0.02)]
  assert without['auroc_less_msp'] == [pytest.approx(0.1)]


def test_the_papers_numbers_stand_beside_the_first_data_set_alone():
  metrics = run(0.9)
  metrics['datasets']['streets/fog'] = metrics['datasets']['streets/day']
  found = rows({'full': {0: metrics}})
  assert found['streets/day']['all (multi-branch)'][-2:] == ['67.83', '94.35']
  assert found['streets/fog']['all (multi-branch)'][-2:] == ['–', '–']


def test_network_that_the_paper_lacks_has_no_numbers_of_it():
  found = rows({'full': {0: run(0.9)}}, 'unet')['streets/day']
  assert found['all (multi-branch)'][-2:] == ['–', '–']


def test_every_variant_has_a_title():
  cells = {name: {0: run(0.9)} for name in ablation.VARIANTS}
  titles = rows(cells)['streets/day'].keys()
  assert len(titles) == len(ablation.VARIANTS)
  assert titles & set(ablation.VARIANTS) == {'skips'}


def test_full_fsnet_is_the_best_of_the_papers_removals():
  for table in TABLE_IV_CITYSCAPES.values():
    assert len(table) == 9
    assert all(table['full'][0] >= other[0] for other in table.values())
