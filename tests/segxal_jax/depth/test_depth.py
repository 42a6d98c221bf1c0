import numpy as np
import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from segxal_jax import depth
from segxal_jax.depth.cache import CachedDepth, cached

SCENE = {'image': np.zeros((4, 2, 3), np.uint8)}


def _create(**changes):
  options = {'provider': 'ground_plane', 'horizon': 0.5} | changes
  return depth.create(ConfigDict(options))


def test_ground_plane_is_nearer_further_down():
  provider = _create()
  assert provider.inverse and not provider.needs_dataset_depth
  np.testing.assert_allclose(
    provider(SCENE), [[0, 0], [0, 0], [0.25, 0.25], [0.75, 0.75]]
  )


def test_dataset_depth_is_metric():
  provider = _create(provider='dataset')
  assert provider.needs_dataset_depth and not provider.inverse
  scene = SCENE | {'depth': np.full((4, 2), 7.0, np.float32)}
  np.testing.assert_array_equal(provider(scene), 7.0)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'provider': 'lidar'}, 'ground_plane, dataset'),
    ({'horizon': 1.0}, 'config.depth.horizon'),
  ],
)
def test_mistakes(changes, words):
  with pytest.raises(UserError, match=words):
    _create(**changes)


class Counting:
  """A provider that counts how often it is asked."""

  name = 'counting'
  title = 'counting'
  inverse = True
  needs_dataset_depth = False

  def __init__(self, fingerprint='weights 1', scale=1.0):
    self.fingerprint = fingerprint
    self.scale = scale
    self.calls = 0

  def __call__(self, scene):
    self.calls += 1
    return scene['image'][..., 0].astype(np.float32) * self.scale


def _scene(seed):
  rng = np.random.default_rng(seed)
  return {'image': rng.integers(0, 256, (4, 6, 3)).astype(np.uint8)}


def test_a_map_is_computed_once_and_found_again(tmp_path):
  provider = Counting()
  first = CachedDepth(provider, tmp_path)(_scene(0))
  again = CachedDepth(provider, tmp_path)(_scene(0))
  np.testing.assert_array_equal(first, again)
  assert provider.calls == 1
  CachedDepth(provider, tmp_path)(_scene(1))
  other_weights = Counting('weights 2')
  CachedDepth(other_weights, tmp_path)(_scene(0))
  assert (provider.calls, other_weights.calls) == (2, 1)


@pytest.mark.parametrize(
  'damage',
  [
    lambda content: content[:40],
    lambda content: b'',
    lambda content: content[:-60] + bytes([content[-60] ^ 1]) + content[-59:],
    lambda content: content.replace(b'(4, 6)', b'(6, 4)'),
    # A bit of the values, which are the image's red here.
    lambda content: content.replace(
      np.float16(_scene(0)['image'][0, 0, 0]).tobytes(), b'\x00\x3c', 1
    ),
  ],
)
def test_a_damaged_map_is_made_again(tmp_path, damage):
  provider = Counting()
  first = CachedDepth(provider, tmp_path)(_scene(0))
  (path,) = tmp_path.rglob('*.npz')
  whole = path.read_bytes()
  path.write_bytes(damage(whole))
  assert path.read_bytes() != whole
  again = CachedDepth(provider, tmp_path)(_scene(0))
  np.testing.assert_array_equal(first, again)
  assert provider.calls == 2 and path.read_bytes() == whole


def test_values_beyond_half_precision_keep_their_order(tmp_path):
  maps = CachedDepth(Counting(scale=1e6), tmp_path)(_scene(0))
  assert np.isfinite(maps).all()
  red = _scene(0)['image'][..., 0]
  np.testing.assert_allclose(maps / maps.max(), red / red.max(), atol=1e-3)


def test_cheap_providers_are_not_cached(tmp_path):
  provider = Counting(fingerprint='')
  assert cached(provider, tmp_path) is provider
  assert isinstance(cached(Counting(), tmp_path), CachedDepth)
