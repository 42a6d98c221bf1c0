"""The command that calibrates, against counting by hand."""

import dataclasses
import json
import shutil

import jaxtyping
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.builders import data_sources
from fsnet_jax.config import resolution
from fsnet_jax.monitor import Monitor, calibration_file
from fsnet_jax.monitor.calibration import losses, platt
from tests.fsnet_jax.monitor import own_run

LIMIT = 0.99


@pytest.fixture(scope='module', autouse=True)
def no_shape_checks():
  """A restored state is a tree of other leaves while it is read."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.fixture(scope='module')
def run(shared, tmp_path_factory):
  """A finished run, calibrated: its folder and its config."""
  folder = tmp_path_factory.mktemp('calibrated')
  path = own_run.function(folder)
  config = own_run.config_of(shared, path, data__num_test=90)
  own_run.run(config, folder / 'run')
  config.calibrate.dataset = 'streets/fog:test'
  config.calibrate.limit = LIMIT
  own_run.run(config, folder / 'run', 'calibrate')
  return folder / 'run', config


@pytest.mark.slow
def test_the_file_says_what_counting_says(run):
  workdir, config = run
  found = calibration_file.read(workdir / 'calibration.json')
  assert (found.units, found.unit, found.bound) == (72, 'image', 'hb')
  assert len(found.fitted_on) == 18
  assert not set(found.images) & set(found.fitted_on)
  monitor = Monitor.load(workdir)
  assert monitor.is_calibrated and monitor.statement == found.statement
  plain = resolution.resolved(config).copy_and_resolve_references()
  plain.segmentation.name, plain.segmentation.path = 'fcn8', ''
  source = data_sources.source(plain, 'streets/fog:test')
  risks, passing = [], []
  for index in range(len(source)):
    scene = source[index]
    if scene['id'] not in found.images:
      continue
    result = monitor(scene['image'][None])
    known = scene['label'] != 255
    passes = known & ~result.flagged[0]
    wrong = passes & (result.labels[0] != scene['label'])
    risks.append(wrong.sum() / max(passes.sum(), 1))
    passing.append(passes.sum() / known.sum())
  assert len(risks) == 72
  index = found.grid.index(found.threshold)
  assert np.mean(risks) == pytest.approx(found.risks[index], abs=1e-6)
  assert np.mean(passing) == pytest.approx(found.coverage, abs=1e-6)
  assert found.p_values[index] <= 0.05 and np.mean(risks) <= LIMIT
  assert f'{100 * found.coverage:.0f} % of the pixels pass' in found.statement


@pytest.mark.slow
def test_an_evaluation_says_what_the_threshold_gave(run):
  """On the images of the calibration itself, what stands in its file."""
  workdir, config = run
  found = calibration_file.read(workdir / 'calibration.json')
  own = config.copy_and_resolve_references()
  own.eval.datasets = ('streets/fog',)
  own_run.run(own, workdir, 'evaluate')
  (report,) = workdir.glob('evaluations/*/metrics.json')
  entry = json.loads(report.read_text())['datasets']['streets/fog']
  given = entry['calibrated']
  assert (given['units'], given['unit']) == (90, 'image')
  assert given['limit'] == LIMIT and given['threshold'] == found.threshold
  # Its 90 images are the 72 that chose the threshold and 18 others.
  monitor, losses_of = Monitor.load(workdir), []
  plain = resolution.resolved(config).copy_and_resolve_references()
  plain.segmentation.name, plain.segmentation.path = 'fcn8', ''
  source = data_sources.source(plain, 'streets/fog')
  for index in range(len(source)):
    scene = source[index]
    result, known = monitor(scene['image'][None]), scene['label'] != 255
    passes = known & ~result.flagged[0]
    wrong = passes & (result.labels[0] != scene['label'])
    losses_of.append(
      (wrong.sum() / max(passes.sum(), 1), passes.sum() / known.sum())
    )
  risk, coverage = np.mean(losses_of, axis=0)
  assert given['risk'] == pytest.approx(risk, abs=1e-6)
  assert given['coverage'] == pytest.approx(coverage, abs=1e-6)
  page = report.with_name('report.html').read_text()
  assert 'Promised and given' in page and 'within the limit of 99.0%' in page


@pytest.mark.slow
def test_a_calibration_of_other_networks_is_refused(run, tmp_path):
  workdir, _ = run
  copy = tmp_path / 'run'
  shutil.copytree(workdir, copy)
  found = calibration_file.read(copy / 'calibration.json')
  calibration_file.write(
    copy, dataclasses.replace(found, network_sha256='0' * 64)
  )
  with pytest.raises(UserError, match='trained on since'):
    Monitor.load(copy)


@pytest.mark.slow
def test_the_page_says_it_too(run):
  workdir, _ = run
  found = calibration_file.read(workdir / 'calibration.json')
  page = (workdir / 'calibration' / 'calibration.html').read_text()
  assert found.statement in page and 'does not promise' in page


@pytest.mark.slow
@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'dataset': 'streets/day:validation'}, 'trained on'),
    ({'limit': 0.05}, 'No threshold'),
    ({'limit': 0.01}, 'needs at least'),
    ({'unit': 'group', 'dataset': 'streets/fog:test'}, 'needs at least'),
    ({'guarantee': 'mean'}, 'undetected'),
    ({'detector': 'msp_temperature'}, 'temperature'),
    ({'detector': 'fsnet_joint'}, 'no trained failure network'),
  ],
)
def test_what_cannot_be_promised(run, changes, words):
  workdir, config = run
  before = (workdir / 'calibration.json').read_bytes()
  own = config.copy_and_resolve_references()
  own.calibrate.update(changes)
  with pytest.raises(UserError, match=words):
    own_run.run(own, workdir, 'calibrate')
  assert (workdir / 'calibration.json').read_bytes() == before


@pytest.mark.slow
def test_a_damaged_file_is_refused(run, tmp_path):
  workdir, _ = run
  value = json.loads((workdir / 'calibration.json').read_text())
  path = tmp_path / 'calibration.json'
  for change in ({'threshold': 0.1}, {'grid': []}, {'units': 0}):
    path.write_text(json.dumps(value | change))
    with pytest.raises(UserError, match='damaged'):
      calibration_file.read(path)
  del value['checksum']
  for change in (
    {'threshold': 1.5},
    {'grid': value['grid'][::-1]},
    {'risks': value['risks'][1:]},
    {'reference': {}},
    {'images': 'all'},
  ):
    path.write_text(json.dumps(value | change))
    with pytest.raises(UserError, match='damaged'):
      calibration_file.read(path)


def test_counts_against_a_loop():
  rng = np.random.default_rng(0)
  failure = rng.random((6, 7)).astype(np.float32)
  failure[0] = 0.5  # ties with a threshold
  wrong, valid = rng.random((6, 7)) < 0.4, rng.random((6, 7)) < 0.8
  grid = np.array([0.1, 0.5, 0.75, 1.0], np.float32)
  found = losses.count(failure, wrong, valid, grid)
  for index, threshold in enumerate(grid):
    passes = valid & (failure <= threshold)
    assert found.passing[index] == passes.sum()
    assert found.wrong[index] == (passes & wrong).sum()
  assert found.labelled == valid.sum()
  nothing = losses.count(failure, wrong, np.zeros((6, 7), bool), grid)
  assert (nothing.loss('passing') == 0).all()
  assert (nothing.loss('undetected') == 0).all() and nothing.labelled == 0
  undetected = found.loss('undetected')
  assert (np.diff(undetected) >= 0).all()


def test_means_of_units_keep_their_order():
  values = np.array([[1.0], [2.0], [3.0], [6.0]])
  np.testing.assert_allclose(
    losses.by_unit(values, ['b', 'a', 'b', 'a']), [[2.0], [4.0]]
  )


def test_platt_is_scikit_learns():
  from sklearn.linear_model import LogisticRegression

  rng = np.random.default_rng(3)
  score = rng.normal(2, 3, 4000)
  wrong = rng.random(4000) < 1 / (1 + np.exp(-(0.7 * score - 2)))
  found = platt.fit(score, wrong)
  theirs = LogisticRegression(C=np.inf).fit(score[:, None], wrong)
  assert found.slope == pytest.approx(theirs.coef_[0, 0], rel=0.01)
  assert found.offset == pytest.approx(theirs.intercept_[0], rel=0.01)
  assert (np.diff(found(np.sort(score))) >= 0).all()


@pytest.mark.parametrize(
  ('score', 'wrong'),
  [
    (np.zeros(9), np.arange(9) < 4),
    (np.arange(9.0), np.zeros(9, bool)),
    (np.arange(9.0), np.ones(9, bool)),
    (-np.arange(9.0), np.arange(9) > 4),
  ],
)
def test_scores_that_tell_nothing(score, wrong):
  assert platt.fit(score, wrong) is None


def test_scores_that_tell_everything_have_an_end():
  found = platt.fit(np.arange(9.0), np.arange(9) > 4)
  assert np.isfinite([found.slope, found.offset]).all()
  assert found(np.array([1e9, -1e9])).tolist() == [1.0, 0.0]
