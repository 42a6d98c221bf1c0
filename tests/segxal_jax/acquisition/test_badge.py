"""Gradient embeddings against the closed form, k-means++ by its odds."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from common_lib.errors import UserError
from configs import fsnet_deeplabv2, segxal_unet
from segxal_jax import acquisition
from segxal_jax.acquisition import Candidates
from segxal_jax.config import validation
from segxal_jax.uncertainty import gradient_embedding
from segxal_jax.uncertainty.gradient_embedding import GradientOptions
from tests.fsnet_jax.models import quick


class Net(nn.Module):
  """Features, and a 1x1 classifier whose gradient has a closed form."""

  @nn.compact
  def __call__(self, images):
    x = nn.tanh(nn.Conv(4, (1, 1), name='body')(images))
    return nn.Conv(3, (1, 1), name='score')(x)


def test_embedding_is_the_classifiers_gradient():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(3, 5, 6, 3)).astype(np.float32)
  shapes = {'body': (3, 4), 'score': (4, 3)}
  params = {
    name: {
      'kernel': rng.normal(size=(1, 1, *shape)).astype(np.float32),
      'bias': rng.normal(size=shape[1]).astype(np.float32),
    }
    for name, shape in shapes.items()
  }
  usable = np.ones((3, 5, 6), bool)
  usable[0, 3:] = False
  usable[2] = False
  options = GradientOptions(('score',), 512)
  found = quick.jit(
    lambda v, i, u: gradient_embedding.embed(Net().apply, v, i, u, options)
  )({'params': params}, images, usable)
  body, score = params['body'], params['score']
  features = np.tanh(images @ body['kernel'][0, 0] + body['bias'])
  logits = features @ score['kernel'][0, 0] + score['bias']
  probs = special.softmax(logits, axis=-1)
  error = probs - np.eye(3)[probs.argmax(-1)]
  for b in range(2):
    # The outer product of feature and error, averaged over usable pixels.
    expected = features[b][usable[b]].T @ error[b][usable[b]] / usable[b].sum()
    np.testing.assert_allclose(found[b], expected.ravel(), atol=1e-6)
  assert not np.asarray(found[2]).any() and found.shape == (3, 12)


def test_sketch_keeps_inner_products_on_average():
  rng = np.random.default_rng(0)
  a = rng.normal(size=(40, 30)).astype(np.float32)
  b = (0.6 * a + 0.8 * rng.normal(size=a.shape)).astype(np.float32)
  short = [
    np.asarray(gradient_embedding.sketch(jnp.asarray(m), 1000)) for m in (a, b)
  ]
  assert short[0].shape == (1000,)
  np.testing.assert_allclose(short[0] @ short[1] / (a * b).sum(), 1, atol=0.15)
  np.testing.assert_allclose(short[0] @ short[0] / (a * a).sum(), 1, atol=0.15)
  np.testing.assert_array_equal(
    gradient_embedding.sketch(jnp.asarray(a), 1200), a.ravel()
  )


def _choose(points, count, seed=0):
  return acquisition.create('badge').select(
    Candidates(np.arange(len(points)), embedding=points), count,
    np.random.default_rng(seed),
  )  # fmt: skip


def test_draws_as_k_means_plus_plus():
  points = np.array([[3, 0], [0, 2], [-1, 0], [0, -1]], np.float32)
  # From the longest: squared gaps 13, 16 and 10.
  seconds = [int(_choose(points, 2, seed).index[1]) for seed in range(1500)]
  assert all(_choose(points, 1, seed).index == [0] for seed in range(5))
  expected = 1500 * np.array([13, 16, 10]) / 39
  counts = np.bincount(seconds, minlength=4)
  assert counts[0] == 0
  assert stats.chisquare(counts[1:], expected).pvalue > 0.001
  np.testing.assert_allclose(_choose(points, 2).utility, [3, 2, 1, 1])


def test_far_clusters_are_all_visited():
  # Ranking by length would stay in the one cluster of long vectors.
  points = np.array([[10, 0], [9.9, 0], [9.8, 0], [0, 5], [-5, 0]], np.float32)
  for seed in range(5):
    assert {0, 3, 4} == set(map(int, _choose(points, 3, seed).index))


def test_equal_vectors_are_each_picked_once():
  for points in (np.zeros((4, 2), np.float32), np.ones((4, 2), np.float32)):
    assert sorted(_choose(points, 4).index) == [0, 1, 2, 3]


def test_a_network_without_one_classifier_is_refused():
  config = segxal_unet.get_config('streets')
  config.acquisition.strategy = 'badge'
  validation.check(config)
  config.segmentation = fsnet_deeplabv2.get_config().segmentation
  config.segmentation.head = 'v2'
  with pytest.raises(UserError, match='synthcp'):
    validation.check(config)
