"""Shares of the pool and folds of all of it, from config to report."""

import json

import numpy as np
import pytest

from common_lib.errors import UserError
from configs import al_reference, stored_run
from fsnet_jax.builders import data_sources
from segxal_jax import cli
from segxal_jax.config import builders, validation
from segxal_jax.experiments import baselines, loop_cells
from segxal_jax.loop import driver
from segxal_jax.loop.context import Run
from segxal_jax.pool import stratified_folds
from segxal_jax.report import across_runs, baseline_tables
from segxal_jax.report import baselines as baselines_report
from tests.paths import COMPILED

SHRUNK = {
  'image_size': (32, 64),
  'width': 0.0625,
  'batch_size': 4,
  'data.num_train': 16,
  'data.num_validation': 4,
  'data.num_test': 4,
  'data.validation_split': '',
  'phase1_steps': 2,
  'optimizer.poly_steps': 2,
  'eval.batch_size': 4,
  'reference.percents': (25,),
  'reference.seeds': (3,),
  'reference.folds': 2,
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return str(tmp_path_factory.mktemp('data'))


def _config(data, argument='streets', **changes):
  config = al_reference.get_config(argument)
  fields = SHRUNK | {
    'data.cache_dir': data,
    'compilation_cache_dir': str(COMPILED),
  }
  fields |= {key.replace('__', '.'): value for key, value in changes.items()}
  config.update_from_flattened_dict(fields)
  return config


def _ids(source):
  return {source[index]['id'] for index in range(len(source))}


def test_cells_are_run_once_measured_and_reported(data, tmp_path, monkeypatch):
  config = _config(data)
  found = baselines.cells_of(config)
  titles = [(cell.title, cell.number, cell.config.seed) for cell in found]
  whole = 'fully supervised, 2 folds'
  assert titles == [('25 %', 3, 3), (whole, 0, 3), (whole, 1, 3)]
  before = tmp_path / 'before'
  loop_cells.run(found[:1], before, loop_cells.make)
  first = (before / found[0].folder / 'timings.jsonl').read_bytes()
  # The command resumes with the others, where that was moved to, and reports
  # all.
  workdir = before.rename(tmp_path / 'moved')
  origin = {'config_name': 'tiny', 'command': 'python main.py'}
  cli.run(config, workdir, 'train', origin)
  folder = workdir / found[0].folder
  assert (folder / 'timings.jsonl').read_bytes() == first
  for path in (*workdir.rglob('*.json'), *workdir.rglob('*.jsonl')):
    assert str(tmp_path) not in path.read_text().replace(data, ''), path
  results = loop_cells.results(found, workdir)
  share, one, other = (results[cell.title][cell.number][-1] for cell in found)
  assert (share['labelled_images'], share['pool_images']) == (4, 16)
  assert list(share['datasets']) == ['streets/day']
  for entry in (one, other):
    assert entry['labelled_images'] == entry['pool_images'] == 8
    assert entry['datasets'][stratified_folds.HELD_OUT]['images'] == 8
    assert entry['training_labels']['wrong'] == 0
  # Each image of the pool is tested on once, and never trained on then.
  pools = [builders.pool_and_fold(cell.config) for cell in found]
  everything = _ids(pools[0][0])
  assert pools[0][1] is None and len(everything) == 16
  for pool, fold in pools[1:]:
    assert _ids(pool) | _ids(fold) == everything
    assert not _ids(pool) & _ids(fold)
  assert _ids(pools[1][1]) == _ids(pools[2][0])
  report = workdir / 'report'
  metrics = json.loads((report / 'metrics.json').read_text())
  held_out = metrics['datasets'][stratified_folds.HELD_OUT]
  mious = [
    entry['datasets'][stratified_folds.HELD_OUT]['segmentation']['miou']
    for entry in (one, other)
  ]
  assert [row['title'] for row in held_out] == [whole]
  assert held_out[0]['miou']['mean'] == pytest.approx(np.mean(mious))
  assert held_out[0]['miou']['std'] == pytest.approx(np.std(mious, ddof=1))
  names = {path.name for path in report.iterdir()}
  assert names == {'metrics.json', 'tables.md', 'report.html', 'curves_0.png'}
  page = (report / 'report.html').read_text()
  assert whole in page and 'src="http' not in page
  # What was measured is shown again without any image.
  table = (report / 'tables.md').read_bytes()
  (report / 'tables.md').unlink()
  with monkeypatch.context() as patch:
    patch.setattr(builders, '_training_split', None)
    patch.setattr(data_sources, 'source', None)
    cli.run(stored_run.get_config(str(workdir)), workdir, 'evaluate', origin)
  assert (report / 'tables.md').read_bytes() == table


def test_a_larger_share_contains_the_smaller_ones():
  config = al_reference.get_config()

  run = object.__new__(Run)
  run.pool = range(200)
  seed_sets = []
  for percent in (10.0, 15.0, 40.0):
    run.config = baselines._config_of(
      config, 1, baselines._share(config, percent)
    )
    seed_sets.append(set(driver.seed_set(run)))
  assert [len(part) for part in seed_sets] == [20, 30, 80]
  assert seed_sets[0] < seed_sets[1] < seed_sets[2]


def test_a_protocol_that_counts_keeps_its_counts():
  config = al_reference.get_config('cityscapes')
  counts = [
    builders.num_initial(
      baselines._config_of(config, 0, baselines._share(config, percent)), 2675
    )
    for percent in map(float, config.reference.percents)
  ]
  assert counts == [300, 450, 600, 750, 900, 1050, 1200, 2675]
  whole = baselines._config_of(config, 0, baselines._fold(config, 1))
  assert whole.phase1_steps == 16_700
  assert (whole.pool.folds, whole.pool.fold, whole.stop.cycles) == (5, 1, 0)
  part = baselines._config_of(config, 0, baselines._share(config, 40.0))
  assert part.phase1_steps == 7_500
  for argument in ('camvid', 'cityscapes'):
    validation.check(al_reference.get_config(argument))


def _cycle(title, miou, iou, images, fold):
  scored = {'segmentation': {'miou': miou, 'iou': dict(zip('ab', iou))}}
  return [
    {
      'labelled_images': images,
      'pool_images': 100,
      'cost': {'images': images, 'pixels': images, 'clicks': images},
      'datasets': {'day': scored}
      | ({stratified_folds.HELD_OUT: scored} if fold else {}),
    }
  ]


def test_tables_by_hand():
  config = al_reference.get_config()
  config.eval.datasets = ('day',)
  results = {
    '40 %': {
      0: _cycle('40 %', 0.3, (0.2, 0.4), 40, False),
      1: _cycle('40 %', 0.5, (0.2, 0.8), 40, False),
    },
    'whole': {0: _cycle('whole', 0.6, (0.6, None), 80, True)},
  }
  found = baselines_report.content(config, results, {})
  share, whole = found['datasets']['day']
  assert share['miou']['mean'] == pytest.approx(0.4)
  assert share['miou']['std'] == pytest.approx(np.std([0.3, 0.5], ddof=1))
  # Over classes, as the paper has it: 0.1 and 0.3 of the two runs.
  assert share['class_std']['mean'] == pytest.approx(0.2)
  assert share['iou'] == pytest.approx({'a': 0.2, 'b': 0.6})
  assert whole['iou']['b'] is None and whole['miou']['std'] is None
  assert [
    row['title'] for row in found['datasets'][stratified_folds.HELD_OUT]
  ] == ['whole']
  overview = baseline_tables.all_tables(found)[0]
  (_, rows), (_, held_out) = overview.blocks
  texts = [[cell.text for cell in row] for row in rows]
  dash = across_runs.UNDEFINED
  assert texts[0] == [
    *('40 %', '2', '40 of 100', '40.00 ± 14.14', '20.00 ± 14.14'),
    *('59.00', '59.89', '20.61', '59.9'),
  ]
  assert texts[1][3:] == ['60.00', '0.00', '65.30', '65.32', '19.48', dash]
  assert len(held_out) == 1
  drawn = baselines_report.curve(results, 'day')
  assert drawn.runs[0]['images'] == [(40.0, 0.3)] and len(drawn.runs) == 2


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'reference__percents': (), 'reference__folds': 0}, 'nothing to run'),
    ({'reference__percents': (0,)}, 'config.reference.percents has 0'),
    ({'reference__percents': (10, 101)}, 'percents has 101'),
    ({'reference__percents': (10, 10)}, 'percents is .* once'),
    ({'reference__seeds': (1, 1)}, 'config.reference.seeds is .* once'),
    ({'reference__percents': ('a',)}, "percents has 'a'"),
    ({'reference__seeds': (-1,)}, 'seeds has -1'),
    ({'reference__seeds': ()}, 'config.reference.seeds is empty'),
    ({'reference__folds': 1}, 'config.reference.folds is 1'),
    ({'reference__folds': -2}, 'config.reference.folds is -2'),
    ({'reference__folds': 17}, 'folds is 17, more than the 16 images'),
    ({'reference__percents': (10,)}, 'batch_size is 4, more than the 2'),
    ({'pool__folds': 2}, 'by config.reference.folds'),
    ({'pool__fold': 3}, 'config.pool.fold is 3'),
    ({'compare__arms': ('Random strategy=random',)}, 'empty the other'),
  ],
)
def test_mistakes(data, changes, words):
  with pytest.raises(UserError, match=words):
    config = _config(data, **changes)

    validation.check(config)
    baselines.cells_of(config)
