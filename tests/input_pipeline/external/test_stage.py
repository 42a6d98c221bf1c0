"""The stage and its cache: each image once, and the right one."""

import errno
import os

import numpy as np
import pytest

from common_lib import files
from common_lib.errors import UserError
from input_pipeline.external import cache as caches
from input_pipeline.external import compact
from input_pipeline.external.cache import Cache, size_bytes
from input_pipeline.external.logits_folder import LogitsFolder
from input_pipeline.external.protocol import ExternalOutput, Notes
from input_pipeline.external.stage import WithLogits, with_outputs
from tests.input_pipeline.external.tables import noise, scores, table

_MATRIX = scores(3, 6, spread=0.02)


class _Network:
  """A matrix product, which counts the images that it sees."""

  takes_any_image = True

  def __init__(self, features=True, factor=1.0):
    self.classes = table(6)
    self.feature_channels = 3 if features else 0
    self.notes = Notes()
    self.seen = 0
    self.factor = np.float32(factor)

  def feature_size(self, image_size):
    return image_size if self.feature_channels else None

  def fingerprint(self):
    return 'f' * 64

  def __call__(self, images):
    assert images.dtype == np.uint8 and images.flags.c_contiguous
    self.seen += len(images)
    values = images.astype(np.float32)
    # Not the same for a mirrored image.
    values = values + np.arange(images.shape[2], dtype=np.float32)[:, None]
    logits = values @ _MATRIX * self.factor
    return ExternalOutput(logits, values if self.feature_channels else None)


class _Batches:
  """Batches out of a list, as the loader's iterator."""

  def __init__(self, batches):
    self.batches, self.next_step, self.is_closed = batches, 0, False

  def __next__(self):
    if self.next_step == len(self.batches):
      raise StopIteration
    self.next_step += 1
    return self.batches[self.next_step - 1]

  def get_state(self):
    return {'next_step': self.next_step}

  def set_state(self, state):
    self.next_step = state['next_step']

  def close(self):
    self.is_closed = True


def _batch(seed=0, count=3, **more):
  images = noise(count, 4, 6, seed=seed)
  return {'image': images, 'label': np.zeros((count, 4, 6), np.uint8), **more}


def _back(logits):
  return compact.expand(compact.compress(logits), logits.shape[-1])


def test_outputs_are_added():
  network, batch = _Network(), _batch()
  wanted = network(batch['image'])
  mirrored = network(np.ascontiguousarray(batch['image'][:, :, ::-1])).logits
  found = next(with_outputs(_Batches([batch]), network, flip=True, exact=True))
  assert found.keys() == {*batch, 's_logits', 's_features', 's_flip_logits'}
  np.testing.assert_array_equal(found['s_logits'], wanted.logits)
  np.testing.assert_array_equal(found['s_features'], wanted.features)
  np.testing.assert_array_equal(found['s_flip_logits'], mirrored[:, :, ::-1])
  assert abs(found['s_flip_logits'] - found['s_logits']).max() > 0.01
  assert batch.keys() == {'image', 'label'}


def test_the_compact_form_unless_exact():
  network, batch = _Network(), _batch()
  found = next(with_outputs(_Batches([batch]), network))
  wanted = network(batch['image'])
  np.testing.assert_array_equal(found['s_logits'], _back(wanted.logits))
  np.testing.assert_array_equal(
    found['s_features'], wanted.features.astype(np.float16)
  )
  assert 's_flip_logits' not in found


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('features', [False, True])
def test_a_cache_gives_the_same_and_spares_the_network(
  tmp_path, flip, features
):
  batches = [_batch(0), _batch(1)]

  def run(network, cache=None):
    stage = with_outputs(_Batches(batches), network, flip=flip, cache=cache)
    return list(stage)

  network = _Network(features)
  plain = run(network)
  first = run(network, Cache(tmp_path, network.fingerprint()))
  network.seen = 0
  second = run(network, Cache(tmp_path, network.fingerprint()))
  # One entry is computed again, to see that it is this network's.
  assert network.seen == (2 if flip else 1)
  for one, two, three in zip(plain, first, second, strict=True):
    for name in one:
      np.testing.assert_array_equal(one[name], two[name])
      np.testing.assert_array_equal(one[name], three[name])


def test_only_what_is_missing_is_computed(tmp_path):
  network = _Network()
  cache = Cache(tmp_path, 'a')
  batch = _batch()
  next(with_outputs(_Batches([batch]), network, cache=cache))
  network.seen = 0
  images = np.concatenate([noise(2, 4, 6, seed=9), batch['image']])
  found = next(
    with_outputs(_Batches([{'image': images}]), network, cache=cache)
  )
  assert network.seen == 1 + 2
  np.testing.assert_array_equal(
    found['s_logits'], _back(network(images).logits)
  )
  network.seen = 0
  # Entries without the mirrored image's are no entries where it is asked for.
  stage = with_outputs(_Batches([batch]), network, flip=True, cache=cache)
  next(stage)
  assert network.seen == 6


def test_another_network_under_the_same_name(tmp_path):
  cache = Cache(tmp_path, 'a')
  batch = _batch()
  next(with_outputs(_Batches([batch]), _Network(), cache=cache))
  other = _Network(factor=-1)
  found = next(with_outputs(_Batches([batch]), other, cache=cache))
  np.testing.assert_array_equal(
    found['s_logits'], _back(other(batch['image']).logits)
  )
  assert 'the cache is emptied' in other.notes.lines[0]
  again = next(with_outputs(_Batches([batch]), other, cache=cache))
  np.testing.assert_array_equal(again['s_logits'], found['s_logits'])
  assert len(other.notes.lines) == 1


def test_damaged_entries_are_computed_again(tmp_path):
  network, batch = _Network(), _batch()
  cache = Cache(tmp_path, 'a')
  wanted = next(with_outputs(_Batches([batch]), network, cache=cache))
  entries = sorted(tmp_path.rglob('*.npz'))
  assert len(entries) == 3
  content = bytearray(entries[0].read_bytes())
  content[300] ^= 4
  entries[0].write_bytes(content)
  entries[1].write_bytes(entries[1].read_bytes()[:-40])
  np.savez(entries[2], nonsense=np.zeros(3))
  network.seen = 0
  found = next(with_outputs(_Batches([batch]), network, cache=cache))
  assert network.seen == 3
  np.testing.assert_array_equal(found['s_logits'], wanted['s_logits'])
  network.seen = 0
  next(with_outputs(_Batches([batch]), network, cache=cache))
  assert network.seen == 1


def test_entries_of_other_shapes_are_not_used(tmp_path):
  network, batch = _Network(), _batch()
  cache = Cache(tmp_path, 'a')
  next(with_outputs(_Batches([batch]), network, cache=cache))
  entries = sorted(tmp_path.rglob('*.npz'))
  arrays = dict(np.load(entries[0]))
  for name in arrays:
    changed = {**arrays, name: arrays[name][1:]}
    np.savez(entries[0], **changed)
    network.seen = 0
    next(with_outputs(_Batches([batch]), network, cache=cache))
    assert network.seen >= 1, name


def test_padding_is_not_run():
  network = _Network()
  batch = _batch(mask=np.array([True, False, True]))
  found = next(with_outputs(_Batches([batch]), network, exact=True))
  assert network.seen == 2
  wanted = network(batch['image']).logits
  np.testing.assert_array_equal(found['s_logits'][[0, 2]], wanted[[0, 2]])
  assert not found['s_logits'][1].any() and not found['s_features'][1].any()
  batch = _batch(mask=np.zeros(3, bool))
  found = next(with_outputs(_Batches([batch]), network))
  assert found['s_logits'].shape == (3, 4, 6, 6)
  assert not found['s_logits'].any()


def test_state_and_end_are_those_of_the_batches():
  batches = _Batches([_batch(0), _batch(1)])
  stage = with_outputs(batches, _Network())
  first = next(stage)
  state = stage.get_state()
  second = next(stage)
  with pytest.raises(StopIteration):
    next(stage)
  stage.set_state(state)
  np.testing.assert_array_equal(next(stage)['s_logits'], second['s_logits'])
  assert abs(first['s_logits'] - second['s_logits']).max() > 0
  stage.close()
  assert batches.is_closed
  assert iter(stage) is stage


def test_a_cache_does_not_keep_exact_outputs(tmp_path):
  with pytest.raises(ValueError, match='exact'):
    with_outputs(
      _Batches([]), _Network(), cache=Cache(tmp_path, 'a'), exact=True
    )


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('features', [False, True])
def test_the_size_said_is_the_size_written(tmp_path, flip, features):
  network = _Network(features)
  batch = {'image': noise(4, 60, 80)}
  stage = with_outputs(
    _Batches([batch]), network, flip=flip, cache=Cache(tmp_path, 'a')
  )
  next(stage)
  written = sum(path.stat().st_size for path in tmp_path.rglob('*.npz'))
  shape = (60, 80, 3) if features else None
  said = size_bytes(4, (60, 80), shape, flip=flip)
  assert written <= said <= written + 4 * 2048
  logits = 4 * 60 * 80 * 13 * (2 if flip else 1)
  assert said == logits + (4 * 60 * 80 * 3 * 2 if features else 0) + 4 * 2048


@pytest.mark.parametrize(
  ('code', 'message'),
  [
    (errno.ENOSPC, r'the disk is full; 0.0 MB an image\); free space'),
    (errno.EACCES, 'Permission denied'),
  ],
)
def test_a_disk_that_cannot_be_written(tmp_path, monkeypatch, code, message):
  def fail(path, content):
    del path, content
    raise OSError(code, os.strerror(code))

  monkeypatch.setattr(files, 'write_bytes', fail)
  stage = with_outputs(
    _Batches([_batch()]), _Network(), cache=Cache(tmp_path, 'a')
  )
  with pytest.raises(UserError, match=message):
    next(stage)


def test_features_beyond_16_bits():
  found = caches.half(np.float32([1e9, -1e9, 0.5]))
  assert found.tolist() == [65504, -65504, 0.5]


def test_stored_logits_join_the_scenes(tmp_path):
  logits = scores(4, 6, 5)
  np.save(tmp_path / 'b.npy', logits)
  folder = LogitsFolder(tmp_path, table(5))
  source = [{'image': noise(4, 6), 'id': 'a/b'}]
  for exact, wanted in ((True, logits), (False, _back(logits))):
    scenes = WithLogits(source, folder, exact=exact)
    np.testing.assert_array_equal(scenes[0]['s_logits'], wanted)
    assert len(scenes) == 1 and 's_logits' not in source[0]
