"""mIoU of what is near, against scikit-learn; where there is none, a dash."""

import json
import shutil

import jax
import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from common_lib.class_table import VOID
from fsnet_jax.metrics.segmentation import SegmentationMetrics
from fsnet_jax.runtime.workdir import check_workdir
from segxal_jax.config.fields import FIELDS
from segxal_jax.loop import cycle_files
from segxal_jax.loop.driver import run_loop
from segxal_jax.loop.stages.evaluate import confusions
from segxal_jax.report.write import report
from tests.segxal_jax.loop import small_loop

CLASSES = 4
NEAR_M = 15.0


def _batch(seed=0, classes=CLASSES):
  """Three images, the last of which pads the batch with zeros."""
  rng = np.random.default_rng(seed)
  shape = 3, 6, 9
  label = rng.integers(0, classes, shape).astype(np.uint8)
  label[rng.random(shape) < 0.2] = VOID
  depth = rng.uniform(1, 40, shape).astype(np.float32)
  depth[rng.random(shape) < 0.2] = np.nan
  depth[2], label[2] = 0.0, 0
  batch = {'label': label, 'depth': depth, 'mask': np.array([1, 1, 0], bool)}
  return batch, rng.integers(0, CLASSES, shape)


def _measured(batch, predicted):
  found = jax.jit(confusions, static_argnums=(2, 3))(
    batch, predicted, NEAR_M, CLASSES
  )
  empty = SegmentationMetrics.empty(CLASSES)
  return {
    name: empty.add(jax.device_get(counts)).compute()
    for name, counts in found.items()
  }


def _expected(batch, predicted, pixels):
  """Mean IoU over the classes with a true pixel; None without a pixel."""
  pixels = pixels & (batch['label'] != VOID) & batch['mask'][:, None, None]
  truth, guess = batch['label'][pixels], predicted[pixels]
  if not truth.size:
    return None
  return jaccard_score(truth, guess, labels=np.unique(truth), average='macro')


def _check(batch, predicted):
  found = _measured(batch, predicted)
  with np.errstate(invalid='ignore'):
    near = batch['depth'] < NEAR_M
  for name, pixels in {'near': near, 'whole': np.ones_like(near)}.items():
    expected = _expected(batch, predicted, pixels)
    assert found[name]['miou'] == (
      expected if expected is None else pytest.approx(expected)
    )
  counted = near & (batch['label'] != VOID) & batch['mask'][:, None, None]
  assert found['near']['pixels'] == counted.sum()
  return found


@pytest.mark.parametrize('seed', range(4))
def test_random_pixels(seed):
  found = _check(*_batch(seed))
  assert 0 < found['near']['pixels'] < found['whole']['pixels']
  assert found['near']['miou'] != found['whole']['miou']


def test_one_class_no_near_pixel_and_nothing_but_void():
  _check(*_batch(classes=1))
  batch, predicted = _batch()
  far = batch | {'depth': np.full_like(batch['depth'], NEAR_M)}
  assert _check(far, predicted)['near']['miou'] is None
  unknown = batch | {'depth': np.full_like(batch['depth'], np.nan)}
  assert _check(unknown, predicted)['near']['miou'] is None
  void = batch | {'label': np.full_like(batch['label'], VOID)}
  assert _check(void, predicted)['whole']['miou'] is None


def test_without_depth_nothing_is_near():
  batch, predicted = _batch()
  del batch['depth']
  assert set(_measured(batch, predicted)) == {'whole'}


def _cycle(workdir, cycle=1):
  path = workdir / 'cycles' / f'{cycle:03d}' / 'metrics.json'
  return json.loads(path.read_text())['datasets']['streets/day']


def test_each_cycle_of_streets_measures_it(finished):
  for cycle in (1, 2):
    measured = _cycle(finished, cycle)
    near = measured['near']
    assert near['meters'] == NEAR_M
    assert 0 < near['pixels'] < measured['pixels']
    assert 0 < near['miou'] < 1


def test_it_is_reported_and_a_run_without_it_has_a_dash(
  finished, data, tmp_path
):
  workdir = shutil.copytree(finished, tmp_path / 'run')
  config = small_loop.config(data)
  report(config, workdir, {})
  page = (workdir / 'report' / 'report.html').read_text()
  near = _cycle(workdir, 2)['near']['miou']
  assert 'nearer than 15 m, %' in page
  assert f'<td class="number">{100 * near:.2f}</td>' in page
  for cycle in (1, 2):
    measured = cycle_files.read_metrics(workdir, cycle)
    del measured['datasets']['streets/day']['near']
    cycle_files.write_metrics(workdir, cycle, measured)
  report(config, workdir, {})
  page = (workdir / 'report' / 'report.html').read_text()
  assert 'nearer than 15 m, %' not in page
  row = page[page.index('</strong></td>') :]
  assert row.split('<td class="number">')[1].startswith('\N{EM DASH}</td>')


def test_a_run_that_knew_nothing_of_it_goes_on(data, tmp_path):
  config = small_loop.config(data, eval__near_m=0.0, eem__weights='fixed')
  run_loop(config, tmp_path, until=(2, 'train'))
  assert 'near' not in _cycle(tmp_path)
  stored = json.loads(config.to_json_best_effort())
  del stored['eval']['near_m']
  (tmp_path / 'config.json').write_text(json.dumps(stored))
  config = small_loop.config(data, eem__weights='fixed')
  check_workdir(tmp_path, config, 'train', FIELDS)
  run_loop(config, tmp_path)
  assert 'near' in _cycle(tmp_path, 2)
  first, last = report(config, tmp_path, {})['cycles']
  assert 'near' not in first['datasets']['streets/day']
  assert last['datasets']['streets/day']['near']['miou'] is not None
