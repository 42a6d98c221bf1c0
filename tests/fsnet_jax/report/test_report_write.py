import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fsnet_jax import report
from fsnet_jax.report import text as report_text
from fsnet_jax.report import write
from tests.fsnet_jax.report.report_data import (
  make_dataset,
  make_detector,
  make_example,
  make_metrics,
)


def test_report_folder(metrics, tmp_path):
  group = [make_example(seed) for seed in range(2)]
  folder = tmp_path / 'run' / 'report'
  paths = report.write_report(folder, metrics, {'camvid/0001TP:val': group})
  assert [path.name for path in paths] == [
    'metrics.json',
    'report.html',
    'risk_coverage.png',
    'detectors.png',
    'examples_camvid_0001TP_val.png',
  ]
  assert sorted(paths) == sorted(folder.iterdir())
  assert json.loads(paths[0].read_text()) == metrics
  sheet = np.array(Image.open(paths[-1]))
  np.testing.assert_array_equal(
    sheet, report.example_sheet(group, ['fsnet', 'msp'])
  )
  assert 'id="examples"' in paths[1].read_text()


def test_pictures_of_an_earlier_report_are_not_left_beside(metrics, tmp_path):
  group = [make_example(0)]
  report.write_report(tmp_path, metrics, {'camvid/0001TP:val': group})
  for name in ('.examples_gone.png.a1b2c3d4', 'examples_gone.png', 'panel.png'):
    (tmp_path / name).write_text('')
  paths = report.write_report(tmp_path, metrics, {})
  assert {*tmp_path.iterdir()} == {*paths, tmp_path / 'panel.png'}


def test_only_maps_that_the_examples_carry_are_shown(metrics, tmp_path):
  example = make_example(detectors=('entropy',))
  *_, path = report.write_report(tmp_path, metrics, {'streets/day': [example]})
  np.testing.assert_array_equal(
    np.array(Image.open(path)), report.example_panel(example, ['entropy'])
  )


def test_report_is_replaced(metrics, tmp_path):
  report.write_report(tmp_path, metrics, {})
  metrics['datasets']['streets/day']['images'] = 4321
  report.write_report(tmp_path, metrics, {'streets/day': []})
  assert '4,321' in (tmp_path / 'report.html').read_text()
  assert not list(tmp_path.glob('examples_*'))


@pytest.mark.parametrize(
  ('examples', 'message'),
  [
    ({'mars': [make_example()]}, "Examples of 'mars'"),
    (
      {'streets/day': [make_example(detectors=('tcp',))]},
      'none of its detectors: fsnet, msp, entropy',
    ),
    (
      {'streets/day': [make_example(0), make_example(1, detectors=('fsnet',))]},
      "'frame_1' has no failure map of msp",
    ),
  ],
)
def test_wrong_examples_write_nothing(metrics, tmp_path, examples, message):
  with pytest.raises(ValueError, match=message):
    report.write_report(tmp_path / 'report', metrics, examples)
  assert not list(tmp_path.iterdir())


def test_wrong_metrics_write_nothing(metrics, tmp_path):
  del metrics['datasets']['streets/day']['images']
  with pytest.raises(ValueError, match='images'):
    report.write_report(tmp_path / 'report', metrics, {})
  assert not list(tmp_path.iterdir())


def test_file_names_are_safe_and_differ():
  names = write.file_names(
    [
      'streets/fog:test',
      'streets_fog/test',
      'Streets/Fog',
      'streets:fog',
      'ä b',
    ]
  )
  assert names == [
    'streets_fog_test',
    'streets_fog_test_2',
    'Streets_Fog',
    'streets_fog_2',
    '_b',
  ]


def test_text_table_marks_the_best_and_names_the_undefined(metrics):
  lines = report.text_table(metrics).splitlines()
  fsnet, msp, entropy = lines[3:6]
  assert lines[2] == ('streets/day: 48 images, error rate 10.00%, mIoU 41.00')
  assert fsnet.split()[:5] == ['FSNet', '50.00', '95.00', '91.00*', '30.00*']
  assert msp.split()[3:5] == ['88.00', '34.00']
  assert msp.split()[-1] == '2.00*'
  assert fsnet.split()[-1] == '5.00'
  assert entropy.split()[-1] == '-'


def test_text_table_columns_stand_below_their_titles(metrics):
  lines = report.text_table(metrics).splitlines()
  assert lines[0].index('AUROC') + len('AUROC') == lines[3].index('91.00*') + 6


def test_text_table_is_never_wider_than_the_terminal():
  detectors = {
    f'a_detector_with_a_rather_long_name_{index}': make_detector(
      1.0, 1.0, aurc=1.0, augrc=1.0, coverage_at_5_risk=1.0, ece=1.0
    )
    for index in range(8)
  }
  # One that is worse, so that the others are marked.
  detectors['msp'] = make_detector(0.5, 1.0, aurc=1.0)
  dataset = make_dataset(detectors)
  dataset['images'] = 123456789
  metrics = make_metrics({'x' * 200: dataset, 'short': dataset})
  text = report.text_table(metrics)
  lines = text.splitlines()
  assert max(map(len, lines)) <= report_text.TEXT_WIDTH == 100
  assert text.isascii()
  # Cut names do not move the numbers, and no two of them run together.
  of_detectors = [line for line in lines if line.startswith('  a_detector')]
  rows = [line.split() for line in of_detectors if '[' not in line]
  assert len(rows) == 16
  intervals = [line for line in of_detectors if '[' in line]
  assert len(intervals) == 16
  assert all('+50.00 [+49.90, +50.10]  ' in line for line in intervals)
  assert all(len(row) == 10 for row in rows)
  assert all(row[3:5] == ['100.00*', '100.00'] for row in rows)
  assert all(row[6:8] == ['1000.00'] * 2 for row in rows)
  assert all(row[8] == '100.00*' for row in rows)


def test_text_table_has_the_differences_and_the_words(metrics):
  lines = report.text_table(metrics).splitlines()
  start = lines.index('') + 5
  head, fsnet, entropy, words = lines[start : start + 4]
  assert head.split() == ['less', 'MSP', 'AUROC', 'FPR95', 'AP-Err']
  assert fsnet.split() == [
    'FSNet', '+3.00', '[+2.90,', '+3.10]', '-4.00', '[-4.10,', '-3.90]',
    '+0.00', '[-0.10,', '+0.10]',
  ]  # fmt: skip
  # AUROC 88.5 and 88.0, FPR95 35 and 34.
  assert entropy.split()[:4] == ['Entropy', '+0.50', '[+0.40,', '+0.60]']
  assert entropy.split()[4:7] == ['+1.00', '[+0.90,', '+1.10]']
  assert words == '  FSNet is ahead of MSP and Entropy on AUROC and FPR95.'
  for title in ('AUROC', 'FPR95', 'AP-Err'):
    place = head.index(title) + len(title)
    assert fsnet[place - 1] == ']' and fsnet[place : place + 1] in ('', ' ')


def test_text_table_says_where_there_is_no_interval(metrics):
  day = metrics['datasets']['streets/day']
  day['images'] = 2
  for detector in day['failure'].values():
    detector['difference_to_msp'] = detector['difference_to_fsnet'] = None
  text = report.text_table(metrics)
  assert '  2 images cannot tell a difference from chance' in text
  assert text.count('less MSP') == 1  # that of the other data set


def test_text_table_has_both_means_where_they_differ(metrics):
  segmentation = metrics['datasets']['streets/day']['segmentation']
  segmentation['miou_cityscapes'] = segmentation['miou']
  assert ', mIoU 41.00\n' in report.text_table(metrics)
  segmentation['miou_cityscapes'] = 0.3
  assert "mIoU 41.00 (by Cityscapes' script 30.00)" in report.text_table(
    metrics
  )


def test_report_does_not_need_jax():
  program = (
    'import sys, fsnet_jax.report;'
    ' sys.exit(sorted({"jax", "flax", "tensorflow"} & set(sys.modules)) or 0)'
  )
  subprocess.run([sys.executable, '-c', program], check=True)
