"""Coarse labels: both sides are mapped, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax import detectors
from fsnet_jax.metrics.details import Details, detail_counts
from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.ranking import ExactFailure
from fsnet_jax.metrics.segmentation import SegmentationMetrics
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.steps.coarse_label_eval_step import make_grouped_eval_step
from input_pipeline.class_groups import for_evaluation
from input_pipeline.datasets import idd_lite

GROUPS = idd_lite.GROUPS
TABLE = np.array(GROUPS.of_train_id)


class Fixed(FSNet):
  """An FSNet whose logits are its parameters, and F's their first channel."""

  def __init__(self):
    pass

  def segment(self, params, batch_stats, *_, **__):
    return SegmentationOutput(params, None), batch_stats

  def detect(self, params, batch_stats, *_, **__):
    return params[..., 0], batch_stats


class Coarse:
  """A source as IDD-Lite's."""

  def __init__(self, coarse):
    self.coarse = coarse

  def __len__(self):
    return len(self.coarse)

  def __getitem__(self, index):
    return {'image': None, 'coarse_label': self.coarse[index]}

  for_evaluation = idd_lite.CoarseSource.for_evaluation


@pytest.fixture(scope='module')
def evaluated():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(3, 8, 9, 19)).astype(np.float32)
  coarse = rng.integers(0, 7, (3, 8, 9)).astype(np.uint8)
  coarse[0, :2] = 255
  # Half of the pixels right by group, though rarely by class.
  best = TABLE[logits.argmax(-1)]
  coarse = np.where((rng.random(coarse.shape) < 0.5) & (coarse < 255),
                    best, coarse).astype(np.uint8)  # fmt: skip
  source, groups = for_evaluation(Coarse(coarse))
  labels = np.stack([source[i]['label'] for i in range(len(source))])
  batch = {
    'image': jnp.zeros((3, 8, 9, 3), jnp.uint8),
    'label': jnp.asarray(labels),
    'mask': jnp.array([True, True, False]),
    'region': jnp.asarray(rng.integers(0, 4, (3, 8, 9)), jnp.uint8),
  }
  step = jax.jit(
    make_grouped_eval_step(
      Fixed(), detectors.resolve(('msp', 'fsnet')), groups.of_train_id
    )
  )
  counts, maps = step(jnp.asarray(logits), {}, batch)
  return (
    logits,
    coarse,
    labels,
    counts,
    jax.device_get(maps) | {'region': np.asarray(batch['region'])},
  )


def test_labels_stand_for_their_groups(evaluated):
  _, coarse, labels, _, _ = evaluated
  assert np.array_equal(TABLE[labels[coarse < 255]], coarse[coarse < 255])
  assert (labels[coarse == 255] == 255).all()
  assert list(GROUPS.stand_ins()) == [0, 1, 11, 13, 3, 2, 10]


def test_confusion_is_of_groups(evaluated):
  logits, coarse, _, counts, maps = evaluated
  predicted = TABLE[logits.argmax(-1)]
  expected = np.zeros((7, 7), int)
  valid = (coarse < 255) & np.array([True, True, False])[:, None, None]
  np.add.at(expected, (coarse[valid], predicted[valid]), 1)
  assert np.array_equal(np.asarray(counts['confusion']).sum(0), expected)
  found = SegmentationMetrics.empty(7).add(np.asarray(counts['confusion']))
  values = found.compute(GROUPS.names)
  assert values['pixel_acc'] == np.trace(expected) / expected.sum()
  assert set(values['iou']) == set(idd_lite.COARSE_NAMES)
  assert np.array_equal(maps['valid'], valid)
  assert np.array_equal(TABLE[maps['prediction']], predicted)
  assert set(np.unique(maps['prediction'])) <= set(GROUPS.stand_ins())


@pytest.mark.parametrize('name', ['msp', 'fsnet'])
def test_failures_are_those_of_groups(evaluated, name):
  logits, coarse, _, counts, maps = evaluated
  wrong = TABLE[logits.argmax(-1)] != coarse
  score = maps['score'][name]
  e = np.exp(logits.astype(np.float64))
  stated = {
    'msp': 1 - (e / e.sum(-1, keepdims=True)).max(-1),
    'fsnet': 1 / (1 + np.exp(-logits[..., 0].astype(np.float64))),
  }[name]
  group = np.where(coarse < 255, coarse, 0)
  expected = ExactFailure.empty(7).update(
    score, wrong, maps['valid'], group, stated.astype(np.float32)
  )
  for exact_pixels in (1 << 20, 0):
    found = FailureHistogram.empty(7, exact_pixels).add(counts['failure'][name])
    ours, theirs = found.compute(), expected.compute()
    for part in ('pooled', 'class_macro'):
      for key, value in theirs[part].items():
        tolerance = 1e-4 if exact_pixels else 0.02
        assert ours[part][key] == pytest.approx(value, abs=tolerance), key


@pytest.mark.parametrize('name', ['msp', 'fsnet'])
def test_details_are_those_of_groups(evaluated, name):
  logits, coarse, _, counts, maps = evaluated
  predicted = TABLE[logits.argmax(-1)]
  expected = Details.empty(7).add(
    jax.jit(detail_counts, static_argnums=5)(
      maps['score'][name],
      predicted != coarse,
      maps['valid'],
      predicted,
      maps['region'],
      7,
    )
  )
  found = Details.empty(7).add(counts['details'][name])
  assert found.compute(GROUPS.names) == expected.compute(GROUPS.names)
  assert sum(
    one['pixels'] for one in found.compute()['per_predicted_class'].values()
  ) == np.count_nonzero(maps['valid'])
