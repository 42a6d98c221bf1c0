import numpy as np
import pytest

from segxal_jax.pool.streaming import gathered, stream


class Source:
  """Scenes whose image is their number; counts what is alive."""

  def __len__(self):
    return 100

  def __getitem__(self, index):
    return {'image': np.full((2, 2, 3), index, np.uint8)}


def _view(scene):
  return {'image': scene['image'], 'near': scene['image'][..., 0] / 255.0}


@pytest.mark.parametrize('count', [1, 4, 5, 23])
def test_each_image_once_in_order(count):
  indices = list(range(90, 90 - count, -1))
  seen = []
  for batch in stream(Source(), indices, 4, _view):
    assert batch['image'].shape == (4, 2, 2, 3)
    assert batch['near'].shape == (4, 2, 2)
    real = batch['mask']
    np.testing.assert_array_equal(batch['image'][:, 0, 0, 0], batch['index'])
    seen += batch['index'][real].tolist()
  assert seen == indices


def test_nothing_gives_no_batch():
  assert list(stream(Source(), [], 4, _view)) == []


def test_a_failing_scene_is_raised():
  def fail(scene):
    raise KeyError('depth')

  with pytest.raises(KeyError):
    list(stream(Source(), [1], 4, fail))


def test_rows_of_batches_come_in_order():
  rows = np.arange(12).reshape(3, 4)
  np.testing.assert_array_equal(gathered({'a': rows})['a'], np.arange(12))
