"""The head on the channels that dropout keeps says what the whole one does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.segmentation import fcn8_dropout_head
from fsnet_jax.models.segmentation.fcn8 import FCN8, Encoded
from tests.fsnet_jax.models import quick

HEAD = 200


def encoded(rng, grid):
  shape = (2, *grid, HEAD)
  fc6 = jnp.maximum(jnp.asarray(rng.normal(size=shape), jnp.float32), 0)
  return Encoded(features=fc6[..., :1], fc6=fc6, pool4=None, pool3=None)


def variables(rng):
  def layer(inputs, outputs):
    kernel = rng.normal(size=(1, 1, inputs, outputs))
    bias = rng.normal(size=outputs)
    return jax.tree.map(jnp.float32, {'kernel': kernel, 'bias': bias})

  return {'params': {'fc7': layer(HEAD, HEAD), 'score_fr': layer(HEAD, 19)}}


@pytest.mark.slow
@pytest.mark.parametrize('rate', [0.2, 0.5, 0.9])
def test_sample_is_score_with_the_same_masks(rate):
  rng = np.random.default_rng(0)
  network = FCN8(head_width=HEAD, padding='same', dropout_rate=rate)
  many, few = encoded(rng, (8, 9)), encoded(rng, (2, 3))

  @quick.jit
  def both(variables, encoded, key):
    key = {'dropout': key}
    arguments = variables, encoded
    whole = network.apply(*arguments, True, method='score', rngs=key)[0]
    return whole, network.apply(*arguments, method='sample', rngs=key)

  weights = variables(rng)
  plain = network.apply(weights, many, method='score')[0]
  for seed in range(3):
    whole, sample = both(weights, many, jax.random.key(seed))
    np.testing.assert_allclose(whole, sample, rtol=1e-5, atol=1e-3)
    assert float(jnp.abs(whole - plain).max()) > 1  # dropout is on
  whole, sample = both(weights, few, jax.random.key(0))
  assert (whole == sample).all()


def test_fewer_products_than_the_whole_head():
  network = FCN8(head_width=1000, padding='same')
  shapes = {
    'fc7': (1, 1, 1000, 1000),
    'score_fr': (1, 1, 1000, 19),
  }
  weights = {
    'params': {
      name: {
        'kernel': jax.ShapeDtypeStruct(shape, jnp.float32),
        'bias': jax.ShapeDtypeStruct(shape[-1:], jnp.float32),
      }
      for name, shape in shapes.items()
    }
  }
  fc6 = jax.ShapeDtypeStruct((1, 16, 16, 1000), jnp.float32)
  inputs = Encoded(features=fc6, fc6=fc6, pool4=None, pool3=None)

  def operations(choice):
    def sample(weights, inputs):
      key = {'dropout': jax.random.key(0)}
      return network.apply(weights, inputs, method='sample', rngs=key)

    with conv_forms.use(choice):
      return jax.jit(sample).lower(weights, inputs).cost_analysis()['flops']

  assert operations('cpu') < 0.5 * operations('plain')


def test_kept_channels_stand_first():
  masks = jnp.array([[0, 2, 0, 2, 2, 0], [0, 0, 0, 0, 2, 0]], jnp.float32)
  channels, factors = fcn8_dropout_head.kept_channels(masks, 4)
  np.testing.assert_array_equal(channels, [[1, 3, 4, 0], [4, 0, 1, 2]])
  np.testing.assert_array_equal(factors, [[2, 2, 2, 0], [2, 0, 0, 0]])


def test_slots_hold_what_a_dropout_keeps():
  assert fcn8_dropout_head.slots_for(16, 0.5) == 16
  assert fcn8_dropout_head.slots_for(4096, 0.5) == 2304
  assert fcn8_dropout_head.slots_for(4096, 1.0) == 4096
