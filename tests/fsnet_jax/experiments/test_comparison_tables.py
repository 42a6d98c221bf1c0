"""Seeds joined and shown: hand-computed cells."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from configs import compare_fcn8
from fsnet_jax.experiments.comparison import (
  figures,
  merge,
  page,
  paper_tables,
  tables,
)
from fsnet_jax.experiments.comparison.evaluation import SeedResult
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.ranking import BUDGETS
from fsnet_jax.report import paper_numbers
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages.table import as_markdown, as_text
from fsnet_jax.report.schema import MEASURE_KEYS
from tests.fsnet_jax.report import report_data

NAMES = ('msp', 'fsnet', 'tcp')


def detector(auroc, ece):
  entry = report_data.make_detector(auroc=auroc, ece=ece)
  entry['class_macro'] = dict.fromkeys(MEASURE_KEYS, 0.25)
  entry['risk_at_coverage_class_macro'] = entry['risk_at_coverage']
  entry['caught_at_budget'] = dict.fromkeys(BUDGETS, 0.5)
  entry['image_mean'] = {'fpr95_error': auroc / 2}
  return entry


def seed_result(seed, gain, images=12):
  entries = {
    'msp': detector(0.8, 0.1),
    'fsnet': detector(0.8 + gain, None),
    'tcp': detector(0.7, 0.1),
  }
  datasets = {
    name: report_data.make_dataset(entries, 0.1 + 0.1 * seed)
    | {'images': images}
    for name in ('cityscapes:val', 'cityscapes:val@fog3', 'bdd100k')
  }
  segments = dict.fromkeys(('siou', 'ppv', 'f1'), 0.2) | {'flagged': 0.125}
  resolution = dict.fromkeys(bootstrap.METRICS, 1e-4) | {'fpr95_error': 0.02}
  draws = np.linspace(-0.01, 0.01, 41)
  values = {
    'msp': np.full(41, 0.8),
    'fsnet': 0.8 + gain + draws,
    'tcp': np.full(41, np.nan),
  }
  return SeedResult(
    seed=seed,
    metrics=report_data.make_metrics(datasets),
    alone=report_data.make_metrics(datasets),
    segments={
      d: {n: dict.fromkeys(BUDGETS, segments) for n in NAMES} for d in datasets
    },
    resolution={d: dict.fromkeys(NAMES, resolution) for d in datasets},
    resampled={
      dataset: {
        name: dict.fromkeys(bootstrap.METRICS, drawn)
        for name, drawn in values.items()
      }
      for dataset in datasets
    },
    costs={
      'segmentation': {'trainings_of_s': 1, 'seconds': 60.0, 'images': 800},
      'fsnet': {'trainings_of_s': 0, 'seconds': 10.0 + seed, 'images': 400},
    },
    panel=Path('none.png'),
  )


@pytest.fixture(scope='module')
def content():
  results = [seed_result(0, 0.1), seed_result(1, 0.06)]
  config = compare_fcn8.get_config('cityscapes')
  merged = merge.merge(results, config, 'fsnet')
  # What is written is what is shown.
  return json.loads(json.dumps(merged, allow_nan=False))


def rows(table, block, title):
  for row in table.blocks[block][1]:
    if row[0].text == title:
      return row
  raise AssertionError(title)


def test_mean_and_spread_over_seeds(content):
  entry = content['datasets']['bdd100k']
  auroc = entry['failure']['fsnet']['pooled']['auroc']
  assert auroc['mean'] == pytest.approx(0.88)
  assert auroc['std'] == pytest.approx(0.04 / np.sqrt(2))
  assert auroc['seeds'] == [0.9, pytest.approx(0.86)]
  rate = entry['segmentation']['fsnet']['base_error_rate']
  assert rate['mean'] == pytest.approx(0.15)
  assert merge.spread([0.5])['std'] is None
  assert merge.spread([0.5, None])['mean'] is None
  assert entry['failure']['fsnet']['pooled']['ece']['mean'] is None


def test_paired_differences(content):
  found = content['datasets']['bdd100k']['differences']
  gap = found['msp']['auroc']
  # Both seeds draw -0.01 .. 0.01 around gains 0.1 and 0.06.
  assert gap['difference'] == pytest.approx(0.08)
  assert (gap['low'], gap['high']) == pytest.approx((0.0705, 0.0895))
  assert found['tcp']['auroc'] is None  # no draw is defined
  row = rows(tables.differences_table(content), 2, 'MSP')
  assert row[1] == tables.Cell('+8.00 [+7.05, +8.95] 2/2', best=True)
  # Lower is better: draws of 8 points more FPR95 are no win.
  assert row[2].text == '+0.00 [+7.05, +8.95] † 0/2' and not row[2].best
  assert gap['seeds'] == pytest.approx([0.1, 0.06])


def test_the_error_of_the_ranges_stands_below_each_metric(content):
  table = tables.differences_table(content)
  assert table.columns[1:3] == ['AUROC', 'FPR95']
  for block in range(3):
    last = table.blocks[block][1][-1]
    assert [cell.text for cell in last] == [
      'resolved to', '0.010', '2.000', '0.010', '0.010', '0.100',
    ]  # fmt: skip
    assert not any(cell.best for cell in last)


@pytest.mark.parametrize('images', [1, 9])
def test_few_images_have_no_interval(images):
  config = compare_fcn8.get_config('cityscapes')
  merged = merge.merge([seed_result(0, 0.1, images)], config, 'fsnet')
  entry = merged['datasets']['bdd100k']
  found = entry['differences']['msp'].values()
  assert all(one is None for one in found)
  table = tables.differences_table(merged)
  assert rows(table, 2, 'MSP')[1:] == [tables.Cell('—')] * 5
  assert any('10 images' in note for note in table.notes)


def test_the_papers_rows_stand_beside_ours(content):
  table = tables.failure_table(content, 'pooled')
  assert [row[0].text for row in table.blocks[0][1]] == ['MSP', 'TCP', 'FSNet']
  row = rows(table, 0, 'FSNet')
  assert row[3] == tables.Cell('88.00 ± 2.83', best=True)
  assert [cell.text for cell in row[-4:]] == [
    '67.83', '98.98', '94.35', '21.52',
  ]  # fmt: skip
  assert all(cell.theirs for cell in row[-4:])
  # Neither corrupted data nor data of ours beyond the first are the paper's.
  assert [c.text for c in rows(table, 1, 'FSNet')[-4:]] == ['–'] * 4
  assert rows(table, 2, 'MSP')[-4].text == '60.40'
  macro = tables.failure_table(content, 'class_macro')
  assert len(macro.columns) == len(table.columns) - 5
  assert table.columns[-5] == 'FPR95/image'


def test_table_ii_has_both_networks_s(content):
  table = tables.segmentation_table(content)
  first = table.blocks[0][1]
  assert [row[0].text for row in first] == [
    'S alone (phase 1)', "FSNet's S (joint)",
  ]  # fmt: skip
  assert [row[-1].text for row in first] == ['35.19', '39.23']
  assert 'base error rate 15.00 ± 7.07 %' in table.blocks[0][0]
  assert any('S alone' in note and 'SynthCP' in note for note in table.notes)


@pytest.mark.parametrize(
  'make',
  [tables.segmentation_table, lambda c: tables.failure_table(c, 'pooled')],
)
def test_it_is_said_whose_the_papers_numbers_are(content, make):
  table = make(content)
  heads = [heading for heading, _ in table.blocks]
  assert [head.rpartition('; paper: ')[2] for head in heads] == [
    'Cityscapes', heads[1], 'BDD100K',
  ]  # fmt: skip
  assert 'paper: ' in table.columns[-1]
  # Of one data set alone, beside data that the paper does not have.
  ours = {'streets/day': content['datasets']['bdd100k']}
  table = make(content | {'datasets': ours})
  assert table.columns[-1].startswith('paper (Cityscapes): ')
  assert table.blocks[0][0].endswith('; paper: Cityscapes')
  text = as_text(table)
  assert 'p. ' in text and '(Cityscapes):' not in text
  assert 'p. ' not in as_text(table, paper=False)
  table = make(content | {'datasets': ours, 'network': 'unet'})
  assert table.columns[-1].startswith('paper: ')
  assert 'paper' not in table.blocks[0][0]


def test_segments_say_what_share_was_flagged(content):
  table = tables.segments_table(content)
  place = table.columns.index('flagged 10 %')
  assert [row[place] for row in table.blocks[0][1]] == [
    tables.Cell('12.50 ± 0.00')
  ] * 3


def test_the_scale_of_tcps_images_follows_the_config(content):
  def note(of):
    notes = tables.failure_table(of, 'pooled').notes
    return next(one for one in notes if 'published TCP' in one)

  assert 'ours is fed as S is' in note(content)
  other = json.loads(json.dumps(content))
  other['config']['fit']['tcp']['input'] = 'synthcp'
  assert 'as S is' not in note(other) and 'so is ours' in note(other)


def test_costs(content):
  table = tables.costs_table(content)
  assert [c.text for c in rows(table, 0, 'FSNet')[1:]] == ['0', '10', '400']
  assert [c.text for c in rows(table, 0, 'MSP')[1:]] == ['0', '0', '0']
  assert rows(table, 0, 'S itself (all methods)')[2].text == '60'
  # A detector whose fit is not on record has no cost of 0.
  assert rows(table, 0, 'TCP')[1].text == '—'


def test_published_numbers_follow_the_variant_that_was_published():
  assert paper_tables.row_of('tcp', ('tcp', 'msp')) == 'tcp'
  assert paper_tables.row_of('tcp', ('tcp', 'tcp_msp')) is None
  assert paper_tables.row_of('tcp_msp', ('tcp', 'tcp_msp')) == 'tcp'
  # Where TCP is there as it was published, its numbers stand beside that.
  both = ('tcp', 'tcp_msp', 'tcp_synthcp', 'tcp_synthcp_msp')
  assert [paper_tables.row_of(n, both) for n in both] == [
    None,
    None,
    None,
    'tcp',
  ]
  assert paper_tables.row_of('tcp_synthcp', ('tcp', 'tcp_synthcp')) == 'tcp'
  assert paper_tables.row_of('tcp', ('tcp', 'tcp_synthcp')) is None
  assert paper_tables.row_of('fsnet', ('fsnet', 'fsnet_msp')) == 'fsnet'
  assert paper_tables.row_of('fsnet_msp', ('fsnet', 'fsnet_msp')) is None
  assert paper_tables.row_of('entropy', ('entropy',)) is None
  for network in paper_numbers.TABLE_III.values():
    for dataset in network.values():
      assert max(dataset, key=lambda n: dataset[n].ap_error) == 'fsnet'


def test_order_and_choice_of_methods():
  names = ['fsnet', 'fsnet_msp', 'msp', 'entropy', 'tcp_msp', 'tcp', 'synthcp']
  assert tables.ordered(names) == [
    'synthcp', 'msp', 'tcp', 'tcp_msp', 'entropy', 'fsnet_msp', 'fsnet',
  ]  # fmt: skip
  drawn = figures.drawn(names)
  assert drawn[:2] == ['fsnet', 'synthcp'] and 'tcp' not in drawn
  assert len(figures.drawn([*names, *'abcdefgh'])) == 9
  names = ['msp', 'tcp_synthcp', 'mc_dropout_synthcp', 'tcp', 'mc_dropout']
  assert tables.ordered([*names, 'tcp_synthcp_msp', 'tcp_msp']) == [
    'mc_dropout', 'mc_dropout_synthcp', 'msp',
    'tcp', 'tcp_msp', 'tcp_synthcp', 'tcp_synthcp_msp',
  ]  # fmt: skip
  drawn = figures.drawn([*names, 'tcp_synthcp_msp', 'tcp_msp'])
  assert {'tcp_msp', 'tcp_synthcp_msp'} < set(drawn)
  assert not {'tcp', 'tcp_synthcp'} & set(drawn)


def test_every_renderer_shows_every_table(content):
  shown = tables.all_tables(content)
  for table in shown.values():
    text, markdown = as_text(table), as_markdown(table)
    for _, block in table.blocks:
      for row in block:
        assert len(row) == len(table.columns)
        assert all(cell.text in text for cell in row)
        assert all(cell.text in markdown for cell in row)
  short = as_text(shown['failure'], paper=False)
  assert '67.83' not in short and '88.00 ± 2.83*' in short
  figure = figures.risk_coverage([content], 'risk_at_coverage')
  assert len([a for a in figure.axes if a.get_visible()]) == 3
  other = content | {'network': 'deeplab_v2'}
  figure = figures.risk_coverage(
    [content, other], 'risk_at_coverage_class_macro'
  )
  titles = [axes.get_title(loc='left') for axes in figure.axes]
  assert len(titles) == 6 and titles[3] == 'DeepLabV2, cityscapes:val'
  # More data sets than fit a row: the networks stand side by side.
  figure = figures.risk_coverage(
    [_with_more(content), _with_more(other)], 'risk_at_coverage'
  )
  titles = [axes.get_title(loc='left') for axes in figure.axes]
  assert titles[-2:] == ['FCN8, streets/day', 'DeepLabV2, streets/day']
  assert figure.axes[0].get_gridspec().ncols == 2
  png = plots.to_png(figure)
  pictures = dict.fromkeys(
    ('risk_coverage', 'risk_coverage_class_macro', 'detectors'), png
  )
  html = page.render(content, shown, pictures)
  for note in (
    *paper_tables.CAVEATS_II,
    *paper_tables.caveats_iii('segmentation'),
  ):
    assert note.split("'")[0].split('"')[0].split('<')[0] in html
  assert 'id="examples"' not in html and 'http' not in html
  html = page.render(content, shown, pictures | {'qualitative': png})
  assert 'id="examples"' in html


def _with_more(content):
  """With a fourth data set."""
  first = next(iter(content['datasets'].values()))
  return content | {
    'datasets': content['datasets'] | {'streets/day': first},
  }


def test_one_seed_has_no_spread():
  config = compare_fcn8.get_config('cityscapes')
  one = dataclasses.replace(seed_result(0, 0.1), costs={})
  merged = merge.merge([one], config, 'msp')
  table = tables.failure_table(merged, 'pooled')
  assert rows(table, 0, 'FSNet')[3].text == '90.00'
  assert rows(tables.costs_table(merged), 0, 'FSNet')[1].text == '—'
