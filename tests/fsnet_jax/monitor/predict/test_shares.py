"""A prediction of several processes is that of one; processes are threads."""

import fcntl
import json
import os
import threading

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.predict import batches, inputs, journal, run, shares
from fsnet_jax.runtime.cluster import peers
from fsnet_jax.runtime.cluster.peers import Peers
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.monitor.predict import stub
from tests.fsnet_jax.runtime.cluster.board import Board, together

_IMAGES = 9


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(peers, '_LOOK_SECS', 0.0)
  monkeypatch.setattr(peers, '_LONGEST_NAP_SECS', 0.02)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """(input, output) of one process; two images have a problem."""
  root = tmp_path_factory.mktemp('whole')
  stub.folder(root / 'in', _IMAGES - 2)
  (root / 'in' / 'a' / 'damaged.png').write_bytes(b'\x89PNG\r\n\x1a\n' * 9)
  (root / 'in' / 'empty.jpg').write_bytes(b'')
  stub.predict(root / 'in', root / 'out', found=stub.calibration())
  return root / 'in', root / 'out'


def predicted(source, output, count, stubs=None, of_process=lambda index: {}):
  """The stubs of so many processes, and what each returned or raised."""
  calibration = stub.calibration()
  stubs = stubs or [stub.Stub() for _ in range(count)]
  for one in stubs:
    one.threshold = calibration.threshold
    one.statement = calibration.statement

  def work(one):
    own = {'source': str(source), 'output': output} | of_process(one.index)
    options = stub.options(**own)
    return run.predict(
      lambda: Monitor(stubs[one.index]), options, calibration, one
    )

  return stubs, together(count, work)


def rows(path):
  found = [json.loads(line) for line in path.read_text().splitlines()]
  return [{**row, 'milliseconds': None} for row in found]


def kept(output):
  """The last entry of each image, but for the time of its row."""
  lines = (output / 'state' / 'journal.jsonl').read_text().splitlines()
  return {
    entry['row']['image']: {**entry, 'row': None, 'checksum': None}
    for entry in map(json.loads, lines)
  }


def seen(one):
  """How many images a stub has looked at; the first call is to compile."""
  return sum(shape[0] for shape in one.calls[1:])


def assert_same(source, output, whole):
  """Every file, byte by byte, but for times and for where the folder is."""
  files = {path.relative_to(whole) for path in whole.rglob('*.*')}
  assert {path.relative_to(output) for path in output.rglob('*.*')} == files
  for name in files:
    if name.name in ('triage.jsonl', 'journal.jsonl', 'triage.csv'):
      continue
    ours, theirs = (
      (one / name)
      .read_bytes()
      .replace(os.path.relpath(source, one).encode(), b'')
      for one in (output, whole)
    )
    assert ours == theirs, name
  name = 'triage.jsonl'
  assert rows(output / name) == rows(whole / name)
  csv = [(one / 'triage.csv').read_text() for one in (output, whole)]
  assert len(csv[0].splitlines()) == len(csv[1].splitlines())
  assert kept(output) == kept(whole)


# More processes than images, too.
@pytest.mark.parametrize('count', [2, 3, 12])
def test_the_result_is_that_of_one_process(whole, tmp_path, count):
  source, expected = whole
  output = tmp_path / 'out'
  stubs, results = predicted(source, output, count)
  assert results == [output / 'index.html'] * count
  assert_same(source, output, expected)
  # Each of the images that can be read was looked at once, by one of them.
  assert sum(map(seen, stubs)) == _IMAGES - 2
  looked = [index for index, one in enumerate(stubs) if one.calls]
  assert len(looked) == min(count, _IMAGES - 2)
  # And nothing is left to do, for whatever number of processes.
  for other in (1, count):
    again, _ = predicted(source, output, other)
    assert [one.calls for one in again] == [[]] * other
    assert_same(source, output, expected)


def test_parts_are_even_and_all_that_there_is(whole):
  images = inputs.files_of(whole[0], whole[1], 'in')
  for count in (1, 2, 5, 20):
    parts = [shares.of(images, Peers(i, count)) for i in range(count)]
    sizes = [part.total for part in parts]
    assert max(sizes) - min(sizes) <= 1
    items = [item for part in parts for item in part.items]
    assert sorted(items, key=lambda item: item.image) == list(images.items)
    assert [len(part.items) for part in parts] == sizes


class _Stops(stub.Stub):
  """Is interrupted at its third call, once another one has done its part."""

  def __call__(self, images):
    if len(self.calls) == 2:
      self.wait()
      raise Interrupted('as a signal does')
    return super().__call__(images)


@pytest.mark.parametrize('then', [1, 2, 3])
def test_stopped_it_goes_on_with_any_number_of_processes(
  whole, tmp_path, monkeypatch, then
):
  source, expected = whole
  output = tmp_path / 'out'
  done = threading.Event()
  handed_in = shares.handed_in

  def noted(log, one):
    done.set()
    return handed_in(log, one)

  monkeypatch.setattr(shares, 'handed_in', noted)
  monkeypatch.setattr(batches, '_MOST_PIXELS', 1)  # A batch is an image.
  stubs = [stub.Stub(), _Stops()]
  stubs[1].wait = lambda: done.wait(60)
  _, results = predicted(source, output, 2, stubs)
  assert all(isinstance(one, Interrupted) for one in results)
  assert not (output / 'triage.csv').exists()
  # The second one's journal was not taken in; it may end within a line.
  share = output / 'state' / 'journal.1.jsonl'
  assert len(share.read_text().splitlines()) == 1
  with share.open('a') as file:
    file.write('{"row": {"image": "b/0')
  stubs, results = predicted(source, output, then)
  assert results == [output / 'index.html'] * then
  # Five images were the first one's, one of which cannot be read.
  assert sum(map(seen, stubs)) == _IMAGES - 2 - 4 - 1
  assert_same(source, output, expected)


def test_a_failure_of_one_ends_all_with_its_sentence(whole, tmp_path):
  class Fails(stub.Stub):
    def __call__(self, images):
      raise UserError('The network is of another size: give another.')

  stubs = [stub.Stub(), Fails(), stub.Stub()]
  _, results = predicted(whole[0], tmp_path / 'out', 3, stubs)
  assert [type(one) for one in (results[0], results[2])] == [
    peers.OfAnother
  ] * 2
  for one in results:
    assert str(one).endswith('The network is of another size: give another.')
  assert not (tmp_path / 'out' / 'index.html').exists()


def test_what_the_first_one_finds_at_the_end_ends_all(tmp_path):
  for name in 'abc':
    (tmp_path / 'in').mkdir(exist_ok=True)
    (tmp_path / 'in' / f'{name}.png').write_bytes(b'junk')
  _, results = predicted(tmp_path / 'in', tmp_path / 'out', 2)
  for one in results:
    assert isinstance(one, UserError)
    assert 'none of its 3 images could be read' in str(one)


def test_another_input_or_output_of_a_process_is_refused(whole, tmp_path):
  source = whole[0]
  other = stub.folder(tmp_path / 'other', 3)
  _, results = predicted(
    source,
    tmp_path / 'out',
    2,
    of_process=lambda index: {'source': str(other)} if index else {},
  )
  for one in results:
    assert f'another input (3 images in {other})' in str(one)
    assert f'process 0 (9 images in {source})' in str(one)
  assert not (tmp_path / 'out').exists()
  _, results = predicted(
    source, None, 2, of_process=lambda i: {'output': tmp_path / f'disk{i}'}
  )
  for one in results:
    assert f'{tmp_path}/disk1 is another folder for process 1' in str(one)


def test_a_video_is_for_one_process(whole):
  images = inputs.files_of(whole[0], whole[1], 'in')
  stream = object.__new__(run.Video)
  state = {'input': 'drive.mp4'}
  shares.check(images, 'in', state, Peers())
  shares.check(stream, 'drive.mp4', state, Peers())
  with pytest.raises(UserError, match='which 2 processes cannot share: start'):
    shares.check(stream, 'drive.mp4', state, Peers(1, 2, Board()))


def test_what_a_process_lost_is_done_by_the_first(whole, tmp_path, monkeypatch):
  source, expected = whole
  output = tmp_path / 'out'
  close = journal.Journal.close

  def damaged(log):
    close(log)
    path = output / 'state' / 'journal.1.jsonl'
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"failure_mean": 0', b'"failure_mean": 9', 1)
    path.write_bytes(b''.join(lines[:-1]))

  monkeypatch.setattr(journal.Journal, 'close', damaged)
  stubs, results = predicted(source, output, 2)
  assert results == [output / 'index.html'] * 2
  # Two images once more, and one to compile.
  assert [seen(one) for one in stubs] == [4 + 2 + 1, 3]
  assert_same(source, output, expected)


def test_an_image_that_changes_meanwhile_is_done_again(tmp_path, monkeypatch):
  source, output = stub.folder(tmp_path / 'in', 4), tmp_path / 'out'
  stub.predict(source, output, found=stub.calibration())
  changed = stub.picture(np.random.default_rng(9), green=255)
  stub.save(source / 'b' / '00.png', changed)
  # The last in the list, which is the second one's.
  stub.save(source / 'b' / '02.png', changed)
  stubs, _ = predicted(source, output, 2)
  assert [seen(one) for one in stubs] == [1, 1]
  assert [row['failure_mean'] for row in rows(output / 'triage.jsonl')][:2] == [
    1.0,
    1.0,
  ]


def test_a_process_of_an_earlier_command_that_still_runs_is_noticed(
  whole, tmp_path
):
  source, output = whole[0], tmp_path / 'out'
  stub.predict(source, output, found=stub.calibration())
  with (output / 'state' / 'journal.3.jsonl').open('a') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(UserError, match='in use by another prediction'):
      stub.predict(source, output, found=stub.calibration())
  stub.predict(source, output, found=stub.calibration())
  assert not (output / 'state' / 'journal.3.jsonl').exists()
