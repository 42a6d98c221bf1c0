import collections
import json
import multiprocessing
import os
import signal

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

from common_lib.errors import UserError
from input_pipeline import loader


class Numbered:
  """Scenes whose pixels are their own number."""

  def __init__(self, count, size=(4, 6)):
    self._count = count
    self._size = size

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    if not 0 <= index < self._count:
      raise IndexError(index)
    image = np.full((*self._size, 3), index, np.uint8)
    image[:, 0] += 100  # so that flips show
    image.setflags(write=False)
    return {
      'image': image,
      'label': np.full(self._size, index % 19, np.uint8),
      'id': str(index),
      'sequence': 's',
    }


def train(count=10, **changes):
  settings = {'batch_size': 3, 'seed': 0}
  return loader.train_loader(Numbered(count), **{**settings, **changes})


def numbers(batch):
  return batch['image'][:, 0, 3, 0].tolist()


def take(iterator, count):
  return [next(iterator) for _ in range(count)]


def assert_equal(batches, expected):
  assert len(batches) == len(expected)
  for batch, other in zip(batches, expected):
    assert batch.keys() == other.keys()
    for key in batch:
      np.testing.assert_array_equal(batch[key], other[key])


def test_batches_have_these_arrays():
  batch = next(train())
  assert batch.keys() == {'image', 'label'}
  assert batch['image'].shape == (3, 4, 6, 3)
  assert batch['label'].shape == (3, 4, 6)
  assert batch['image'].dtype == batch['label'].dtype == np.uint8
  assert batch['label'][:, 0, 0].tolist() == [n % 19 for n in numbers(batch)]


def test_an_epoch_has_each_scene_at_most_once_and_drops_the_rest():
  iterator = train(count=10, batch_size=3)
  orders, dropped = [], set()
  for _ in range(12):
    order = [n for batch in take(iterator, 3) for n in numbers(batch)]
    assert len(set(order)) == 9
    dropped |= set(range(10)) - set(order)
    orders.append(tuple(order))
  assert len(set(orders)) == 12
  assert len(dropped) > 3  # not always the same one


def test_no_scene_is_dropped_where_batches_fill_the_epoch():
  iterator = train(count=12, batch_size=4)
  for _ in range(3):
    order = [n for batch in take(iterator, 3) for n in numbers(batch)]
    assert sorted(order) == list(range(12))


def test_shuffling_is_uniform_over_positions():
  iterator = train(count=4, batch_size=4)
  firsts = collections.Counter(numbers(next(iterator))[0] for _ in range(400))
  for count in firsts.values():
    assert 60 < count < 140
  assert len(firsts) == 4


def test_seed_decides_everything():
  def run(seed):
    return take(train(seed=seed, augment=('flip', 'noise')), 7)

  assert_equal(run(5), run(5))
  assert [numbers(b) for b in run(5)] != [numbers(b) for b in run(6)]
  # The second epoch of one seed is not the first of the next.
  second = take(train(count=9, seed=5), 6)[3:]
  first = take(train(count=9, seed=6), 3)
  assert [numbers(b) for b in second] != [numbers(b) for b in first]


def test_augmentation_differs_from_epoch_to_epoch():
  iterator = train(count=1, batch_size=1, augment=('flip',))
  flipped = [b['image'][0, 0, 0, 0] == 0 for b in take(iterator, 60)]
  assert 10 < sum(flipped) < 50


def test_augmentation_does_not_change_the_order():
  plain = take(train(), 7)
  noisy = take(train(augment=('flip',)), 7)
  assert [numbers(b) for b in plain] == [numbers(b) for b in noisy]


@pytest.mark.parametrize('process_count', [2, 3, 6])
def test_global_batches_do_not_depend_on_the_number_of_processes(
  process_count,
):
  settings = {'count': 14, 'batch_size': 6, 'augment': ('flip', 'noise')}
  expected = take(train(**settings), 5)
  shares = [
    take(train(**settings, process_index=i, process_count=process_count), 5)
    for i in range(process_count)
  ]
  for step in range(5):
    for key in ('image', 'label'):
      rows = np.concatenate([share[step][key] for share in shares])
      np.testing.assert_array_equal(rows, expected[step][key])


def test_resume_in_the_middle_of_an_epoch():
  expected = take(train(augment=('flip', 'noise')), 12)
  for done in (0, 1, 4, 9):
    iterator = train(augment=('flip', 'noise'))
    take(iterator, done)
    state = json.loads(json.dumps(iterator.get_state()))
    resumed = train(augment=('flip', 'noise'))
    resumed.set_state(state)
    assert_equal(take(resumed, 12 - done), expected[done:])
    # An iterator that has run may be set back, too.
    iterator.set_state(state)
    assert_equal(take(iterator, 2), expected[done : done + 2])


def test_state_does_not_count_what_was_only_read_ahead():
  iterator = train()
  take(iterator, 2)
  assert iterator.get_state() == {'next_step': 2}


@pytest.mark.slow
def test_workers_give_the_same_batches_and_states():
  settings = {'count': 20, 'batch_size': 2, 'augment': ('flip', 'noise')}
  expected = take(train(**settings), 14)
  one = train(**settings, num_workers=1)
  assert_equal(take(one, 5), expected[:5])
  state = one.get_state()
  one.close()
  two = train(**settings, num_workers=2)
  two.set_state(state)
  assert_equal(take(two, 6), expected[5:11])
  state = two.get_state()
  two.close()
  none = train(**settings)
  none.set_state(state)
  assert_equal(take(none, 3), expected[11:])


@pytest.mark.slow
def test_workers_leave_signals_to_their_parent():
  # Ctrl-C in a terminal reaches all of them.
  iterator = train(count=20, batch_size=2, num_workers=1)
  expected = take(train(count=20, batch_size=2), 10)
  found = take(iterator, 1)
  for worker in multiprocessing.active_children():
    os.kill(worker.pid, signal.SIGINT)
    os.kill(worker.pid, signal.SIGTERM)
  assert_equal(found + take(iterator, 9), expected)
  iterator.close()


def test_orbax_restores_it(tmp_path):
  expected = take(train(), 8)
  iterator = train()
  take(iterator, 5)
  with ocp.CheckpointManager(tmp_path) as manager:
    manager.save(
      5, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator))
    )
    manager.wait_until_finished()
    resumed = train()
    manager.restore(
      5,
      args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(resumed)),
    )
  assert_equal(take(resumed, 3), expected[5:])


def test_a_closed_iterator_says_so():
  iterator = train()
  next(iterator)
  iterator.close()
  iterator.close()
  with pytest.raises(ValueError, match='closed'):
    next(iterator)


def test_errors_while_reading_reach_the_caller():
  class Broken(Numbered):
    def __getitem__(self, index):
      raise UserError('file gone')

  with pytest.raises(UserError, match='file gone'):
    next(loader.train_loader(Broken(4), batch_size=2, seed=0))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'count': 2}, 'batch_size is 3 but there are only 2 training images'),
    ({'batch_size': 3, 'process_count': 2}, 'multiple of the 2 processes'),
    ({'batch_size': 0}, 'batch_size is 0'),
    ({'num_workers': -1}, r'data\.num_workers is -1'),
    ({'augment': ('spin',)}, "'spin'"),
    ({'seed': -1}, 'seed is -1'),
  ],
)
def test_mistakes_are_named(changes, message):
  with pytest.raises(UserError, match=message):
    train(**changes)


@pytest.mark.parametrize('count', [1, 5, 6, 13])
@pytest.mark.parametrize('batch_size', [1, 2, 6, 20])
@pytest.mark.parametrize('process_count', [1, 2])
def test_evaluation_sees_each_scene_once(count, batch_size, process_count):
  if batch_size % process_count:
    with pytest.raises(UserError, match='multiple of the 2'):
      loader.eval_loader(
        Numbered(count), batch_size=batch_size, process_count=process_count
      )
    return
  shares = [
    list(
      loader.eval_loader(
        Numbered(count),
        batch_size=batch_size,
        process_index=i,
        process_count=process_count,
      )
    )
    for i in range(process_count)
  ]
  seen = []
  for share in shares:
    assert len(share) == -(-count // batch_size)
    for batch in share:
      rows = batch_size // process_count
      assert batch['mask'].shape == batch['index'].shape == (rows,)
      assert batch['mask'].dtype == np.bool_
      assert batch['index'].dtype == np.int32
      assert batch['image'].shape == (rows, 4, 6, 3)
      real = batch['mask']
      assert (
        np.array(numbers(batch))[real].tolist() == batch['index'][real].tolist()
      )
      assert (batch['label'][~real] == 255).all()
      assert (batch['image'][~real] == 0).all()
      assert (batch['index'][~real] == -1).all()
      seen += batch['index'][real].tolist()
  assert sorted(seen) == list(range(count))


@pytest.mark.slow
def test_evaluation_goes_in_order_also_with_workers():
  for num_workers in (0, 2):
    batches = loader.eval_loader(
      Numbered(7), batch_size=2, num_workers=num_workers
    )
    order = [n for batch in batches for n in batch['index'].tolist()]
    assert order == [0, 1, 2, 3, 4, 5, 6, -1]
    batches.close()


class InDrives(Numbered):
  """Images of named drives, in runs of three."""

  def __getitem__(self, index):
    return {**super().__getitem__(index), 'sequence': f'drive {index // 3}'}


@pytest.mark.slow
def test_evaluation_tells_sequences_apart():
  for num_workers in (0, 2):
    batches = loader.eval_loader(
      InDrives(7), batch_size=4, num_workers=num_workers
    )
    rows = np.concatenate([batch['sequence'] for batch in batches])
    batches.close()
    assert rows.shape == (8, 2) and rows.dtype == np.uint32
    assert (rows[:3] == rows[0]).all() and (rows[3:6] == rows[3]).all()
    assert len(np.unique(rows[:7], axis=0)) == 3
    assert (rows[7] == 0).all()  # padding
  (batch,) = loader.eval_loader(Numbered(3), batch_size=3)
  assert (batch['sequence'] == batch['sequence'][0]).all()


class Letterboxed(Numbered):
  """The same with two rows of bars, each scene's of another width."""

  def __getitem__(self, index):
    content = np.array([1, index, 3, index + 1], np.int32)
    return super().__getitem__(index) | {'content': content}


def test_evaluation_tells_where_the_scene_is():
  source = Letterboxed(5)
  batches = list(loader.eval_loader(source, batch_size=2))
  found = np.concatenate([batch['content'] for batch in batches])
  real = np.concatenate([batch['mask'] for batch in batches])
  expected = [[1, index, 3, index + 1] for index in range(5)]
  assert found.dtype == np.int32
  assert found[real].tolist() == expected
  # Training has no use for it, and others have none.
  assert 'content' not in next(
    loader.train_loader(source, batch_size=2, seed=0)
  )
  assert 'content' not in next(loader.eval_loader(Numbered(5), batch_size=2))
