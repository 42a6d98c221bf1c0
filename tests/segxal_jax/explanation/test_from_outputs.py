"""Maps and numbers of a network elsewhere: those of the same network here."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest

from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from segxal_jax.explanation import from_outputs
from segxal_jax.explanation.gradcam.core import CamOptions
from segxal_jax.explanation.step import (
  ExplainOptions,
  make_maps_step,
  make_score_step,
)

SIZE = (16, 32)
CLASSES, CHANNELS = 5, 6


class Coarse(nn.Module):
  """Features at a quarter, and a 1x1 classifier whose logits are enlarged."""

  num_classes: int = CLASSES

  @nn.compact
  def __call__(self, images, train=False):
    x = nn.Conv(CHANNELS, (4, 4), (4, 4), name='body')(images / 64 - 2)
    logits = nn.Conv(CLASSES, (1, 1), name='score')(x)
    size = (len(images), *SIZE, CLASSES)
    return SegmentationOutput(jax.image.resize(logits, size, 'linear'), x)

  @nn.nowrap
  def check_image_size(self, image_size):
    """Any."""


@pytest.fixture(scope='module')
def network():
  images = np.zeros((1, *SIZE, 3), np.float32)
  variables = Coarse().init(jax.random.key(0), images)
  model = FSNet(segmentation=Coarse(), failure=Coarse())
  return model, variables['params']


@pytest.fixture(scope='module')
def batch(network):
  rng = np.random.default_rng(3)
  near = np.round(rng.random((2, *SIZE))).astype(np.float32)
  usable = np.ones((2, *SIZE), bool)
  usable[:, -4:] = False
  images = rng.integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
  found = {'image': images, 'near': near, 'usable': usable}
  run = jax.jit(Coarse().apply)
  for prefix, seen in (('s', images), ('near', images * near[..., None])):
    output = run({'params': network[1]}, np.float32(seen))
    found[f'{prefix}_logits'] = np.asarray(output.logits)
    found[f'{prefix}_features'] = np.asarray(output.features)
  found['proximity'] = rng.random((2, *SIZE)).astype(np.float32)
  return found


@pytest.mark.slow
@pytest.mark.parametrize('classes', [(), (0, 2, 3)])
@pytest.mark.parametrize('near_target', [False, True])
def test_maps_are_those_of_the_backward_pass(
  network, batch, classes, near_target
):
  model, params = network
  options = ExplainOptions(
    'body', CamOptions(classes=classes), near_target=near_target
  )
  here = jax.jit(make_maps_step(model, options, 'margin'))(
    {'segmentation': params}, {'segmentation': {}}, batch
  )
  kernel = params['score']['kernel'][0, 0]
  there = jax.jit(from_outputs.make_maps_step(options, 'margin'))(
    {'classifier': kernel}, {}, batch
  )
  assert here.keys() == there.keys()
  assert np.ptp(here['cam']) > 0.5 and np.ptp(here['pae']) > 0.5
  for name in here:
    np.testing.assert_allclose(there[name], here[name], atol=2e-5)


def test_numbers_are_those_of_the_network_here(network, batch):
  model, params = network
  options = ExplainOptions('body', alpha=0.3, beta=0.7, top_share=0.5)
  scores = from_outputs.SCORES
  assert {'entropy', 'ripu', 'eem', 'balanced_entropy'} <= set(scores)
  here = jax.jit(make_score_step(model, options, scores, True))(
    {'segmentation': params},
    {'segmentation': {}},
    batch,
    jax.random.key(0),
  )
  kernel = params['score']['kernel'][0, 0]
  step = jax.jit(from_outputs.make_score_step(options, scores, True))
  there = step({'classifier': kernel}, {}, batch, None)
  assert here.keys() == there.keys()
  for name in here:
    np.testing.assert_allclose(there[name], here[name], atol=2e-5)


def test_without_a_classifier_proximity_takes_its_place(batch):
  options = ExplainOptions('', alpha=0.25, beta=0.75)
  brought = {
    name: rows
    for name, rows in batch.items()
    if name not in ('near_logits', 'near_features', 's_features')
  }
  maps = jax.jit(from_outputs.make_maps_step(options))({}, {}, brought)
  assert 'cam' not in maps
  wanted = 0.25 * batch['proximity'] + 0.75 * maps['entropy']
  np.testing.assert_allclose(maps['eem'], wanted, atol=1e-6)
  weighted = {**brought, 'weights': np.float32([[1, 0, 0]] * 2)}
  maps = jax.jit(from_outputs.make_maps_step(options))({}, {}, weighted)
  np.testing.assert_allclose(maps['eem'], batch['proximity'], atol=1e-6)
  options = dataclasses.replace(options, near_weight=1.0)
  costly = jax.jit(from_outputs.make_maps_step(options))({}, {}, weighted)
  wanted = maps['eem'] * (1 + batch['near']) / 2
  np.testing.assert_allclose(costly['eem'], wanted, atol=1e-6)
