"""Content is told by hash; a file that is as it was is not read again."""

import hashlib
import json
import os
import time

import pytest

from input_pipeline.files import hashes


@pytest.fixture
def folder(tmp_path):
  root = tmp_path / 'root'
  root.mkdir()
  for name in ('a', 'b'):
    (root / name).write_bytes(name.encode() * 5)
  return root


@pytest.fixture
def settled(monkeypatch):
  """A clock that is a minute ahead of what the files say."""
  real = time.time_ns
  monkeypatch.setattr(time, 'time_ns', lambda: real() + 60 * 10**9)


@pytest.fixture
def reads(monkeypatch):
  names = []
  real = hashes._hash

  def spy(path):
    names.append(path.name)
    return real(path)

  monkeypatch.setattr(hashes, '_hash', spy)
  return names


def sha(content):
  return hashlib.sha256(content).hexdigest()


def test_the_hash_is_of_the_content(folder, tmp_path):
  found = hashes.of_files(folder, ['a', 'b', 'a'], tmp_path / 'record')
  assert found == {'a': sha(b'aaaaa'), 'b': sha(b'bbbbb')}


def test_what_has_not_changed_is_not_read_again(
  folder, tmp_path, settled, reads
):
  record = tmp_path / 'deep' / 'record'
  first = hashes.of_files(folder, ['a', 'b'], record)
  assert sorted(reads) == ['a', 'b']
  assert hashes.of_files(folder, ['b', 'a'], record) == first
  assert sorted(reads) == ['a', 'b']
  # One split does not make another forget.
  (folder / 'c').write_bytes(b'c')
  hashes.of_files(folder, ['c'], record)
  hashes.of_files(folder, ['a', 'b', 'c'], record)
  assert sorted(reads) == ['a', 'b', 'c']


def test_a_file_replaced_by_one_of_the_same_size_and_time(
  folder, tmp_path, settled
):
  record = tmp_path / 'record'
  hashes.of_files(folder, ['a'], record)
  status = os.stat(folder / 'a')
  (folder / 'a').write_bytes(b'AAAAA')
  os.utime(folder / 'a', ns=(status.st_atime_ns, status.st_mtime_ns))
  assert os.stat(folder / 'a').st_mtime_ns == status.st_mtime_ns
  assert hashes.of_files(folder, ['a'], record) == {'a': sha(b'AAAAA')}


def test_a_file_that_has_just_changed_is_read_each_time(
  folder, tmp_path, reads
):
  for count in (1, 2):
    hashes.of_files(folder, ['a'], tmp_path / 'record')
    assert len(reads) == count
  assert not (tmp_path / 'record').exists()


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'\xff{',
    b'[]',
    b'{"version": 1}',
    b'{"version": 0, "files": {}}',
    b'{"version": 1, "files": 3}',
    b'{"version": 1, "files": {"a": null, "b": [1, 2, 3, 4, 5]}}',
    b'[' * 100_000,
  ],
)
def test_a_damaged_record_is_no_record(folder, tmp_path, settled, content):
  (tmp_path / 'record').write_bytes(content)
  found = hashes.of_files(folder, ['a', 'b'], tmp_path / 'record')
  assert found == {'a': sha(b'aaaaa'), 'b': sha(b'bbbbb')}
  stored = json.loads((tmp_path / 'record').read_bytes())
  assert stored['files'].keys() == {'a', 'b'}


def test_a_record_that_cannot_be_written_is_gone_without(
  folder, tmp_path, settled
):
  record = folder / 'a' / 'below a file'
  assert hashes.of_files(folder, ['b'], record) == {'b': sha(b'bbbbb')}


def test_what_has_no_content(folder, tmp_path, settled, monkeypatch):
  os.mkfifo(folder / 'pipe')
  (folder / 'loop').symlink_to('loop')
  names = ['gone', 'a/below', 'pipe', 'loop']
  assert hashes.of_files(folder, names, tmp_path / 'record') == {
    'gone': 'missing',
    'a/below': 'missing',
    'pipe': 'irregular',
    'loop': 'unreadable',
  }

  def refuse(*args, **kwargs):
    raise PermissionError(13, os.strerror(13))

  with monkeypatch.context() as patch:
    patch.setattr(type(folder), 'open', refuse)
    found = hashes.of_files(folder, ['a'], tmp_path / 'record')
  assert found == {'a': 'unreadable'}
  # It is not remembered.
  assert hashes.of_files(folder, ['a'], tmp_path / 'record') == {
    'a': sha(b'aaaaa')
  }
