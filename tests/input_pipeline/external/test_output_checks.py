"""What a network gives back: accepted, changed and said, or refused."""

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline.external.channel_map import ChannelMap, between
from input_pipeline.external.output_checks import (
  OutputRules,
  Sizes,
  checked_features,
  checked_logits,
  is_probabilities,
)
from input_pipeline.external.protocol import Notes
from input_pipeline.external.resizing import resize
from tests.input_pipeline.external.tables import scores, table

_SIZES = Sizes(2, (8, 16), (8, 16))


def _checked(found, classes=5, sizes=_SIZES, first=False, channels=None):
  notes = Notes()
  rules = OutputRules(
    where='it',
    network='it',
    channels=channels or between(table(classes), table(classes), (), 'it'),
    channels_first=first,
    export='export logits',
    select='select CHANNELS',
  )
  return *checked_logits(np.asarray(found), sizes, rules, notes), notes.lines


def test_both_layouts():
  wanted = scores(2, 8, 16, 5)
  for found, first in (
    (wanted, False),
    (wanted.transpose(0, 3, 1, 2), True),
  ):
    for hint in (False, True):
      logits, was_first, said = _checked(found, first=hint)
      np.testing.assert_array_equal(logits, wanted)
      assert was_first is first and said == ()
      assert logits.dtype == np.float32 and logits.flags.c_contiguous


def test_where_both_are_possible_the_hint_decides():
  found = scores(1, 5, 5, 5)
  sizes = Sizes(1, (5, 5), (5, 5))
  assert _checked(found, sizes=sizes, first=True)[1]
  assert not _checked(found, sizes=sizes)[1]


def test_half_precision():
  found = scores(2, 8, 16, 5).astype(np.float16)
  np.testing.assert_array_equal(_checked(found)[0], found.astype(np.float32))


def test_smaller_logits_are_resized_bilinearly():
  found = scores(2, 4, 8, 5)
  logits, _, said = _checked(found)
  np.testing.assert_array_equal(logits, resize(found, (8, 16)))
  assert 'the logits are 4x8, the images 8x16' in said[0]


def test_sizes_that_strides_round():
  sizes = Sizes(1, (350, 479), (350, 479))
  for size in ((88, 120), (87, 119), (44, 60), (11, 15)):
    found = _checked(scores(1, *size, 5), sizes=sizes)[0]
    assert found.shape == (1, 350, 479, 5)
  with pytest.raises(UserError, match='which is another aspect ratio'):
    _checked(scores(1, 88, 88, 5), sizes=sizes)


def test_logits_of_a_network_that_gets_another_size():
  sizes = Sizes(1, (8, 8), (8, 16))
  assert _checked(scores(1, 8, 8, 5), sizes=sizes)[0].shape == (1, 8, 16, 5)


@pytest.mark.parametrize(
  ('found', 'message'),
  [
    (
      np.zeros((2, 8, 16), int),
      'int64 .2 8 16. is a class map or.*export',
    ),
    (np.zeros((2, 8, 16), np.float32), 'is a class map or mask'),
    (np.zeros((2, 1, 8, 16), np.uint8), 'uint8 .2 1 8 16. is a class map'),
    (np.zeros((2, 8, 16, 1), np.float32), 'is a class map or mask'),
    (np.zeros((2, 8, 16, 5), int), 'is a class map or mask'),
    (np.zeros((2, 8, 16, 5), bool), 'is a class map or mask'),
    (np.zeros((2, 5), np.float32), 'is no logit of each class at each pixel'),
    (np.zeros((2, 0, 16, 5), np.float32), 'is no logit of each class'),
    (np.zeros((2, 8, 16, 5), complex), 'are no numbers'),
    (np.zeros((2, 8, 16, 5), object), 'are no numbers'),
    (np.zeros((3, 8, 16, 5), np.float32), r'of 2 images came float32 \[3 8'),
    (np.zeros((2, 8, 16, 6), np.float32), '6 channels, but .* 5 classes; if'),
    (np.zeros((2, 6, 8, 16), np.float32), r'select \[0, 1, ..., 4\], and if'),
    (np.zeros((2, 8, 16, 9), np.float32), '9 channels, but .* give the class'),
    (np.zeros((2, 5, 16, 16), np.float32), 'are 16x16 for images of 8x16'),
    (np.full((2, 8, 16, 5), np.nan), 'the logits hold NaN'),
    (np.full((2, 8, 16, 5), -np.inf), 'the logits hold infinite values'),
    (np.full((2, 8, 16, 5), 1e300), 'the logits hold infinite values'),
  ],
)
def test_one_sentence_for_each_mistake(found, message):
  with np.errstate(over='ignore'), pytest.raises(UserError, match=message):
    _checked(found)


def test_a_single_image_without_its_axis():
  sizes = Sizes(1, (8, 16), (8, 16))
  for shape in ((5, 8, 16), (8, 16, 5)):
    with pytest.raises(UserError, match='has no axis of images'):
      _checked(scores(*shape), sizes=sizes)


def test_probabilities_become_logarithms():
  logits = scores(2, 8, 16, 5)
  odds = np.exp(logits - logits.max(-1, keepdims=True))
  found = odds / odds.sum(-1, keepdims=True)
  for kind in (np.float32, np.float16):
    back, _, said = _checked(found.astype(kind))
    np.testing.assert_allclose(np.exp(back), found, atol=1e-3)
    assert 'these are probabilities, not logits' in said[0]
  certain = np.zeros((2, 8, 16, 5), np.float32)
  certain[..., 3] = 1
  back = _checked(certain)[0]
  assert (back[..., 3] == 0).all() and np.isfinite(back).all()
  assert back.min() < -80


def test_what_is_not_taken_for_probabilities():
  assert not is_probabilities(scores(1, 2, 2, 5))
  assert not is_probabilities(np.full((1, 2, 2, 5), 0.5, np.float32))
  odd = np.full((1, 2, 2, 5), 0.2, np.float32)
  assert is_probabilities(odd)
  odd[0, 1, 1, 4] = 0.3
  assert not is_probabilities(odd)


def test_void_is_dropped_before_the_softmax_and_classes_are_added():
  probabilities = np.tile(np.float32([0.5, 0.2, 0.2, 0.1]), (1, 2, 2, 1))
  sizes = Sizes(1, (2, 2), (2, 2))
  channels = ChannelMap(((2,), (0, 3)), 0)
  found = _checked(probabilities, sizes=sizes, channels=channels)[0]
  np.testing.assert_allclose(np.exp(found[0, 1, 1]), [0.2, 0.6], rtol=1e-5)


def test_features_of_two_layouts_and_depths():
  fine, coarse = scores(2, 4, 8, 3), scores(2, 2, 4, 5, seed=1)
  wanted = np.concatenate([fine, resize(coarse, (4, 8))], -1)
  found = checked_features([fine, coarse], _SIZES, 'it', False)
  np.testing.assert_array_equal(found, wanted)
  turned = [one.transpose(0, 3, 1, 2) for one in (fine, coarse)]
  for hint in (False, True):
    found = checked_features(turned, _SIZES, 'it', hint)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
  ('found', 'message'),
  [
    (np.zeros((2, 40), np.float32), r'features are float32 \[2 40\], not num'),
    (np.zeros((3, 4, 8, 3), np.float32), r'features are float32 \[3 4 8 3\]'),
    (np.zeros((2, 0, 8, 3), np.float32), r'features are float32 \[2 0 8 3\]'),
    (np.zeros((2, 4, 8, 3), int), 'features are int64'),
    (np.zeros((2, 64, 64, 64), np.float32), 'has not the aspect ratio'),
    (np.full((2, 4, 8, 3), np.nan, np.float32), 'features hold NaN or inf'),
  ],
)
def test_features_that_are_refused(found, message):
  with pytest.raises(UserError, match=message):
    checked_features([found], _SIZES, 'it', True)


def test_classes_by_name():
  assert between(table(3), table(3), (), 'it') == ChannelMap(
    ((0,), (1,), (2,)), 3
  )
  assert between(table(5), table(3), (), 'it').channels == ((0,), (1,), (2,))
  assert between(table(5), table(3), (), 'it').expected == 5
  given = ((4,), (3, 1), (0,))
  assert between(table(3), table(2), given, 'it') == ChannelMap(
    ((4,), (3, 1)), 0
  )
  with pytest.raises(UserError, match='has 2 entries, but there are 3 classes'):
    between(table(3), table(3), ((0,), (1,)), 'it')
  with pytest.raises(UserError, match="have a class 'c', which is neither"):
    between(table(2), table(3), (), 'it')


def test_the_straight_map_copies_nothing():
  logits = scores(1, 2, 2, 3)
  assert ChannelMap(((0,), (1,), (2,)), 3).apply(logits) is logits
  np.testing.assert_array_equal(
    ChannelMap(((2,), (0,)), 0).apply(logits), logits[..., [2, 0]]
  )
