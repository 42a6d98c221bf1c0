"""Only a lock that somebody holds is taken."""

import errno
import fcntl
import os

import pytest

from common_lib import locks


def test_the_second_one_is_told(tmp_path):
  with (tmp_path / 'lock').open('w') as first:
    assert locks.taken(first)
    with (tmp_path / 'lock').open('w') as second:
      assert not locks.taken(second)
  with (tmp_path / 'lock').open('w') as third:
    assert locks.taken(third)


@pytest.mark.parametrize('number', [errno.EWOULDBLOCK, errno.EAGAIN])
def test_words_for_held(tmp_path, monkeypatch, number):
  assert not _taken(tmp_path, monkeypatch, number)


@pytest.mark.parametrize(
  'number',
  [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF],
)
def test_words_for_a_disk_without_locks(tmp_path, monkeypatch, number):
  with pytest.raises(locks.NoLocks, match=os.strerror(number)):
    _taken(tmp_path, monkeypatch, number)


def _taken(folder, monkeypatch, number):
  def fail(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(fcntl, 'flock', fail)
  with (folder / 'lock').open('w') as file:
    return locks.taken(file)
