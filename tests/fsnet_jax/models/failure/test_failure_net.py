import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from common_lib.errors import UserError
from fsnet_jax.models.failure import failure_features, failure_net
from fsnet_jax.models.layers import initializers
from tests.fsnet_jax.models import quick

CLASSES, CHANNELS = 19, 24


def random_logits(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(4 * rng.standard_normal(shape), jnp.float32)


def test_features_by_scipy():
  logits = random_logits(2, 3, 5, CLASSES)
  features = failure_features.softmax_features(logits)
  probs = special.softmax(np.asarray(logits, np.float64), -1)
  entropy = special.entr(probs).sum(-1)
  for name, expected in (
    ('w2', probs.max(-1)),
    ('w3', special.expit(entropy)),
    ('w4', probs.argmax(-1) / 18),
  ):
    assert features[name].shape == (2, 3, 5, 1)
    np.testing.assert_allclose(features[name][..., 0], expected, rtol=1e-5)
  raw = failure_features.softmax_features(logits, raw_class_index=True)
  np.testing.assert_array_equal(raw['w4'][..., 0], probs.argmax(-1))


def test_features_at_the_ends_of_their_ranges():
  certain = np.full((1, 1, 1, CLASSES), -300.0, np.float32)
  certain[..., 18] = 300
  features = failure_features.softmax_features(jnp.asarray(certain))
  assert [float(features[w].item()) for w in ('w2', 'w3', 'w4')] == [1, 0.5, 1]
  flat = failure_features.softmax_features(jnp.zeros((1, 1, 1, CLASSES)))
  assert float(flat['w2'].item()) == pytest.approx(1 / 19, rel=1e-5)
  # 19 / 20: the sigmoid of ln 19.
  assert float(flat['w3'].item()) == pytest.approx(0.95, rel=1e-5)
  assert float(flat['w4'].item()) == 0


def test_gradients_of_features_are_finite_and_none_passes_the_argmax():
  logits = random_logits(1, 2, 3, CLASSES).at[0, 0, 0].set(-500.0)
  logits = logits.at[0, 0, 0, 4].set(500.0)

  def total(logits, name):
    return failure_features.softmax_features(logits)[name].sum()

  for name in ('w2', 'w3', 'w4'):
    gradient = np.asarray(jax.grad(total)(logits, name))
    assert np.isfinite(gradient).all()
    assert np.any(gradient) == (name != 'w4')


def inputs_of(size, stride, batch=1):
  grid = [-(-n // stride) for n in size]
  return (
    jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32),
    jax.ShapeDtypeStruct((batch, *size, CLASSES), jnp.float32),
    jax.ShapeDtypeStruct((batch, *grid, CHANNELS), jnp.float32),
  )


def values_of(size, stride, batch=1):
  return [
    jnp.abs(random_logits(*s.shape, seed=i))
    for i, s in enumerate(inputs_of(size, stride, batch))
  ]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('decoder', 'branches'),
  [('skips', 'single'), ('literal', 'multi'), ('four_scale', 'multi')],
)
def test_any_size_and_grid(decoder, branches):
  network = failure_net.FailureNet(0.125, decoder, branches)
  variables = initializers.host_init(network, 0, *inputs_of((64, 128), 32))
  output = None
  for size, stride in (((64, 128), 32), ((47, 75), 32), ((33, 40), 32)):
    output = jax.eval_shape(network.apply, variables, *inputs_of(size, stride))
    assert output.shape == (1, *size)
    assert output.dtype == jnp.float32
  finer = initializers.host_init(network, 0, *inputs_of((65, 129), 8))
  output = jax.eval_shape(network.apply, finer, *inputs_of((65, 129), 8))
  assert output.shape == (1, 65, 129)


def stem_channels(params):
  return {
    name: tree['conv1']['kernel'].shape[2]
    for name, tree in params.items()
    if name.startswith('encoder')
  }


ALL = failure_net.INPUTS


def without(*names):
  return tuple(name for name in ALL if name not in names)


@pytest.mark.parametrize(
  ('branches', 'inputs', 'stems', 'z'),
  [
    ('multi', ALL, {'encoder1': 4, 'encoder2': 4}, 128 + CHANNELS),
    ('single', ALL, {'encoder': 7}, 64 + CHANNELS),
    ('multi', without('x'), {'encoder1': 1, 'encoder2': 4}, 128 + CHANNELS),
    ('multi', without('w1'), {'encoder1': 3, 'encoder2': 3}, 128 + CHANNELS),
    ('multi', without('w4'), {'encoder1': 4, 'encoder2': 3}, 128 + CHANNELS),
    ('multi', without('seg_features'), {'encoder1': 4, 'encoder2': 4}, 128),
    ('multi', without('x', 'w1'), {'encoder2': 3}, 64 + CHANNELS),
    ('single', without('w2', 'x'), {'encoder': 3}, 64 + CHANNELS),
  ],
)
def test_ablation_resizes_stems(branches, inputs, stems, z):
  network = failure_net.FailureNet(0.125, 'literal', branches, inputs)
  tree = initializers.host_init(network, 0, *inputs_of((32, 64), 32))['params']
  assert stem_channels(tree) == stems
  assert tree['decoder']['project']['conv']['kernel'].shape[2] == z
  assert ('w1' in tree) == ('w1' in inputs)


def test_blocks_of_the_encoders():
  for blocks in (1, 2):
    network = failure_net.FailureNet(0.125, 'literal', blocks=blocks)
    shapes = initializers.host_init(network, 0, *inputs_of((32, 64), 32))
    layers = shapes['params']['encoder1']
    assert sum(name.startswith('layer') for name in layers) == 4 * blocks


def test_new_network_is_undecided():
  network = failure_net.FailureNet(0.125, blocks=1)
  size = (64, 96)
  variables = initializers.host_init(network, 0, *inputs_of(size, 32))
  assert not np.any(variables['params']['decoder']['score']['bias'])
  logits = quick.jit(network.apply)(variables, *values_of(size, 32, 2))
  probability = special.expit(np.asarray(logits))
  assert 0.2 < probability.mean() < 0.8


def test_miss_logit_is_the_softmaxs_log_odds():
  logits = random_logits(2, 3, 5, CLASSES)
  top = special.softmax(np.asarray(logits, np.float64), -1).max(-1)
  expected = np.log1p(-top) - np.log(top)
  ours = failure_features.miss_logit(logits)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_msp_residual_adds_the_softmaxs_log_odds():
  size = (32, 64)
  values = values_of(size, 32)
  plain = failure_net.FailureNet(0.125, blocks=1)
  residual = failure_net.FailureNet(0.125, blocks=1, msp_residual=True)
  variables = initializers.host_init(plain, 0, *inputs_of(size, 32))

  @quick.jit
  def run(variables):
    return [net.apply(variables, *values) for net in (plain, residual)]

  without_it, with_it = run(variables)
  own = failure_features.miss_logit(values[1])
  np.testing.assert_allclose(with_it - without_it, own, atol=1e-4)


@pytest.mark.slow
def test_bfloat16_compute_returns_float32():
  size = (32, 64)
  outputs = []
  for dtype in (jnp.float32, jnp.bfloat16):
    network = failure_net.FailureNet(0.125, blocks=1, dtype=dtype)
    variables = initializers.host_init(network, 0, *inputs_of(size, 32))
    outputs.append(quick.jit(network.apply)(variables, *values_of(size, 32)))
    assert outputs[-1].dtype == jnp.float32
  full, half = map(np.asarray, outputs)
  assert 0 < np.abs(full - half).max() < 0.1 * np.abs(full).max() + 0.05


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'decoder': 'unet'}, 'skips'),
    ({'branches': 'both'}, 'multi'),
    ({'inputs': ('x', 'w5')}, 'w5'),
    ({'inputs': ('seg_features',)}, 'at least one'),
    ({'inputs': ()}, 'at least one'),
  ],
)
def test_unknown_choices_are_named(settings, message):
  network = failure_net.FailureNet(0.125, **settings)
  with pytest.raises(UserError, match=message):
    initializers.host_init(network, 0, *inputs_of((32, 32), 32))
