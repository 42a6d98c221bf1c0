"""The two steps on a tiny FSNet: what moves, what stays, what is equal."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.steps import optimizers
from fsnet_jax.steps.train_step import (
  LossOptions,
  abstract_state,
  create_state,
  make_train_step,
)
from segxal_jax.learners import networks as learners

SIZE = (32, 64)
MODEL = FSNet(
  segmentation=FCN8(width=0.02, head_width=16, padding='same'),
  # The variant that compiles fastest; tests/models covers the others.
  failure=FailureNet(
    width=0.05, branches='single', decoder='four_scale', blocks=1
  ),
)


def _optimizer():
  return optimizers.make_optimizer(
    segmentation_lr=optax.constant_schedule(0.01),
    momentum=0.9,
    weight_decay=5e-4,
    failure_lr=1e-3,
  )


def _state(phase2_start=0):
  return create_state(
    MODEL, _optimizer(), seed=0, image_size=SIZE, phase2_start=phase2_start
  )


def _batch(void=False):
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 19, (2, *SIZE)).astype(np.uint8)
  labels[:, :4] = 255
  if void:
    labels[:] = 255
  images = rng.integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
  return {'image': jnp.asarray(images), 'label': jnp.asarray(labels)}


@functools.cache
def _step(phase, **options):
  return jax.jit(
    make_train_step(
      MODEL, _optimizer(), phase=phase, options=LossOptions(**options)
    )
  )


def _differs(a, b):
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b))
  return any(not np.array_equal(x, y) for x, y in pairs)


@pytest.mark.parametrize('with_failure', [True, False])
def test_the_form_of_a_state_is_that_of_a_fresh_one(with_failure):
  model = learners.for_training(MODEL, with_failure)
  state = create_state(
    model, _optimizer(), seed=0, image_size=SIZE, phase2_start=0
  )
  form = abstract_state(model, _optimizer(), SIZE)
  assert jax.tree.structure(form) == jax.tree.structure(state)
  for ours, theirs in zip(jax.tree.leaves(form), jax.tree.leaves(state)):
    assert type(ours) is jax.ShapeDtypeStruct
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


def test_phase_1_trains_s_and_leaves_f_and_its_moments_alone():
  before = _state(phase2_start=10)
  after, scalars = _step(1)(before, _batch())
  assert _differs(before.params['segmentation'], after.params['segmentation'])
  for tree in ('params', 'batch_stats'):
    assert not _differs(
      getattr(before, tree)['failure'], getattr(after, tree)['failure']
    )
  moments = jax.tree.leaves(after.opt_state.inner_states['failure'])
  assert all(not np.any(leaf) for leaf in moments if leaf.ndim)
  assert after.step == 1 and np.isfinite(scalars['loss'])


@pytest.mark.slow
def test_phase_2_trains_both():
  before = _state()
  after, scalars = _step(2)(before, _batch())
  for network in ('segmentation', 'failure'):
    assert _differs(before.params[network], after.params[network])
  assert _differs(before.batch_stats['failure'], after.batch_stats['failure'])
  np.testing.assert_allclose(
    scalars['loss'],
    scalars['loss_segmentation'] + scalars['loss_failure'],
    rtol=1e-6,
  )


@pytest.mark.slow
def test_l2_reaches_s_unless_it_is_stopped():
  alone, _ = _step(1)(_state(), _batch())
  joint, _ = _step(2)(_state(), _batch())
  stopped, _ = _step(2, stop_gradient_to_segmentation=True)(_state(), _batch())
  reference = alone.params['segmentation']
  assert _differs(reference, joint.params['segmentation'])
  for a, b in zip(
    jax.tree.leaves(reference), jax.tree.leaves(stopped.params['segmentation'])
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_the_schedule_keeps_l2_out_before_the_switch():
  # The joint program run too early: the weight, not the program, decides.
  early, scalars = _step(2)(_state(phase2_start=5), _batch())
  alone, _ = _step(1)(_state(phase2_start=5), _batch())
  assert scalars['l2_weight'] == 0
  for a, b in zip(
    jax.tree.leaves(alone.params['segmentation']),
    jax.tree.leaves(early.params['segmentation']),
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_batch_of_void_alone_keeps_everything_finite():
  after, scalars = _step(2)(_state(), _batch(void=True))
  assert scalars['loss'] == 0
  leaves = jax.tree.leaves(after.params)
  assert all(np.isfinite(leaf).all() for leaf in leaves)


def test_dropout_depends_on_the_step_alone():
  state, batch = _state(), _batch()
  one, _ = _step(1)(state, batch)
  again, _ = _step(1)(state, batch)
  later, _ = _step(1)(state.replace(step=jnp.asarray(7, jnp.int32)), batch)
  assert not _differs(one.params, again.params)
  assert _differs(one.params, later.params)


def test_state_is_deterministic_by_seed():
  assert not _differs(_state().params, _state().params)
  other = create_state(
    MODEL, _optimizer(), seed=1, image_size=SIZE, phase2_start=0
  )
  assert _differs(_state().params, other.params)


@pytest.mark.parametrize('phase', [1, 2])
def test_loss_falls_on_one_batch(phase):
  state, batch = _state(), _batch()
  losses = []
  for _ in range(8):
    state, scalars = _step(phase)(state, batch)
    losses.append(float(scalars['loss_segmentation']))
  assert losses[-1] < losses[0]
