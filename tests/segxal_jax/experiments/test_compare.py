import dataclasses
import json
import types

import numpy as np
import pytest
from scipy import stats

from common_lib.errors import UserError
from configs import al_compare
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages.table import as_markdown
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.experiments import (
  loop_cells,
  methods,
  strategy_comparison,
)
from segxal_jax.loop import cycle_files, stage_timings
from segxal_jax.queries.error_counts import Counts
from segxal_jax.report import (
  comparison,
  comparison_tables,
  curves,
  error_shares,
  paired,
  person_time,
)


def _cycle(cost, miou, iou=(0.2, 0.4)):
  return {
    'seconds': {'train': 3.0, 'explain': 2.0, 'query': 4.0},
    'labelled_images': cost,
    'cost': {'images': cost, 'pixels': 100 * cost, 'clicks': 10 * cost},
    'datasets': {
      'streets': {
        'segmentation': {'miou': miou, 'iou': dict(zip('ab', iou))},
      }
    },
  }


def _run(*pairs):
  return [_cycle(cost, miou) for cost, miou in pairs]


def test_area_is_the_mean_miou_over_the_budget():
  # From 10 to 30 images: trapezoids 10 * 0.3 and 10 * 0.45 over 20.
  pairs = curves.points(
    _run((10, 0.2), (20, 0.4), (30, 0.5)), 'streets', 'images'
  )
  np.testing.assert_allclose(curves.area(pairs), (3.0 + 4.5) / 20)


@pytest.mark.parametrize('pairs', [[], [(1.0, 0.5)], [(1.0, 0.5), (1.0, 0.6)]])
def test_a_curve_without_width_has_no_area(pairs):
  assert curves.area(pairs) is None


def test_the_gap_is_measured_over_the_budget_of_both():
  mine = _run((0, 0.2), (10, 0.4))
  other = _run((0, 0.1), (20, 0.5))
  # Until 10 images: means 0.3 and (0.1 + 0.3) / 2.
  np.testing.assert_allclose(
    curves.gap(mine, other, 'streets', 'images'), 0.3 - 0.2
  )
  assert curves.gap(mine, _run((0, 0.1)), 'streets', 'images') is None


def test_table_by_hand():
  results = {
    'Random': {0: _run((0, 0.2), (10, 0.4)), 1: _run((0, 0.2), (10, 0.2))},
    'SegXAL': {0: _run((0, 0.2), (10, 0.5)), 1: _run((0, 0.2), (10, 0.4))},
  }
  random, ours = comparison.table(results, 'streets')
  np.testing.assert_allclose(random['miou']['mean'], 0.3)
  np.testing.assert_allclose(random['miou']['std'], np.std([0.4, 0.2], ddof=1))
  np.testing.assert_allclose(random['class_std']['mean'], 0.1)
  assert random['lead'] is None and ours['seeds'] == [0, 1]
  gaps = [0.05, 0.1]
  for unit in curves.AXES:
    lead = ours['lead'][unit]
    np.testing.assert_allclose(lead['mean'], np.mean(gaps))
    half = 12.706 * np.std(gaps, ddof=1) / np.sqrt(2)
    np.testing.assert_allclose(lead['half_width'], half, rtol=1e-3)
    test = stats.ttest_1samp(gaps, 0)
    np.testing.assert_allclose(lead['p_value'], test.pvalue, rtol=1e-4)
    assert (lead['ahead'], lead['seeds']) == (2, 2)
  assert ours['iou'] == {'a': 0.2, 'b': 0.4}
  assert ours['seconds'] == {'train': 3.0, 'query': 6.0}
  tables = comparison_tables.of_dataset([random, ours], 'streets')
  text = '\n'.join(map(as_markdown, tables))
  assert '| Random | 2 | 30.00 ± 14.14 |' in text and '+7.50 ± ' in text
  # In the layout of the paper's table 1, its numbers beside ours.
  last = tables[-1].blocks[0][1]
  assert [cell.text for cell in last[0]][-2:] == ['59.00', '20.61']
  assert [cell.text for cell in last[1]][-2:] == ['63.56', '20.12']
  assert last[0][-1].theirs and not last[0][1].theirs
  json.dumps([random, ours])


def test_measured_and_estimated_time_are_never_one_number():
  timed = _run((0, 0.2), (10, 0.4))
  timed[-1]['cost'] |= {'seconds': 90.0, 'timed_clicks': 40}
  results = {'machine': {0: _run((0, 0.2), (10, 0.4))}, 'people': {0: timed}}
  machine, people = comparison.table(results, 'streets', secs_a_click=1.5)
  # Of a hundred clicks; of those of people forty were timed.
  assert machine['time'] == {'measured': None, 'estimated': 150.0}
  assert people['time'] == {'measured': 90.0, 'estimated': 90.0}
  text = as_markdown(
    comparison_tables.of_dataset([machine, people], 'streets')[0]
  )
  assert '| 100 | \N{EM DASH} | 2 min | 3.0 |' in text
  assert '| 100 | 90 s | 90 s | 3.0 |' in text
  unknown = comparison.table(results, 'streets')[0]['time']
  assert unknown == {'measured': None, 'estimated': None}


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [
    (None, '\N{EM DASH}'),
    (0.0, '0 s'),
    (99.4, '99 s'),
    (150.0, '2 min'),
    (6000.0, '1.7 h'),
    (5.4e6, '1,500.0 h'),
  ],
)
def test_time_as_a_person_says_it(seconds, text):
  assert person_time.shown(seconds) == text


def test_hours_over_the_clicks_say_that_they_are_estimated():
  run = curves.by_axis(_run((1, 0.2), (2, 0.3)), 'streets')
  figure = curves.figure([curves.Curve('a', [run])], None, secs_a_click=1.75)
  (hours,) = figure.axes[curves.UNITS.index('clicks')].child_axes
  assert hours.get_xlabel() == 'hours, estimated at 1.75 s a click'
  plots.to_png(figure)
  clicks = np.array(figure.axes[2].get_xlim())
  np.testing.assert_allclose(hours.get_xlim(), clicks * 1.75 / 3600)
  for axes in curves.figure([curves.Curve('a', [run])], None).axes:
    assert axes.child_axes == []


def _with_near(run, miou, meters=15.0):
  run[-1]['datasets']['streets']['near'] = {
    'meters': meters,
    'pixels': 9,
    'miou': miou,
  }
  return run


def test_near_pixels_are_compared_by_seed():
  def seeds(*values):
    run = [_with_near(_run((0, 0.2), (10, 0.4)), value) for value in values]
    return dict(enumerate(run))

  results = {'Random': seeds(0.3, 0.5, None), 'SegXAL': seeds(0.4, 0.8, 0.9)}
  random, ours = comparison.table(results, 'streets')
  assert random['near']['lead'] is None
  # Not of a seed that has no value.
  assert random['near']['miou'] == {'mean': None, 'std': None}
  np.testing.assert_allclose(ours['near']['miou']['mean'], 0.7)
  lead = ours['near']['lead']
  np.testing.assert_allclose(lead['mean'], 0.2)
  test = stats.ttest_1samp([0.1, 0.3], 0)
  np.testing.assert_allclose(lead['p_value'], test.pvalue, rtol=1e-4)
  text = as_markdown(comparison_tables.of_dataset([random, ours], 'streets')[2])
  assert 'nearer than 15 m' in text and '+20.00 ± ' in text
  assert '| Random | \N{EM DASH} | 40.00 ± 0.00 | \N{EM DASH} |' in text


def test_what_is_near_is_the_same_for_all_or_not_known():
  # Measured at another distance, or before there was depth.
  results = {
    'a': {0: _with_near(_run((0, 0.2), (10, 0.4)), 0.3)},
    'b': {0: _with_near(_run((0, 0.2), (10, 0.4)), 0.4, meters=20.0)},
    'c': {0: _run((0, 0.2), (10, 0.4))},
  }
  rows = comparison.table(results, 'streets')
  assert [row['near']['miou']['mean'] for row in rows] == [0.3, None, None]
  assert [row['near']['lead'] for row in rows] == [None, None, None]
  text = as_markdown(comparison_tables.of_dataset(rows[2:], 'streets')[2])
  assert '0.00' not in text.replace('40.00', '')


def test_a_free_oracle_is_measured_by_the_pool():
  """Nothing is paid after the seed set; what is learnt from still grows."""

  def run(*values):
    cycles = _run(*enumerate(values))
    for cycle in cycles:
      cycle['cost'] = dict.fromkeys(curves.UNITS, 5)
    return cycles

  results = {'Random': {0: run(0.2, 0.4)}, 'SegXAL': {0: run(0.2, 0.5)}}
  random, ours = comparison.table(results, 'streets')
  assert random['area_by_images']['mean'] is None
  np.testing.assert_allclose(random['area_by_pool']['mean'], 0.3)
  assert ours['lead']['images'] is None
  np.testing.assert_allclose(ours['lead']['pool']['mean'], 0.05)
  drawn = [
    curves.Curve(name, [curves.by_axis(runs[0], 'streets')])
    for name, runs in results.items()
  ]
  axes = curves.figure(drawn, None).axes
  assert [one.get_xlabel() for one in axes] == ['images in the labelled pool']
  paid = [
    curves.Curve('paid', [curves.by_axis(_run((1, 0.2), (2, 0.3)), 'streets')])
  ]
  assert len(curves.figure(paid, None).axes) == len(curves.UNITS)


def test_one_seed_claims_no_interval():
  results = {
    'a': {0: _run((0, 0.2), (10, 0.4))},
    'b': {0: _run((0, 0.2), (10, 0.4))},
  }
  rows = comparison.table(results, 'streets')
  assert rows[1]['lead']['images']['half_width'] is None
  lead = comparison_tables.of_dataset(rows, 'streets')[1]
  assert '(one seed)' in as_markdown(lead)


def test_interval_factor_is_students():
  for freedom, factor in enumerate(paired.STUDENT_95, 1):
    np.testing.assert_allclose(stats.t.ppf(0.975, freedom), factor, atol=6e-4)


def test_paired_test_against_scipy():
  rng = np.random.default_rng(0)
  for count in (2, 3, 5, 12):
    ours, other = rng.normal(0.5, 1, count), rng.normal(0, 1, count)
    found = paired.compare(list(ours - other))
    test = stats.ttest_rel(ours, other)
    np.testing.assert_allclose(found['p_value'], test.pvalue, rtol=1e-4)
    assert found['ahead'] == (ours > other).sum()
  assert paired.compare([]) is None
  assert paired.compare([0.1, 0.1])['p_value'] is None


def test_time_of_a_stage_is_that_of_its_last_run(tmp_path):
  assert stage_timings.read(tmp_path) == {}
  stage_timings.add(tmp_path, 1, 'train', 5.0)
  stage_timings.add(tmp_path, 1, 'explain', 7.0)
  stage_timings.add(tmp_path, 1, 'explain', 2.0)
  with (tmp_path / 'timings.jsonl').open('a') as file:
    file.write('{"cycle": 2, "sta')
  assert stage_timings.read(tmp_path) == {1: {'train': 5.0, 'explain': 2.0}}


def test_methods_share_what_their_learner_trains(tmp_path, monkeypatch):
  ran = []

  def run_loop(config, folder, until):
    ran.append((config.acquisition.strategy, folder.name, until))

  monkeypatch.setattr(strategy_comparison, 'run_loop', run_loop)
  config = al_compare.get_config()
  config.compare.seeds = (1,)
  cells = strategy_comparison.cells_of(config)
  for cell in cells:
    strategy_comparison._make_shared(cell.shared, cell.shared.place(tmp_path))
  named = {cell.title: entry for cell, entry in zip(cells, ran)}
  before = (1, 'explain')
  assert named['Entropy'] == named['SegXAL'] == ('random', 'shared-1', before)
  assert named['DEAL'] == ('deal_ds', 'shared-deal-1', before)
  assert named['S4AL'] == ('s4al', 'shared-mean_teacher-1', before)


def test_a_moved_comparison_goes_on(tmp_path, monkeypatch):
  """Cells that are done are not opened, and their start is not made again."""
  ran = []

  def run_loop(config, folder, until=None):
    ran.append(folder.name)
    if folder.name == 'deal-1':
      raise Interrupted('stopped')
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ('start' if until else 'end')).touch()

  for module in (strategy_comparison, loop_cells):
    monkeypatch.setattr(module, 'run_loop', run_loop)
  measured = types.SimpleNamespace(
    is_done=lambda folder: (folder / 'end').exists(),
    cycles=lambda folder: [{'cell': folder.name}],
  )
  monkeypatch.setattr(loop_cells, 'metrics_json', measured)
  config = al_compare.get_config()
  config.compare.arms = (
    'Random strategy=random',
    'DEAL strategy=deal_ds',
    'Entropy strategy=entropy',
  )
  config.compare.seeds = (1,)
  cells = strategy_comparison.cells_of(config)
  with pytest.raises(Interrupted):
    strategy_comparison.run_cells(cells, tmp_path / 'first')
  assert ran == ['shared-1', 'random-1', 'shared-deal-1', 'deal-1']
  moved = (tmp_path / 'first').rename(tmp_path / 'moved')
  assert loop_cells.results(cells, moved) == {
    'Random': {1: [{'cell': 'random-1'}]}
  }
  ran.clear()
  (moved / 'cells/deal-1/end').touch()
  strategy_comparison.run_cells(cells, moved)
  # The loop looks itself whether the shared start is at its end.
  assert ran == ['shared-1', 'entropy-1']
  assert (moved / 'cells/entropy-1/start').exists()
  found = loop_cells.results(cells, moved)
  assert list(found) == ['Random', 'DEAL', 'Entropy']
  assert found['Entropy'] == {1: [{'cell': 'entropy-1'}]}


def test_a_method_is_a_title_and_changes():
  config = al_compare.get_config()
  config.compare.arms = (
    'EEM-without-PAE strategy=eem eem.alpha=0.0',
    'As-given eem.alpha=0.5',
    'DEAL strategy=deal_ds',
  )
  config.acquisition.strategy = 'margin'
  first, given, deal = methods.methods_of(config)
  assert (first.title, first.file_name) == (
    'EEM-without-PAE',
    'eem_without_pae',
  )
  assert first.changes == {'acquisition.strategy': 'eem', 'eem.alpha': 0.0}
  assert (first.strategy, first.learner) == ('eem', 'plain')
  assert (given.strategy, given.changes) == ('margin', {'eem.alpha': 0.5})
  assert deal.learner == 'deal'
  with pytest.raises(dataclasses.FrozenInstanceError):
    first.title = 'another'
  with pytest.raises(TypeError):
    first.changes['eem.alpha'] = 1.0


@pytest.mark.parametrize(
  ('texts', 'words'),
  [
    (('Random strategy',), 'field=value'),
    (('Random strategy=egl',), 'random, entropy'),
    (('A data.name=camvid',), 'the same in all'),
    (('A optimizer.kind=sgd',), 'the same in all'),
    (('A plateau.patience=2',), 'the same in all'),
    (('A eval.datasets=streets/fog',), 'the same in all'),
    (('A pool.holdout=3',), 'the same in all'),
    (('A eem.beta=much',), "config.eem.beta is 'much': give a number"),
    (('A strategy=eem', 'a strategy=eem'), 'one name'),
    (('A eem.delta=1.0',), "A cannot be set: config has no field 'eem.delta'"),
    (('A eem.alhpa=1.0',), 'Did you mean eem.alpha'),
    (('A rule=all',), 'Did you mean selection.rule'),
  ],
)
def test_mistakes_in_methods(texts, words):
  config = al_compare.get_config()
  config.compare.arms = texts
  with pytest.raises(UserError, match=words):
    strategy_comparison.cells_of(config)


@pytest.mark.parametrize('argument', al_compare.arguments())
def test_shipped_comparisons_are_consistent(argument):
  config = al_compare.get_config(argument)
  cells = strategy_comparison.cells_of(config)
  assert cells[0].title == 'Random'
  last = cells[-1]
  assert last.number == last.config.seed == last.shared.config.seed == 2
  assert tuple(last.config.compare.arms) == ()


def test_a_question_is_the_same_on_each_data_set():
  streets = al_compare.get_config('paper_rule')
  camvid = al_compare.get_config('camvid_paper_rule')
  assert tuple(streets.compare.arms) == tuple(camvid.compare.arms)
  assert (streets.data.name, camvid.data.name) == ('streets', 'camvid')
  for config in (streets, camvid):
    assert (config.selection.rule, config.oracle.rest) == ('dice', 'prediction')
  with pytest.raises(ValueError, match='camvid_ablation'):
    al_compare.get_config('camvid_views')


def test_where_errors_lay_is_a_table():
  def counts(errors, **inside):
    return Counts(3, 100, errors, 20, errors // 2, inside)

  found = {
    'Random': counts(40, cam=4.0, entropy=20.0),
    'Right': counts(0, entropy=0.0),
    'SegXAL': counts(10, entropy=2.5),
  }
  (table,) = comparison_tables.error_shares(found)
  text = as_markdown(table)
  assert '| Random | 3 | 10.0 | 50.0 | 50.0 | 20.0 |' in text
  assert '| SegXAL | 3 | — | 25.0 | 50.0 | 20.0 |' in text
  assert 'Right' not in text
  assert comparison_tables.error_shares({'Right': found['Right']}) == []


def test_errors_of_a_methods_seeds_are_counted_together(tmp_path, monkeypatch):
  config = al_compare.get_config('ablation')
  config.compare.seeds = (0, 1)
  cells = strategy_comparison.cells_of(config)
  read = []

  def of_cycle(workdir, cycle, pool):
    read.append((workdir.name, cycle))
    counts = Counts(1, 10, 2, 5, 1, {'eem': 1.0})
    # Of the last cycle nothing was asked.
    return counts if cycle == 1 else None

  monkeypatch.setattr(error_shares, 'of_cycle', of_cycle)
  cycles = [{'cycle': 1}, {'cycle': 2}]
  results = {'Random': {0: cycles, 1: cycles}, 'EEM': {1: cycles}}
  found = error_shares.by_title(cells, results, tmp_path, lambda: None)
  assert {title: one.images for title, one in found.items()} == {
    'Random': 2,
    'EEM': 1,
  }
  assert found['Random'].shares()['maps'] == {'eem': 0.5}
  assert set(read) == {
    (name, cycle)
    for name in ('random-0', 'random-1', 'eem-1')
    for cycle in (1, 2)
  }


def test_a_comparison_whose_images_are_gone_lacks_no_more(tmp_path, capsys):
  config = al_compare.get_config('camvid_ablation')
  config.data.root = str(tmp_path / 'gone')
  config.data.cache_dir = str(tmp_path)
  cycles = _run((1, 0.2), (2, 0.3))
  for number, cycle in enumerate(cycles, 1):
    cycle['cycle'] = number
  results = {'Random': {0: cycles}}
  config.eval.datasets = ('streets',)
  cell = strategy_comparison.cells_of(config)[0]
  folder = cell.place(tmp_path)

  def shares():
    comparison.write(config, tmp_path, [cell], results, {})
    report = json.loads((tmp_path / 'report/comparison.json').read_text())
    return report['error_shares']

  # It asked before cycles wrote down where errors lay.
  questions = cycle_files.folder_of(folder, 1) / 'questions'
  questions.mkdir(parents=True)
  (questions / '0000003.npz').touch()
  assert shares() == {}
  assert 'gone' in capsys.readouterr().err
  counts = Counts(1, 10, 2, 5, 1, {'eem': 1.0})
  cycle_files.write_errors(folder, 1, counts)
  assert shares() == {'Random': counts.shares()}
  assert 'gone' not in capsys.readouterr().err


def test_what_was_asked_about_is_a_table():
  asked = {
    'Random': {'day': 0.75, 'fog': 0.25},
    'Entropy': {'night': 1.0},
    comparison_tables.POOL: {'day': 0.8, 'fog': 0.1, 'night': 0.1},
  }
  (table,) = comparison_tables.asked_sequences(asked)
  text = as_markdown(table)
  assert '| method | day | fog | night |' in text
  assert '| Random | 75.0 | 25.0 | 0.0 |' in text
  assert '| Entropy | 0.0 | 0.0 | 100.0 |' in text
  assert '| the pool | 80.0 | 10.0 | 10.0 |' in text
  assert comparison_tables.asked_sequences({}) == []
