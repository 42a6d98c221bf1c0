"""An evaluation pass finds each detector's difference to MSP, with intervals.

The networks are two products of matrices; everything after them is real.
"""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from common_lib.class_table import CITYSCAPES, VOID
from configs import fsnet_fcn8
from fsnet_jax.builders.data_sources import RunData
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.evaluation import evaluator
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.regions import REGIONS, region_codes
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.report import metrics_json, schema
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.steps.train_step import TrainState
from tests.fsnet_jax.report.report_data import make_metrics

SIZE = (6, 8)


class Linear(FSNet):
  """S and F that look at one pixel at a time."""

  def __init__(self):
    pass

  def segment(self, params, batch_stats, images, **_):
    logits = jnp.einsum('bhwk,kc->bhwc', images / 255, params['s'])
    return SegmentationOutput(logits, None), batch_stats

  def detect(self, params, batch_stats, images, *_, **__):
    return jnp.einsum('bhwk,k->bhw', images / 255, params['f']), batch_stats


class Scenes:
  """Images in memory, in sequences of `each`."""

  def __init__(self, count, each, params):
    rng = np.random.default_rng(count)
    self.images = rng.integers(0, 256, (count, *SIZE, 3)).astype(np.uint8)
    logits = self.images / np.float32(255) @ params['s']
    self.prediction = logits.argmax(-1)
    rest = np.exp(np.sort(logits - logits.max(-1, keepdims=True))[..., :-1])
    self.msp = 1 - 1 / (1 + rest.sum(-1, dtype=np.float64))
    self.fsnet = self.images / np.float32(255) @ params['f']
    # Errors are likelier where F's score is high, more so in some images.
    chance = 1 / (1 + np.exp(-self.fsnet - rng.normal(-1, 1, (count, 1, 1))))
    wrong = rng.random(chance.shape) < chance
    labels = np.where(wrong, (self.prediction + 1) % 19, self.prediction)
    self.labels = labels.astype(np.uint8)
    self.labels[:, 0] = VOID
    self.each = each

  def __len__(self):
    return len(self.images)

  def __getitem__(self, index):
    return {
      'id': str(index),
      'image': self.images[index],
      'label': self.labels[index],
      'sequence': f'drive {index // self.each}',
    }

  def auroc(self, score, images):
    labels, keep = self.labels[images], self.labels[images] != VOID
    wrong = (labels != self.prediction[images])[keep]
    ranks = scipy.stats.rankdata(score[images][keep])
    errors = wrong.sum()
    below = ranks[wrong].sum() - errors * (errors + 1) / 2
    return below / errors / (len(wrong) - errors)


@pytest.fixture(scope='module')
def evaluated():
  rng = np.random.default_rng(0)
  params = {
    's': rng.normal(0, 4, (3, 19)).astype(np.float32),
    # Pixels hardly share a score, or rounding would decide their order.
    'f': np.array([2.0, -1.0317, 0.5173], np.float32),
  }
  config = fsnet_fcn8.get_config()
  config.eval.batch_size = 8
  config.eval.num_examples = 1
  config.data.num_workers = 0
  config.phase3_steps = 0
  zero = jnp.zeros((), jnp.int32)
  state = TrainState(zero, zero, params, {}, opt_state=(), dropout_key=zero)
  evaluate = evaluator.Evaluator(
    evaluation_options(config),
    RunData(config),
    Linear(),
    mesh_lib.make_mesh(),
    pathlib.Path(),
  )

  def run(count, each, observe=None):
    scenes = Scenes(count, each, params)
    return scenes, evaluate(state, scenes, StopRequest(), observe, 'x')

  return run


def intervals(entry, name='fsnet'):
  return entry['failure'][name]['difference_to_msp']


@pytest.mark.slow
@pytest.mark.parametrize(
  ('count', 'each', 'unit', 'units'),
  [(22, 30, 'image', 22), (22, 2, 'sequence', 11), (22, 4, 'image', 22)],
)
def test_the_interval_is_that_of_a_plain_loop(
  evaluated, count, each, unit, units
):
  scenes, result = evaluated(count, each)
  entry = intervals(result.metrics)['auroc']
  assert (entry['unit'], entry['units']) == (unit, units)
  assert result.metrics['sequences'] == -(-count // each)
  gaps = []
  size = count // units
  for weights in bootstrap.draws(units, entry['resamples']):
    drawn = np.repeat(np.arange(units), weights)
    images = (drawn[:, None] * size + np.arange(size)).ravel()
    gaps.append(
      scenes.auroc(scenes.fsnet, images) - scenes.auroc(scenes.msp, images)
    )
  everything = np.arange(count)
  exact = scenes.auroc(scenes.fsnet, everything) - scenes.auroc(
    scenes.msp, everything
  )
  assert entry['difference'] == pytest.approx(exact, abs=1e-5)
  low, high = np.percentile(gaps, (2.5, 97.5))
  assert entry['low'] == pytest.approx(low, abs=1e-3)
  assert entry['high'] == pytest.approx(high, abs=1e-3)
  assert entry['low'] > 0  # F says where the errors are, MSP does not


def test_the_entry_is_of_the_documented_layout(evaluated, tmp_path):
  _, result = evaluated(12, 1)
  metrics = make_metrics({'x': result.metrics})
  schema.validate(metrics)
  metrics_json.write_metrics_json(tmp_path / 'metrics.json', metrics)
  read = metrics_json.read_metrics_json(tmp_path / 'metrics.json', fix='-')
  stored = read['datasets']['x']
  assert intervals(stored) == intervals(result.metrics)
  assert stored['failure']['msp']['difference_to_msp'] is None
  assert set(stored['failure']['msp']['difference_to_fsnet']) == set(
    intervals(stored)
  )


def test_few_images_have_no_interval(evaluated):
  for count in (1, 2):
    _, result = evaluated(count, 1)
    found = intervals(result.metrics)
    assert set(found.values()) == {None}
    assert intervals(result.metrics, 'msp') is None


def test_every_image_is_in_the_tables_once(evaluated):
  scenes, result = evaluated(11, 2, observe=lambda *_: None)
  counts = result.tables['msp'].counts
  keep = scenes.labels != VOID
  wrong = (scenes.labels != scenes.prediction) & keep
  np.testing.assert_array_equal(counts[:, 1].sum(1), wrong.sum((1, 2)))
  np.testing.assert_array_equal(counts.sum((1, 2)), keep.sum((1, 2)))
  # Nobody looks at them without an observer: they are large.
  assert evaluated(11, 2)[1].tables == {}


def test_details_are_of_the_images(evaluated):
  scenes, result = evaluated(11, 2)
  keep = scenes.labels != VOID
  wrong = (scenes.labels != scenes.prediction) & keep
  codes = np.stack([region_codes(label) for label in scenes.labels])
  for name, score in (('msp', scenes.msp), ('fsnet', scenes.fsnet)):
    entry = result.metrics['failure'][name]
    groups = [
      (entry['by_region'][region], np.isin(codes, kinds))
      for region, kinds in REGIONS.items()
    ] + [
      (entry['per_predicted_class'][title], scenes.prediction == index)
      for index, title in enumerate(CITYSCAPES.names)
    ]
    for found, mine in groups:
      mine = mine & keep
      assert found['pixels'] == mine.sum()
      assert found['errors'] == wrong[mine].sum()
      if 0 < found['errors'] < found['pixels']:
        expected = roc_auc_score(wrong[mine], score[mine])
        assert found['auroc'] == pytest.approx(expected, abs=0.02)


def test_the_best_baseline_is_among_those_without_f(evaluated):
  _, result = evaluated(22, 30)
  failure = result.metrics['failure']
  assert 'difference_to_best_baseline' not in failure['msp']
  best = failure['fsnet']['difference_to_best_baseline']['auroc']
  rivals = {n: failure[n]['pooled']['auroc'] for n in failure if n != 'fsnet'}
  assert best['baseline'] == max(rivals, key=rivals.get)
  assert best['difference'] == pytest.approx(
    failure['fsnet']['pooled']['auroc'] - max(rivals.values())
  )
