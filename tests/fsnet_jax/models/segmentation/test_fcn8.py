import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.layers import initializers
from fsnet_jax.models.segmentation import fcn8
from tests.fsnet_jax.models import quick

NARROW = {'num_classes': 5, 'width': 0.125, 'head_width': 16}


def structs(*size):
  return jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)


def variables_of(network, size):
  return initializers.host_init(network, 0, structs(*size))


def shapes_of(network, size, method=None):
  """Shapes of what a method returns, without computing it."""
  variables = variables_of(network, size)
  return jax.eval_shape(
    lambda v, x: network.apply(v, x, method=method), variables, structs(*size)
  )


@pytest.mark.parametrize(
  ('size', 'fc7', 'up2', 'up4', 'pool5'),
  [
    ((256, 512), (9, 17), (20, 36), (42, 74), (8, 16)),
    ((512, 1024), (17, 33), (36, 68), (74, 138), (16, 32)),
    ((720, 1280), (23, 41), (48, 84), (98, 170), (23, 40)),
    ((37, 51), (2, 2), (6, 6), (14, 14), (2, 2)),
  ],
)
def test_sizes_of_the_published_network(size, fc7, up2, up4, pool5):
  network = fcn8.FCN8(width=0.125)
  encoded = shapes_of(network, size, 'encode')
  assert encoded.fc6.shape[1:3] == fc7
  assert encoded.pool4.shape[1:3] == up2
  assert encoded.pool3.shape[1:3] == up4
  assert encoded.features.shape[1:3] == pool5
  output = shapes_of(network, size)
  assert output.logits.shape == (1, *size, 19)
  assert output.logits.dtype == jnp.float32


def test_uncropped_pools_round_up():
  network = fcn8.FCN8(width=0.125)
  variables = variables_of(network, (256, 512))

  def pools(variables, images):
    return network.bind(variables).vgg(jnp.pad(images, PADS))

  PADS = ((0, 0), (99, 99), (99, 99), (0, 0))
  shapes = jax.eval_shape(pools, variables, structs(256, 512))
  assert shapes['pool3'].shape[1:3] == (57, 89)
  assert shapes['pool4'].shape[1:3] == (29, 45)
  assert shapes['pool5'].shape[1:3] == (15, 23)


def test_number_of_parameters_at_full_width():
  # 134.3 million are published for FCN8 on VGG16 with 19-21 classes: the
  # features 14,714,688, fc6 102,764,544, fc7 16,781,312, and the scores.
  scores = 19 * (4096 + 512 + 256 + 3)
  expected = 14_714_688 + 102_764_544 + 16_781_312 + scores
  key = jax.eval_shape(lambda: jax.random.key(0))
  tree = jax.eval_shape(fcn8.FCN8().init, key, structs(32, 32))
  assert sum(leaf.size for leaf in jax.tree.leaves(tree)) == expected


def test_initial_values():
  params = variables_of(fcn8.FCN8(**NARROW), (32, 32))['params']
  for name in ('score_pool3', 'score_pool4'):
    assert not np.any(params[name]['kernel'])
    assert not np.any(params[name]['bias'])
  assert np.abs(params['score_fr']['kernel']).max() <= 1 / 4  # 1 / sqrt(16)
  assert np.abs(params['score_fr']['bias']).max() <= 1 / 4
  assert np.any(params['score_fr']['bias'])
  kernel = params['vgg']['conv3_2']['kernel']
  np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 32)), rtol=0.05)


def test_new_skips_add_nothing():
  network = fcn8.FCN8(**NARROW)
  variables = variables_of(network, (32, 64))
  images = jax.random.uniform(jax.random.key(0), (1, 32, 64, 3)) * 255

  @quick.jit
  def run(variables):
    encoded = network.apply(variables, images, method='encode')
    coarse, _ = network.apply(variables, encoded, method='score')
    silent = encoded.replace(
      pool4=jnp.zeros_like(encoded.pool4), pool3=jnp.zeros_like(encoded.pool3)
    )
    upsample = [
      network.apply(variables, e, coarse, (32, 64), method='upsample')
      for e in (encoded, silent)
    ]
    return network.apply(variables, images).logits, *upsample

  whole, parts, silent = run(variables)
  np.testing.assert_array_equal(parts, silent)
  np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-5)


def test_dropout_takes_whole_channels_and_only_the_tail():
  network = fcn8.FCN8(**{**NARROW, 'head_width': 64}, padding='same')
  variables = variables_of(network, (64, 64))
  images = jax.random.uniform(jax.random.key(0), (2, 64, 64, 3)) * 255

  @quick.jit
  def run(variables, key):
    encoded = network.apply(variables, images, method='encode')

    def tail(train):
      (coarse, _), kept = network.apply(
        variables,
        encoded,
        train,
        method='score',
        rngs={'dropout': key},
        capture_intermediates=lambda module, _: module.name == 'dropout',
      )
      return coarse, kept['intermediates']['dropout']['__call__']

    whole = network.apply(variables, images, True, rngs={'dropout': key})
    return encoded.fc6, tail(True), tail(False)[0], whole.logits

  fc6, (noisy, (after6, _)), quiet, logits = run(variables, jax.random.key(1))
  alive = np.asarray(fc6).max((1, 2)) > 0
  dropped = np.asarray(after6).max((1, 2)) == 0
  kept = alive & ~dropped
  # Whole channels: all zero, or all doubled; about one half of each.
  np.testing.assert_allclose(
    np.asarray(after6).transpose(0, 3, 1, 2)[kept],
    2 * np.asarray(fc6).transpose(0, 3, 1, 2)[kept],
  )
  assert 0.3 < (alive & dropped).sum() / alive.sum() < 0.7
  assert not np.allclose(noisy, quiet)
  # Another key, another mask; the same key, the same one.
  again = run(variables, jax.random.key(1))[3]
  other = run(variables, jax.random.key(2))[3]
  np.testing.assert_array_equal(logits, again)
  assert not np.allclose(logits, other)


def test_fc7_features_align_with_pool5():
  network = fcn8.FCN8(**NARROW, features='fc7')
  for size in ((256, 512), (100, 70)):
    output = shapes_of(network, size)
    pool5 = shapes_of(fcn8.FCN8(**NARROW), size).features
    assert output.features.shape == (*pool5.shape[:3], 16)


def test_same_padding_sizes():
  network = fcn8.FCN8(**NARROW, padding='same')
  output = shapes_of(network, (64, 96))
  assert output.logits.shape == (1, 64, 96, 5)
  assert output.features.shape == (1, 2, 3, 64)
  network.check_image_size((256, 512))
  with pytest.raises(UserError, match=r'multiples of 32.*\(64, 128\)'):
    network.check_image_size((70, 120))
  fcn8.FCN8(**NARROW).check_image_size((70, 120))


def test_both_paddings_share_their_parameters():
  trees = [
    variables_of(fcn8.FCN8(**NARROW, padding=padding), (64, 64))
    for padding in ('pad99', 'same')
  ]
  jax.tree.map(np.testing.assert_array_equal, *trees)


def test_bfloat16_compute_keeps_float32_outside():
  images = jax.random.uniform(jax.random.key(0), (1, 32, 32, 3)) * 255
  settings = {**NARROW, 'padding': 'same', 'input_scale': 1 / 64}
  full, half = (
    fcn8.FCN8(**settings, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16)
  )
  variables = variables_of(half, (32, 32))
  assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
  expected = quick.jit(full.apply)(variables, images)
  output = quick.jit(half.apply)(variables, images)
  assert output.logits.dtype == jnp.float32
  assert output.features.dtype == jnp.bfloat16
  scale = np.abs(expected.logits).max()
  error = np.abs(output.logits - expected.logits).max() / scale
  assert 1e-6 < error < 0.1


@pytest.mark.parametrize(
  ('field', 'value'), [('padding', 'pad100'), ('features', 'pool4')]
)
def test_unknown_choices_are_named(field, value):
  with pytest.raises(UserError, match=f'{field}.*{value}'):
    variables_of(fcn8.FCN8(**{field: value}), (32, 32))
