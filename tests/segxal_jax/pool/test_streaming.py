import jax
import numpy as np
import pytest

from segxal_jax.pool import streaming
from segxal_jax.pool.streaming import gathered, scene_texts, stream


class Source:
  """Scenes whose image is their number; knows which were read."""

  def __init__(self):
    self.read = []

  def __len__(self):
    return 100

  def __getitem__(self, index):
    self.read.append(index)
    return {
      'image': np.full((2, 2, 3), index, np.uint8),
      'id': f'scene {index}',
    }


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


def _as_process(monkeypatch, index, count):
  monkeypatch.setattr(jax, 'process_index', lambda: index)
  monkeypatch.setattr(jax, 'process_count', lambda: count)


@pytest.mark.parametrize(('count', 'images'), [(2, 10), (4, 10), (4, 17)])
def test_each_process_reads_its_share_alone(monkeypatch, count, images):
  indices = list(range(90, 90 - images, -1))
  reads, seen = [], []
  for index in range(count):
    _as_process(monkeypatch, index, count)
    source = Source()
    batches = list(stream(source, indices, 8, _view))
    # None waits in a collective for one that has fewer.
    assert len(batches) == -(-images // 8)
    for batch in batches:
      assert len(batch['image']) == 8 // count
      np.testing.assert_array_equal(batch['image'][:, 0, 0, 0], batch['index'])
    rows = [batch['index'][batch['mask']].tolist() for batch in batches]
    seen.append(rows)
    own = sum(rows, [])
    # What fills the last batch up is one image more.
    padded = not all(batch['mask'].all() for batch in batches)
    assert sorted(source.read) == sorted(own + padded * [indices[0]])
    reads.append(len(source.read))
  # Together they have each image once, in the order of a single process.
  assert [i for step in zip(*seen) for own in step for i in own] == indices
  assert max(reads) <= -(-images // 8) * 8 // count


def test_names_are_read_in_parts(monkeypatch):
  whole, parts = scene_texts(Source(), 'id'), []
  assert whole == [f'scene {index}' for index in range(100)]

  def exchanged(own):
    parts.append(own)
    # What the others bring comes later.
    return [['?'] * len(range(index, 100, 3)) for index in range(3)]

  monkeypatch.setattr(streaming, 'exchanged', exchanged)
  for index in range(3):
    _as_process(monkeypatch, index, 3)
    source = Source()
    scene_texts(source, 'id')
    assert source.read == list(range(index, 100, 3))
  monkeypatch.setattr(streaming, 'exchanged', lambda own: parts)
  assert scene_texts(Source(), 'id') == whole
