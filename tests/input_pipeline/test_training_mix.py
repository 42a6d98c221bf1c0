"""Which images a failure network learns from."""

import pickle

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import transforms
from input_pipeline.training_mix import MIXES, training_mix


def _element(size=(24, 32)):
  rng = np.random.default_rng(0)
  return {
    'image': rng.integers(0, 256, (*size, 3), np.uint8),
    'label': rng.integers(0, 19, size, np.uint8),
  }


def test_shares_add_up():
  for shares in MIXES.values():
    assert sum(shares) == pytest.approx(1)


def test_clean_changes_nothing():
  mix, element = training_mix('clean', ('flip', 'noise')), _element()
  for seed in range(20):
    found = mix(element, np.random.default_rng(seed))
    np.testing.assert_array_equal(found['image'], element['image'])


def test_kinds_come_in_their_shares(monkeypatch):
  counts = {'mild': 0, 'strong': 0, 'usual': 0}

  def counting(name):
    def change(element, generator):
      del generator
      counts[name] += 1
      return element

    return change

  monkeypatch.setattr(transforms, 'mild_shift', counting('mild'))
  monkeypatch.setattr(transforms, 'strong_shift', counting('strong'))
  mix, element = training_mix('far', (counting('usual'),)), _element()
  for seed in range(2000):
    mix(element, np.random.default_rng(seed))
  found = np.array([counts['usual'], counts['mild'], counts['strong']]) / 2000
  np.testing.assert_allclose(found, [0.2, 0.3, 0.3], atol=0.03)


def test_same_generator_same_image_also_in_a_worker():
  mix = training_mix('balanced', ('flip', 'scale_crop'))
  again = pickle.loads(pickle.dumps(mix))
  for seed in range(8):
    one = mix(_element(), np.random.default_rng(seed))
    two = again(_element(), np.random.default_rng(seed))
    np.testing.assert_array_equal(one['image'], two['image'])
    np.testing.assert_array_equal(one['label'], two['label'])


def test_an_unknown_mix_is_named():
  with pytest.raises(UserError, match='near, balanced, far'):
    training_mix('nearer', ())


def test_strong_shift_is_further_away():
  """In the mean over many draws, without scale and crop."""
  rng = np.random.default_rng(1)
  smooth = np.linspace(0, 255, 32 * 48 * 3).reshape(32, 48, 3)
  element = {
    'image': smooth.astype(np.uint8),
    'label': rng.integers(0, 19, (32, 48), np.uint8),
  }

  def distance(change):
    total = 0.0
    for seed in range(300):
      found = change(element, np.random.default_rng(seed))['image']
      assert found.dtype == np.uint8 and found.shape == (32, 48, 3)
      total += np.abs(found.astype(float) - element['image']).mean()
    return total / 300

  assert distance(transforms.strong_shift) > 1.05 * distance(
    transforms.mild_shift
  )


def test_gamma_is_a_power():
  element = _element()
  found = transforms.gamma(element, np.random.default_rng(0), (0.5, 0.5))
  power = np.exp(0.5)
  expected = np.rint(255 * (element['image'] / 255) ** power)
  np.testing.assert_array_equal(found['image'], expected)
  same = transforms.gamma(element, np.random.default_rng(0), (0.0, 0.0))
  np.testing.assert_array_equal(same['image'], element['image'])
