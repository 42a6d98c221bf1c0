"""EfficientNet-Lite0 from files in the naming of EfficientNet-PyTorch."""

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import fcn8
from tests.fsnet_jax.weights import state_dicts
from tests.fsnet_jax.weights.test_convert import (
  IMAGENET_MEAN,
  IMAGENET_STD,
  count,
  hwio,
  make,
)
from tests.fsnet_jax.weights.test_initial import (
  changed,
  load,
  refuses,
  tiny,
  under,
  write,
)


def test_efficientnet_lite0():
  arrays = state_dicts.efficientnet()
  tree, report = make('efficientnet_lite0', arrays)
  params, stats = tree['params'], tree['batch_stats']
  # Images are normalised as the published ones: nothing is folded.
  np.testing.assert_array_equal(
    params['stem_conv']['kernel'], hwio(arrays['_conv_stem.weight'])
  )
  depthwise = params['block3']['depthwise_conv']['kernel']
  assert depthwise.shape == (5, 5, 1, 48)
  theirs = arrays['_blocks.3._depthwise_conv.weight']
  np.testing.assert_array_equal(depthwise[1, 4, 0, 7], theirs[7, 0, 1, 4])
  for ours, theirs in (
    (params['stem_bn']['scale'], '_bn0.weight'),
    (params['block1']['expand_bn']['bias'], '_blocks.1._bn0.bias'),
    (params['block0']['depthwise_bn']['scale'], '_blocks.0._bn1.weight'),
    (stats['block15']['project_bn']['var'], '_blocks.15._bn2.running_var'),
    (stats['stem_bn']['mean'], '_bn0.running_mean'),
  ):
    np.testing.assert_array_equal(ours, arrays[theirs])
  # The stem, and sixteen blocks of three layers, the first of two.
  assert count(tree) == len(report.used) == 5 * (1 + 3 * 16 - 1)
  assert report.missing == [] and report.notes == []
  left = [n for n in report.left_over if 'num_batches' not in n]
  assert {n.split('.')[0] for n in left} == {'_conv_head', '_bn1', '_fc'}

  folded, report = make('efficientnet_lite0', arrays, input='rgb255')
  window = np.random.default_rng(1).uniform(0, 255, (3, 3, 3))
  ours = np.einsum(
    'hwi,hwio->o',
    (window / 255 - IMAGENET_MEAN) / IMAGENET_STD,
    folded['params']['stem_conv']['kernel'],
  )
  theirs = np.einsum(
    'hwi,oihw->o', window - fcn8.MEAN_RGB, arrays['_conv_stem.weight']
  )
  np.testing.assert_allclose(
    ours - folded['batch_stats']['stem_bn']['mean'],
    theirs - arrays['_bn0.running_mean'],
    rtol=1e-4,
    atol=1e-3,
  )
  assert 'at the border' in report.notes[0]


DEPTHWISE = '_blocks.3._depthwise_conv.weight'


@pytest.mark.parametrize(
  ('changes', 'options', 'words'),
  [
    ({DEPTHWISE: None}, {}, ['lacks 1 arrays', 'block3/depthwise_conv']),
    ({'_bn0.running_var': None}, {}, ['batch_stats/stem_bn/var']),
    ({DEPTHWISE: np.ones((48, 48, 5, 5), np.float32)}, {}, ['(5, 5, 1, 48)']),
    ({DEPTHWISE: np.ones((48, 25), np.int8)}, {}, [DEPTHWISE, 'int8']),
    ({DEPTHWISE: np.full((48, 1, 5, 5), np.inf)}, {}, ['not finite']),
    ({'_bn0.running_var': -np.ones(8, np.float32)}, {}, ['negative']),
    ({'_conv_stem.weight': None}, {}, ['no efficientnet_lite0', '_conv_stem']),
    ({}, {'width': 0.5}, ['(8,)', '(16,)', '--width']),
    ({}, {'strict': True}, ['_bn1.bias', '--strict']),
  ],
)
def test_a_wrong_efficientnet_is_one_sentence(changes, options, words):
  arrays = {**state_dicts.efficientnet(), **changes}
  arrays = {n: a for n, a in arrays.items() if a is not None}
  with pytest.raises(UserError) as caught:
    make('efficientnet_lite0', arrays, **options)
  assert '\n' not in str(caught.value)
  for word in words:
    assert word in str(caught.value)


def efficientnet(**changes):
  return tiny(
    segmentation__name='efficientnet_unet',
    segmentation__features='bottleneck',
    **changes,
  )


@pytest.mark.slow
def test_efficientnet_takes_its_encoder(tmp_path):
  folder, tree = write(
    tmp_path / 'lite0', 'efficientnet_lite0', state_dicts.efficientnet()
  )
  # It normalises images by itself, whatever other networks are told.
  config = efficientnet(init__backbone=folder, segmentation__input_scale=0.5)
  before, after, notes = load(config)
  roots = [f'{c}/segmentation/encoder/' for c in ('params', 'batch_stats')]
  assert changed(before, after) == set.union(
    *[under(before, root) for root in roots]
  )
  np.testing.assert_array_equal(
    after[roots[0] + 'stem_conv/kernel'], tree['params']['stem_conv']['kernel']
  )
  assert notes == [
    'segmentation/encoder begins as efficientnet_lite0 of '
    'efficientnet_lite0.pth.'
  ]
  refuses(efficientnet(init__segmentation=folder), 'init.segmentation')
