"""Batch statistics of S: updated in training, frozen in evaluation, kept."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsnet_jax.steps import eval_step, optimizers, train_step
from tests.fsnet_jax.models import quick, small_networks

MODEL = small_networks.fsnet()
SIZE = small_networks.SIZE


def _batch():
  rng = np.random.default_rng(0)
  return {
    'image': jnp.asarray(rng.integers(0, 256, (2, *SIZE, 3)), jnp.uint8),
    'label': jnp.asarray(rng.integers(0, 5, (2, *SIZE)), jnp.uint8),
    'mask': jnp.ones(2, bool),
  }


def _optimizer():
  return optimizers.make_optimizer(
    segmentation_lr=optax.constant_schedule(0.01),
    momentum=0.9,
    weight_decay=0.0,
    failure_lr=1e-3,
  )


@pytest.mark.slow
@pytest.mark.parametrize('phase', [1, 2])
def test_a_step_records_the_batch_in_the_networks_that_train(phase):
  state = train_step.create_state(
    MODEL, _optimizer(), seed=0, image_size=SIZE, phase2_start=0
  )
  step = train_step.make_train_step(
    MODEL, _optimizer(), phase=phase, options=train_step.LossOptions()
  )
  batch = _batch()
  after, _ = quick.jit(step)(state, batch)
  # By hand: one tenth of the mean that the layer saw.
  weights = state.params['segmentation']['encoder']
  seen = jax.lax.conv_general_dilated(
    batch['image'].astype(jnp.float32) / 255,
    jnp.asarray(weights['kernel']),
    (2, 2),
    ((1, 1), (1, 1)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  np.testing.assert_allclose(
    after.batch_stats['segmentation']['norm']['mean'],
    0.1 * (seen + weights['bias']).mean((0, 1, 2)),
    rtol=1e-4,
    atol=1e-6,
  )
  moved = np.any(after.batch_stats['failure']['norm']['mean'])
  assert moved == (phase == 2)


def test_evaluation_uses_the_statistics_and_leaves_them():
  params, stats = MODEL.init(0, SIZE)
  other = jax.tree.map(lambda leaf: leaf + 0.5, stats)
  step = quick.jit(eval_step.make_validation_step(MODEL, phase=1))
  before, after = (
    float(step(params, s, _batch())['segmentation']) for s in (stats, other)
  )
  assert before != after
  images = _batch()['image'].astype(jnp.float32)
  _, kept = MODEL.segment(params, stats, images, train=False)
  assert kept is stats
