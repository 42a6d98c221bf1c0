"""Table IV with hand-computed cells."""

from fsnet_jax.report import ablation_table
from fsnet_jax.report.paper_numbers import FSNET_TABLE_IV_CITYSCAPES
from tests.report import report_data


def run(auroc, error_rate=0.1):
  dataset = report_data.make_dataset(
    {
      'fsnet': report_data.make_detector(auroc=auroc),
      'msp': report_data.make_detector(auroc=0.8),
    },
    error_rate,
  )
  return report_data.make_metrics({'streets/day': dataset})


def row(table, title):
  return next(line for line in table.splitlines() if f'| {title} |' in line)


def test_ours_and_the_papers_stand_side_by_side():
  cells = {
    'full': {0: run(0.88), 1: run(0.92)},
    'no_w4': {1: run(0.7)},
    'joint_from_scratch': {0: run(None, error_rate=0.3)},
  }
  table = ablation_table.markdown(cells, 'fcn8')
  # 88 and 92: mean 90, deviation 2 sqrt 2.
  full = row(table, 'all (multi-branch)')
  assert '| 2 | 10.00 ± 0.00 |' in full and '| 90.00 ± 2.83 |' in full
  assert full.endswith('| - | 80.00 ± 0.00 | 67.83 | 94.35 |')
  # Paired: seed 1 alone has both.
  without = row(table, 'without w4')
  assert without.endswith('| 70.00 | 30.00 | -22.00 | 80.00 | 45.85 | 79.85 |')
  joint = row(table, 'joint from scratch')
  assert '| 30.00 |' in joint and joint.endswith('| - | - |')


def test_the_papers_numbers_stand_beside_the_first_data_set_alone():
  metrics = run(0.9)
  metrics['datasets']['streets/fog'] = metrics['datasets']['streets/day']
  table = ablation_table.markdown({'full': {0: metrics}}, 'fcn8')
  rows = [line for line in table.splitlines() if 'all (multi' in line]
  assert rows[0].endswith('| 67.83 | 94.35 |') and rows[1].endswith('| - | - |')


def test_network_that_the_paper_lacks_has_no_numbers_of_it():
  table = ablation_table.markdown({'full': {0: run(0.9)}}, 'unet')
  assert row(table, 'all (multi-branch)').endswith('| - | - |')


def test_full_fsnet_is_the_best_of_the_papers_removals():
  for rows in FSNET_TABLE_IV_CITYSCAPES.values():
    assert len(rows) == 9
    assert all(rows['full'][0] >= other[0] for other in rows.values())
