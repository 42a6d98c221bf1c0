"""F as a mean of parts, in the evaluation step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax import detectors
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.steps.eval_step import FailureMean, make_eval_step

NAMES = ('fsnet', 'fsnet_joint', 'fsnet_pixel', 'fsnet_conv')


def _output(logits):
  return SegmentationOutput(logits, jnp.zeros((len(logits), 1, 1, 1)))


class _Model(FSNet):
  """Logits and joint failure logits that are the image's own numbers."""

  def __init__(self):
    pass

  def segment(self, params, stats, images, train=False):
    del params, train
    logits = jnp.stack([images[..., 0], images[..., 1], images[..., 2]], -1)
    return _output(logits), stats

  def detect(self, params, stats, images, output, train=False):
    del params, output, train
    return images[..., 0] / 7, stats


def _scores(failure, names=NAMES, flip=False, variables=None):
  rng = np.random.default_rng(0)
  batch = {
    'image': jnp.asarray(rng.integers(0, 9, (2, 4, 6, 3)), jnp.uint8),
    'label': jnp.asarray(rng.integers(0, 3, (2, 4, 6)), jnp.uint8),
    'mask': jnp.ones(2, bool),
  }
  found = detectors.resolve(names)
  step = make_eval_step(
    _Model(), found, num_classes=3, failure=failure, flip=flip
  )
  trees = {'segmentation': {}}
  _, maps = jax.jit(step)(trees, trees, batch, 1.0, variables or {})
  images = batch['image'].astype(jnp.float32)
  return images, maps['score']


def _constant(value):
  def correction(variables, s, forward):
    del s
    return jnp.full(forward.images.shape[:3], value) + variables

  return correction


def test_the_mean_of_three_parts_less_the_balance():
  failure = FailureMean(
    {'pixel': 0.5, 'joint': 0.25, 'conv': 0.25},
    {'pixel': _constant(2.0), 'conv': _constant(-1.0)},
    joint_offset=lambda variables: variables['pixel'] * 8.0,
  )
  variables = {'pixel': jnp.float32(0.5), 'conv': jnp.float32(0.0)}
  images, scores = _scores(failure, variables=variables)
  own = miss_logit(images)
  expected = {
    'fsnet_joint': images[..., 0] / 7,
    'fsnet_pixel': own + 2.5,
    'fsnet_conv': own - 1.0,
  }
  expected['fsnet'] = (
    0.5 * expected['fsnet_pixel']
    + 0.25 * (expected['fsnet_joint'] - 4.0)
    + 0.25 * expected['fsnet_conv']
  )
  for name, values in expected.items():
    np.testing.assert_allclose(scores[name], values, atol=1e-5, err_msg=name)


def test_a_part_alone_is_what_it_is():
  failure = FailureMean(joint_offset=lambda variables: jnp.float32(9.0))
  images, scores = _scores(failure, ('fsnet', 'fsnet_joint', 'msp'))
  np.testing.assert_array_equal(scores['fsnet'], scores['fsnet_joint'])
  np.testing.assert_allclose(scores['fsnet'], images[..., 0] / 7, rtol=1e-6)


def test_the_mirrored_image_is_mirrored_back():
  """S is a function of each pixel here: the mirror image changes nothing."""
  _, scores = _scores(FailureMean(), ('entropy', 'tta_flip'), flip=True)
  np.testing.assert_allclose(scores['tta_flip'], scores['entropy'], atol=1e-5)


@pytest.mark.parametrize('seed', range(3))
def test_entropy_of_the_mean_of_two_softmaxes(seed):
  rng = np.random.default_rng(seed)
  one, two = rng.normal(0, 4, (2, 1, 5, 7, 6)).astype(np.float32)
  forward = detectors.ForwardPass(
    jnp.zeros((1, 5, 7, 3)),
    _output(jnp.asarray(one)),
    jnp.zeros((1, 5, 7)),
    flip_logits=jnp.asarray(two),
  )
  found = detectors.DETECTORS['tta_flip'].score(forward)

  def softmax(logits):
    raised = np.exp(logits.astype(np.float64))
    return raised / raised.sum(-1, keepdims=True)

  mean = (softmax(one) + softmax(two)) / 2
  np.testing.assert_allclose(found, -(mean * np.log(mean)).sum(-1), atol=1e-5)
