"""The optimiser tree: PyTorch's SGD by hand, Adam held still in phase 1."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsnet_jax.steps import optimizers


def _optimizer(**changes):
  options = {
    'segmentation_lr': optax.constant_schedule(0.1),
    'momentum': 0.9,
    'weight_decay': 0.01,
    'failure_lr': 0.001,
  }
  return optimizers.make_optimizer(**(options | changes))


def _params():
  return {
    'segmentation': {'kernel': jnp.asarray([1.0, -2.0])},
    'failure': {'kernel': jnp.asarray([3.0])},
  }


def _run(optimizer, phases, grads=None):
  params = _params()
  grads = grads or jax.tree.map(lambda p: 0.5 * jnp.ones_like(p), params)
  state = optimizer.init(params)
  for in_phase2 in phases:
    updates, state = optimizer.update(grads, state, params, in_phase2=in_phase2)
    params = optax.apply_updates(params, updates)
  return params, state


def test_segmentation_follows_sgd_with_decay_before_momentum():
  params, _ = _run(_optimizer(), [False, False, True])
  value, buffer = np.array([1.0, -2.0]), 0.0
  for _ in range(3):
    gradient = 0.5 + 0.01 * value
    buffer = 0.9 * buffer + gradient
    value = value - 0.1 * buffer
  np.testing.assert_allclose(params['segmentation']['kernel'], value, rtol=1e-6)


def test_the_mask_is_that_of_optax():
  theirs = optax.conditionally_mask(
    optax.adam(0.001),
    lambda step, in_phase2: in_phase2,
    forward_extra_args=True,
  )
  ours, params = _optimizer(), _params()
  own, other = ours.init(params), theirs.init(params['failure'])
  rng = np.random.default_rng(0)
  for in_phase2 in (False, False, True, True, False, True):
    grads = jax.tree.map(
      lambda p: jnp.asarray(rng.normal(size=p.shape)), params
    )
    found, own = ours.update(grads, own, params, in_phase2=in_phase2)
    expected, other = theirs.update(
      grads['failure'], other, params['failure'], in_phase2=in_phase2
    )
    np.testing.assert_array_equal(
      found['failure']['kernel'], expected['kernel']
    )
    masked = own.inner_states['failure'].inner_state
    assert type(masked) is type(other)
    for one, two in zip(jax.tree.leaves(masked), jax.tree.leaves(other)):
      np.testing.assert_array_equal(one, two)


def test_failure_network_is_untouched_in_phase_1():
  params, state = _run(_optimizer(), [False] * 5)
  assert params['failure']['kernel'] == 3.0
  adam = [
    leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(
      state.inner_states['failure']
    )
    if 'step' not in jax.tree_util.keystr(path)
  ]
  assert len(adam) == 3 and all(not np.any(leaf) for leaf in adam)


def test_first_joint_step_is_adams_first_step():
  # Bias correction makes Adam's first step lr * sign(g), if its count is
  # still 0 after phase 1.
  params, _ = _run(_optimizer(), [False, False, False, True])
  np.testing.assert_allclose(
    params['failure']['kernel'], 3.0 - 0.001, rtol=1e-6
  )


def test_clipping_bounds_the_gradient_of_s_alone():
  grads = {
    'segmentation': {'kernel': jnp.asarray([30.0, 40.0])},
    'failure': {'kernel': jnp.asarray([7.0])},
  }
  optimizer = _optimizer(clip_norm=1.0, weight_decay=0.0, momentum=0.0)
  params, _ = _run(optimizer, [True], grads)
  np.testing.assert_allclose(
    params['segmentation']['kernel'], [1 - 0.06, -2 - 0.08], rtol=1e-5
  )


def test_poly_schedule_is_deeplabs():
  schedule = optimizers.segmentation_schedule(2e-4, 'poly', 250_000, 0.9)
  for step in (0, 20_000, 30_000, 50_000):
    expected = 2e-4 * (1 - step / 250_000) ** 0.9
    np.testing.assert_allclose(schedule(step), expected, rtol=1e-5)
  assert schedule(250_001) == 0
  with pytest.raises(ValueError, match='triangle'):
    optimizers.segmentation_schedule(1.0, 'triangle', 1, 1.0)


def test_cosine_schedule_warms_up_and_ends_at_0():
  schedule = optimizers.segmentation_schedule(2.0, 'cosine', 30, 0.9, 4)
  # lr * (1 + cos(pi * step / 30)) / 2, first in quarters.
  expected = {
    0: 2 * 0.25,
    2: (1 + np.cos(np.pi / 15)) * 0.75,
    3: 1 + np.cos(np.pi / 10),
    10: 1.5,
    15: 1,
    30: 0,
    99: 0,
  }
  for step, value in expected.items():
    np.testing.assert_allclose(schedule(step), value, rtol=1e-6, atol=1e-7)
  constant = optimizers.segmentation_schedule(3.0, 'constant', 1, 1.0, 3)
  np.testing.assert_allclose([constant(s) for s in range(4)], [1, 2, 3, 3])


def test_l2_weight_is_zero_until_the_switch():
  schedule = jax.jit(
    lambda start, step: optimizers.l2_weight_schedule(start, 0.7)(step)
  )
  weights = [float(schedule(3, step)) for step in range(6)]
  np.testing.assert_allclose(weights, [0, 0, 0, 0.7, 0.7, 0.7])
  assert schedule(optimizers.NOT_YET, 10**9) == 0


def test_l2_weight_can_rise_slowly():
  schedule = optimizers.l2_weight_schedule(10, 1.0, warmup_steps=4)
  weights = [float(schedule(step)) for step in (9, 10, 12, 14, 20)]
  np.testing.assert_allclose(weights, [0, 0, 0.5, 1, 1])


def test_adam_for_s_is_optax_adamw():
  params, _ = _run(_optimizer(kind='adam'), [False, False])
  reference = optax.adamw(0.1, weight_decay=0.01)
  value = jnp.asarray([1.0, -2.0])
  state = reference.init(value)
  for _ in range(2):
    updates, state = reference.update(jnp.full(2, 0.5), state, value)
    value = optax.apply_updates(value, updates)
  np.testing.assert_allclose(params['segmentation']['kernel'], value, rtol=1e-6)
  with pytest.raises(ValueError, match='lion'):
    _optimizer(kind='lion')


@pytest.mark.parametrize('kind', ['sgd', 'adam'])
def test_a_part_of_s_has_a_learning_rate_of_its_own(kind):
  # As PyTorch's groups of parameters: a tenth of the rate is a tenth of every
  # step, decay included; clipping still sees all of S.
  def run(**changes):
    params = {
      'segmentation': {
        name: {'kernel': jnp.asarray([2.0, -3.0])} for name in ('encoder', 'b')
      },
      'failure': {'encoder': jnp.ones(2)},
    }
    gradients = jax.tree.map(lambda p: 7.0 * jnp.sign(p), params)
    optimizer = _optimizer(kind=kind, clip_norm=5.0, **changes)
    updates, _ = optimizer.update(
      gradients, optimizer.init(params), params, in_phase2=True
    )
    return updates

  whole, scaled = run(), run(scaled=('encoder', 0.1))
  for name, factor in (('encoder', 0.1), ('b', 1)):
    np.testing.assert_allclose(
      scaled['segmentation'][name]['kernel'],
      factor * whole['segmentation'][name]['kernel'],
      rtol=1e-6,
    )
  np.testing.assert_array_equal(
    scaled['failure']['encoder'], whole['failure']['encoder']
  )
  assert np.all(whole['segmentation']['b']['kernel'] != 0)


@pytest.mark.parametrize('kind', ['sgd', 'adam'])
def test_frozen_parameters_do_not_even_decay(kind):
  params = {
    'segmentation': {
      'bn': {'scale': jnp.ones(2)},
      'conv': {'kernel': jnp.ones(2)},
    },
    'failure': {'bn': {'scale': jnp.ones(2)}},
  }
  optimizer = _optimizer(kind=kind, frozen=lambda path: path[0] == 'bn')
  state = optimizer.init(params)
  for _ in range(2):
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, state = optimizer.update(gradients, state, params, in_phase2=True)
    params = optax.apply_updates(params, updates)
  assert np.all(params['segmentation']['bn']['scale'] == 1)
  assert np.all(params['segmentation']['conv']['kernel'] < 1)
  assert np.all(params['failure']['bn']['scale'] < 1)
