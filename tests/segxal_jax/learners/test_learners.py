"""DEAL and the mean teacher against dense forms, on every network S."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from scipy import special, stats

from common_lib.errors import UserError
from configs import fsnet_deeplabv2, fsnet_fcn8, segxal_unet
from fsnet_jax.steps import losses
from fsnet_jax.steps.train_step import TrainState
from segxal_jax.config import trainings, validation
from segxal_jax.learners import deal, mean_teacher
from segxal_jax.pool.sources import HalfUnlabelled
from segxal_jax.uncertainty import deal_difficulty
from tests.fsnet_jax.models import quick

RNG = np.random.default_rng(0)


def test_attention_against_its_dense_form():
  probs = special.softmax(RNG.normal(0, 2, (2, 3, 4, 5)), axis=-1)
  found = deal.probability_attention(jnp.asarray(probs, jnp.float32), 0.7)
  for b in range(2):
    # The paper's layout: P is [c n], A = softmax(P^T P) by rows, P A^T.
    p = probs[b].reshape(12, 5).T
    a = special.softmax(p.T @ p, axis=1)
    expected = 0.7 * p @ a.T + p
    np.testing.assert_allclose(found[b].reshape(12, 5).T, expected, rtol=1e-5)
  same = deal.probability_attention(jnp.asarray(probs, jnp.float32), 0.0)
  np.testing.assert_allclose(same, probs, rtol=1e-6)


def test_masked_losses_against_scikit_learn():
  logits = RNG.normal(0, 2, (2, 4, 5)).astype(np.float32)
  wrong = RNG.random((2, 4, 5)) < 0.3
  valid = RNG.random((2, 4, 5)) < 0.8
  score = special.expit(logits.astype(np.float64))

  def of(form, target, valid):
    return losses.failure_loss(
      jnp.asarray(logits), jnp.asarray(target), jnp.asarray(valid), form
    )

  plain = sklearn.metrics.log_loss(wrong[valid], score[valid])
  np.testing.assert_allclose(of('bce', wrong, valid), plain, rtol=1e-5)
  sides = [valid & wrong, valid & ~wrong]
  weights = np.array([1 / np.sqrt(side.sum() + 1) for side in sides])
  means = [
    -np.log(score[sides[0]]).mean(),
    -np.log(1 - score[sides[1]]).mean(),
  ]
  expected = weights @ means / weights.sum()
  np.testing.assert_allclose(of('wce', wrong, valid), expected, rtol=1e-5)
  # Void teaches nothing, and a batch of void is worth nothing.
  for form in ('bce', 'wce'):
    flipped = of(form, np.where(valid, wrong, ~wrong), valid)
    np.testing.assert_array_equal(of(form, wrong, valid), flipped)
    assert of(form, wrong, np.zeros_like(valid)) == 0


def test_difficulty_entropy_against_numpys_histogram():
  maps = RNG.random((4, 6, 7)).astype(np.float32)
  maps[1] = 0.3
  usable = RNG.random((4, 6, 7)) < 0.8
  usable[1] = True
  usable[3] = False
  found = quick.jit(lambda m, u: deal_difficulty.levels_entropy(m, u, 8))(
    maps, usable
  )
  for b in (0, 2):
    counts, _ = np.histogram(maps[b][usable[b]], bins=8)
    expected = stats.entropy(counts) / np.log(8)
    np.testing.assert_allclose(found[b], expected, rtol=1e-5)
  assert found[1] == found[3] == 0


def test_average_against_a_plain_loop():
  params = {'a': jnp.array([1.0, -2.0]), 'b': jnp.array(3.0)}
  gradient = {'a': jnp.array([0.5, 1.0]), 'b': jnp.array(-1.0)}
  optimizer = mean_teacher.with_average(
    optax.with_extra_args_support(optax.sgd(0.1)), 0.6
  )
  state = optimizer.init(params)
  average, expected = None, {name: np.asarray(v) for name, v in params.items()}
  for step in range(5):
    updates, state = optimizer.update(gradient, state, params)
    params = optax.apply_updates(params, updates)
    weight = min(0.6, step / (step + 1))
    new = {n: np.asarray(v) for n, v in params.items()}
    expected = {
      n: v - 0.1 * np.asarray(gradient[n]) for n, v in expected.items()
    }
    average = (
      new
      if average is None
      else {n: weight * average[n] + (1 - weight) * new[n] for n in new}
    )
  for name in params:
    np.testing.assert_allclose(params[name], expected[name], rtol=1e-6)
    np.testing.assert_allclose(state.average[name], average[name], rtol=1e-6)


def test_the_teacher_labels_only_what_has_no_label_and_where_it_is_sure():
  label = jnp.array([[[1, 255, 255]]], jnp.uint8)
  logits = jnp.log(jnp.array([[[[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]]]))
  found = mean_teacher.completed(label, logits, 0.7)
  np.testing.assert_array_equal(found, [[[1, 1, 255]]])
  assert found.dtype == jnp.uint8


@pytest.mark.parametrize('own, taught', [(3, 50), (40, 2), (7, 7)])
def test_people_and_teacher_say_half_each(own, taught):
  label = np.full((2, 8, 8), 255, np.uint8)
  complete = label.copy()
  label.reshape(-1)[:own] = 1
  complete.reshape(-1)[: own + taught] = 1
  weights = mean_teacher.label_weights(*map(jnp.asarray, (label, complete)))
  weights = np.asarray(weights)
  known = complete != 255
  np.testing.assert_allclose(weights[known].mean(), 1, rtol=1e-5)
  np.testing.assert_allclose(
    weights[label != 255].sum(), weights[known].sum() / 2, rtol=1e-5
  )


@pytest.mark.parametrize('own, taught', [(0, 9), (9, 0), (0, 0)])
def test_without_either_all_pixels_count_alike(own, taught):
  label = np.full((1, 4, 4), 255, np.uint8)
  complete = label.copy()
  label.reshape(-1)[:own] = 1
  complete.reshape(-1)[: own + taught] = 1
  weights = mean_teacher.label_weights(*map(jnp.asarray, (label, complete)))
  np.testing.assert_array_equal(weights, np.ones((1, 4, 4)))


def _scenes(*numbers):
  return [
    {'image': np.full((2, 2, 3), n, np.uint8), 'label': np.full((2, 2), n)}
    for n in numbers
  ]


def test_half_of_the_images_are_unlabelled():
  mixed = HalfUnlabelled(_scenes(1), _scenes(7, 8, 9), [0, 2])
  assert [int(mixed[i]['image'][0, 0, 0]) for i in range(len(mixed))] == [
    1, 7, 1, 9,
  ]  # fmt: skip
  labels = [int(mixed[i]['label'][0, 0]) for i in range(4)]
  assert labels == [1, 255, 1, 255]
  assert len(HalfUnlabelled(_scenes(1), _scenes(7), [])) == 1


def _config(network, strategy):
  config = segxal_unet.get_config('streets')
  if network != 'unet':
    other = fsnet_fcn8 if network == 'fcn8' else fsnet_deeplabv2
    config.segmentation = other.get_config().segmentation
  if network == 'deeplab_v2':
    config.segmentation.blocks = (1, 1, 1, 1)
  config.image_size = (32, 64)
  config.width = 1 / 32
  config.acquisition.strategy = strategy
  validation.check(config)
  return config


@pytest.mark.slow
@pytest.mark.parametrize(
  ('network', 'strategy'),
  [('unet', 's4al'), ('fcn8', 'deal_ds'), ('deeplab_v2', 'deal_ds')],
)
def test_every_network_trains_with_every_learner(network, strategy):
  """By shapes alone: what is composed is one step of one state."""
  config = _config(network, strategy)
  learner = trainings.learner(config)
  model = learner.model()
  params, batch_stats = jax.eval_shape(lambda: model.init(0, (32, 64)))
  opt_state = jax.eval_shape(learner.optimizer().init, params)
  step = learner.train_step(model, learner.phase(0))

  def update(params, batch_stats, opt_state, batch):
    state = TrainState(
      step=jnp.zeros((), jnp.int32),
      phase2_start=jnp.asarray(learner.joint_start(), jnp.int32),
      params=params,
      batch_stats=batch_stats,
      opt_state=opt_state,
      dropout_key=jax.random.key_data(jax.random.key(0)),
    )
    after, scalars = step(state, batch)
    changed = (after.params, after.batch_stats, after.opt_state)
    return changed, learner.scoring_params(after), scalars

  batch = {
    'image': jax.ShapeDtypeStruct((2, 32, 64, 3), jnp.uint8),
    'label': jax.ShapeDtypeStruct((2, 32, 64), jnp.uint8),
  }
  before = (params, batch_stats, opt_state)
  after, scoring, scalars = jax.eval_shape(update, *before, batch)
  assert jax.tree.structure(after) == jax.tree.structure(before)
  assert jax.tree.structure(scoring) == jax.tree.structure(params)
  assert 'loss' in scalars
  if strategy == 'deal_ds':
    assert 'loss_failure' in scalars and 'gamma' in params['failure']


def test_deal_and_fsnets_branch_exclude_each_other():
  config = segxal_unet.get_config('streets')
  config.acquisition.strategy = 'deal_de'
  config.phase2_steps = 3
  with pytest.raises(UserError, match='config.phase2_steps=0'):
    validation.check(config)
