"""What passes with dropout disagree about, against NumPy on whole passes."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from fsnet_jax.models import mc_dropout
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from tests.fsnet_jax.models import quick

SAMPLES = 3


class Scores(nn.Module):
  """S in three parts, without weights: its images are its scores."""

  dropout_rate: float = 0.5
  num_classes: int = 3
  scale: float = 1.0

  def __call__(self, images, train=False):
    return SegmentationOutput(self.encode(images), images)

  @nn.nowrap
  def check_image_size(self, image_size):
    pass

  def encode(self, images):
    return self.scale * images[..., : self.num_classes]

  @nn.compact
  def sample(self, encoded):
    return nn.Dropout(self.dropout_rate, deterministic=False)(encoded)

  def upsample(self, encoded, coarse, size):
    return coarse


def _uncertainty(network, variables, images, index, samples=SAMPLES, seed=5):
  run = quick.jit(
    lambda variables, images, index: mc_dropout.uncertainty(
      network,
      variables,
      images,
      index,
      key=jax.random.key(seed),
      samples=samples,
    )
  )
  return np.asarray(run(variables, images, index))


def _expected(passes):
  """Entropy of the mean and mutual information, from logits [k b h w c]."""
  probs = scipy.special.softmax(np.asarray(passes, np.float64), -1)
  whole = scipy.special.entr(probs.mean(0)).sum(-1)
  within = scipy.special.entr(probs).sum(-1).mean(0)
  return np.stack([whole, whole - within], -1)


def _passes(network, variables, images, index, seed=5):
  """Logits of whole passes, one image at a time."""
  found = []
  for number in range(SAMPLES):
    row = []
    for image, place in zip(images, index):
      key = jax.random.fold_in(jax.random.key(seed), place)
      key = jax.random.fold_in(key, number)
      encoded = network.apply(variables, image[None], method='encode')
      coarse = network.apply(
        variables, encoded, method='sample', rngs={'dropout': key}
      )
      size = image.shape[:2]
      row.append(
        network.apply(variables, encoded, coarse, size, method='upsample')[0]
      )
    found.append(jnp.stack(row))
  return jnp.stack(found)


def _images(size, scale=3.0):
  rng = np.random.default_rng(2)
  return jnp.asarray(rng.normal(0, scale, (2, *size, 3)), jnp.float32)


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_against_numpy(scale):
  """Logits of a few, and of thousands: sure, and now and then of another."""
  network, images, index = Scores(scale=scale), _images((5, 6)), [4, 9]
  found = _uncertainty(network, {}, images, jnp.array(index))
  expected = _expected(_passes(network, {}, images, index))
  np.testing.assert_allclose(found, expected, atol=2e-6)
  assert found[..., 1].max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
  'network',
  [
    FCN8(width=0.02, head_width=16, padding='same', input_scale=1 / 64),
    EfficientNetUNet(width=0.1, dropout_rate=0.5),
  ],
  ids=lambda one: type(one).__name__,
)
def test_a_network_is_run_again_behind_its_dropout_only(network):
  images = _images((32, 64), scale=80.0)
  shape = jax.ShapeDtypeStruct((1, *images.shape[1:]), jnp.float32)
  variables = host_init(network, 0, shape)
  index = [4, 9]
  found = _uncertainty(network, variables, images, jnp.array(index))
  passes = quick.jit(
    functools.partial(_passes, network, images=images, index=index)
  )(variables)
  expected = _expected(passes)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert found[..., 1].max() > 1e-4


def test_passes_without_dropout_agree():
  images = _images((5, 6))
  found = _uncertainty(Scores(dropout_rate=0.0), {}, images, jnp.arange(2))
  entropy = scipy.special.entr(scipy.special.softmax(images, -1)).sum(-1)
  np.testing.assert_allclose(found[..., 0], entropy, atol=2e-6)
  np.testing.assert_allclose(found[..., 1], 0, atol=1e-6)


@pytest.mark.parametrize('samples', [1, 4])
def test_degenerate_scores_are_finite_and_without_doubt(samples):
  """One class alone, all alike, and one far above all others."""
  index = jnp.arange(2)
  one = Scores(num_classes=1)
  found = _uncertainty(one, {}, _images((3, 4)), index, samples)
  np.testing.assert_array_equal(found, 0)
  alike = jnp.zeros((2, 3, 4, 3))
  found = _uncertainty(Scores(), {}, alike, index, samples)
  np.testing.assert_allclose(found[..., 0], np.log(3), atol=1e-6)
  np.testing.assert_allclose(found[..., 1], 0, atol=1e-6)
  far = jnp.full((2, 3, 4, 3), -1e8).at[..., 1].set(1e8)
  sure = Scores(dropout_rate=0.0)
  found = _uncertainty(sure, {}, far, index, samples)
  np.testing.assert_allclose(found, 0, atol=1e-20)


def test_an_image_draws_the_same_masks_in_any_batch():
  images = _images((3, 4))
  both = _uncertainty(Scores(), {}, images, jnp.array([4, 9]))
  second = _uncertainty(Scores(), {}, images[1:], jnp.array([9]))
  np.testing.assert_allclose(both[1:], second, atol=1e-6)
  other = _uncertainty(Scores(), {}, images[1:], jnp.array([8]))
  assert np.abs(other - second).max() > 0.01


def test_no_gradient_reaches_s():
  def total(images):
    found = mc_dropout.uncertainty(
      Scores(), {}, images, jnp.arange(2), key=jax.random.key(0), samples=2
    )
    return jnp.sum(found)

  assert not np.any(jax.jit(jax.grad(total))(_images((3, 4))))
