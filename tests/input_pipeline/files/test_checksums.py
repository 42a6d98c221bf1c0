"""Every damage of a prepared copy is the sentence that names its folder."""

import os
import re

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline.files import checksums

SIZES = {
  'dataset_info.json': 300,
  'features.json': 700,
  'x.array_record-00000-of-00002': 3 << 20,
  'x.array_record-00001-of-00002': 3 << 20,
}


@pytest.fixture
def copy(tmp_path):
  rng = np.random.default_rng(0)
  for name, size in SIZES.items():
    (tmp_path / name).write_bytes(rng.bytes(size))
  checksums.write(tmp_path)
  return tmp_path


def refused(copy, reason):
  end = re.escape(f'delete {copy}, it is made again')
  with pytest.raises(UserError, match=f'(?s){reason}.*{end}') as error:
    checksums.check(copy)
  assert '\n' not in str(error.value)


def test_an_intact_copy_passes(copy):
  checksums.check(copy)
  (copy / '.nfs0001').write_text('of the file system')
  checksums.check(copy)


@pytest.mark.parametrize('name', SIZES)
def test_cut_emptied_grown_or_missing_files(copy, name):
  path = copy / name
  content = path.read_bytes()
  for damaged in (content[: len(content) // 2], b'', content + b'x'):
    path.write_bytes(damaged)
    refused(copy, f'the size of {name} has changed')
  path.unlink()
  refused(copy, f'{name} is missing')


@pytest.mark.parametrize('position', [0, 1000, -1])
@pytest.mark.parametrize('name', SIZES)
def test_bytes_at_the_ends(copy, name, position):
  content = bytearray((copy / name).read_bytes())
  content[position % len(content)] ^= 1
  (copy / name).write_bytes(content)
  refused(copy, f'the content of {name} has changed')


def test_shards_that_have_changed_places(copy):
  first, second = sorted(copy.glob('*record*'))
  first.rename(copy / 'first')
  second.rename(first)
  (copy / 'first').rename(second)
  refused(copy, 'the content of x')


@pytest.mark.parametrize(
  'content',
  [b'', b'{}', b'[]', b'\xff', b'{"a": ', b'[' * 100_000, b'{"a": 7}'],
)
def test_damaged_checksums(copy, content):
  (copy / checksums.FILE).write_bytes(content)
  refused(copy, '')
  (copy / checksums.FILE).unlink()
  refused(copy, 'No such file')


def test_a_copy_that_may_not_be_read_is_not_to_be_deleted(copy, monkeypatch):
  read = type(copy).open

  def refuse(path, *rest, **named):
    if path.name == checksums.FILE:
      return read(path, *rest, **named)
    raise PermissionError(13, os.strerror(13))

  monkeypatch.setattr(type(copy), 'open', refuse)
  with pytest.raises(UserError, match='Permission denied.*make it readable'):
    checksums.check(copy)


def test_a_copy_that_cannot_be_seen_is_not_missing(copy, monkeypatch):
  assert checksums.has_copy(copy)
  assert not checksums.has_copy(copy / 'none')
  assert not checksums.has_copy(copy / 'features.json' / 'below')

  def refuse(*args, **kwargs):
    raise PermissionError(13, os.strerror(13))

  monkeypatch.setattr(os, 'stat', refuse)
  with pytest.raises(UserError, match='Permission denied'):
    checksums.has_copy(copy)


def test_errors_inside_are_damage(tmp_path):
  with (
    pytest.raises(UserError, match=r'scene 3: oh.*delete'),
    checksums.damage(tmp_path, 'scene 3: '),
  ):
    raise RuntimeError('oh\x1b[31m' + 'x' * 10**6)
  with (
    pytest.raises(MemoryError),
    checksums.damage(tmp_path),
  ):
    raise MemoryError
