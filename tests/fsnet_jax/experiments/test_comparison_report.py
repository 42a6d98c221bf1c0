"""What a comparison's report is made of; training is a stand-in."""

import json

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from configs import stored_run
from fsnet_jax import cli
from fsnet_jax.experiments import comparison
from fsnet_jax.experiments.comparison import evaluation
from fsnet_jax.runtime.workdir import open_workdir
from tests.fsnet_jax.experiments.comparison_stand_ins import (
  DATASETS,
  IMAGES,
  read,
)


def test_the_report_is_of_the_metrics(finished):
  _, workdir = finished
  content = read(workdir / 'report' / 'compare.json')
  metrics = read(workdir / 'seed5/fsnet/report/metrics.json')
  assert list(content['datasets']) == list(DATASETS)
  assert content['costs']['segmentation']['trainings_of_s'] == 1
  assert content['costs']['fsnet']['images'] == 40
  for name, entry in content['datasets'].items():
    failure = metrics['datasets'][name]['failure']
    gap = (
      failure['fsnet']['pooled']['auroc'] - failure['msp']['pooled']['auroc']
    )
    found = entry['differences']['msp']['auroc']
    assert found['difference'] == pytest.approx(gap)
    assert 0 < found['low'] < gap < found['high']
    assert entry['resolution_error']['auroc'] < 1e-3
    segments = entry['segments']['fsnet']['0.1']
    assert segments['error_segments']['mean'] > 0
    assert segments['flagged']['mean'] == pytest.approx(0.1, abs=0.01)


def test_table_iv_is_in_the_report(finished, own):
  _, workdir = finished
  content = read(workdir / 'report' / 'compare.json')
  for name in ('full', 'no_w4'):
    cell = read(workdir / 'ablation' / 'seed5' / name / 'report/metrics.json')
    own = cell['datasets'][DATASETS[1]]['failure']['fsnet']['pooled']['auroc']
    found = content['ablation'][name]
    assert found['seeds'] == [5]
    assert found['datasets'][DATASETS[1]]['auroc'] == [own]
  assert '| without w4 |' in (workdir / 'report' / 'tables.md').read_text()
  assert 'Table IV' in (workdir / 'report' / 'report.html').read_text()


def test_every_image_is_kept_once(finished):
  _, workdir = finished
  report = workdir / 'seed5/fsnet/report'
  pooled = read(report / 'metrics.json')['datasets']['streets/day@blur2'][
    'failure'
  ]['msp']['pooled']
  with np.load(report / 'images_streets_day_blur2.npz') as arrays:
    counts = arrays['counts/msp']
    assert arrays['draws/msp'].shape == (6, 40)
  assert len(counts) == IMAGES
  assert counts.sum() == pooled['pixels']
  assert counts[:, 1].sum() == pooled['errors']


def test_files_are_whole(finished):
  _, workdir = finished
  html = (workdir / 'report' / 'report.html').read_text()
  for words in (
    'Table III',
    'Table II',
    '95 % intervals',
    'main.py --config=x',
  ):
    assert words in html
  for name in ('risk_coverage', 'risk_coverage_class_macro', 'qualitative'):
    with Image.open(workdir / 'report' / f'{name}.png') as picture:
      assert min(picture.size) > 100
  assert '| FSNet |' in (workdir / 'report' / 'tables.md').read_text()


def test_a_seed_more_and_another_network_beside(own, stand_ins, tmp_path):
  config, workdir = own
  config.compare.seeds = (5, 6)
  config.compare.beside = str(tmp_path / 'other')
  other = read(workdir / 'report' / 'compare.json') | {'network': 'unet'}
  (tmp_path / 'other' / 'report').mkdir(parents=True)
  (tmp_path / 'other/report/compare.json').write_text(json.dumps(other))
  comparison.run(config, workdir, 'train', {})
  assert stand_ins.evaluated == ['phase1', 'fsnet']
  content = read(workdir / 'report' / 'compare.json')
  assert content['seeds'] == [5, 6]
  gap = content['datasets']['streets/day']['failure']['msp']['pooled']['auroc']
  assert len(gap['seeds']) == 2 and gap['std'] > 0


def test_it_is_reported_from_its_folder_alone(
  finished, own, tmp_path, monkeypatch, capsys
):
  """Images, initial weights and the config file may be gone."""
  config, made = own
  config.compilation_cache_dir = 'off'
  with open_workdir(made, config):
    comparison.run(config, made, 'train', {})
  workdir = made.rename(tmp_path / 'moved')
  report = workdir / 'report'
  before = {path: path.read_bytes() for path in report.iterdir()}

  def gone(*_):
    raise UserError('no images')

  monkeypatch.setattr(evaluation.data_sources, 'source', gone)
  stored = stored_run.get_config(str(workdir))
  cli.run(stored, workdir, 'evaluate', {})
  assert 'FSNet less each method' in capsys.readouterr().out
  assert before == {path: path.read_bytes() for path in report.iterdir()}
  # Held against another detector, it is another report.
  stored.compare.reference = 'msp'
  cli.run(stored, workdir, 'evaluate', {})
  (folder,) = (workdir / 'evaluations').iterdir()
  content = read(folder / 'compare.json')
  assert 'fsnet' in content['datasets'][DATASETS[0]]['differences']
  assert before == {path: path.read_bytes() for path in report.iterdir()}
  with pytest.raises(UserError, match='no images'):
    cli.run(stored, workdir, 'train', {})
  stored.eval.exact_pixels = 0
  with pytest.raises(UserError, match='no finished seed of this evaluation'):
    cli.run(stored, workdir, 'evaluate', {})
