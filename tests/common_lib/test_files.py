"""Foreign text, files that are checked, paths."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from common_lib import files
from common_lib.errors import UserError
from common_lib.foreign import quoted, without_controls
from common_lib.paths import expanded


def test_terminal_escapes_and_line_breaks_do_not_reach_a_terminal():
  hostile = 'a\x1b[31mred\x07\nb\u202ec\x9b2J'
  shown = quoted(hostile)
  assert not any(c in shown for c in '\x1b\x07\n\u202e\x9b')
  assert shown.startswith('a\ufffd[31mred')


def test_a_text_of_megabytes_is_cut():
  assert len(quoted('x' * 4_000_000)) == 300
  assert quoted('x' * 300) == 'x' * 300


def test_file_names_that_are_not_utf_8_can_be_said():
  assert quoted(b'\xff.png'.decode('utf-8', 'surrogateescape')) == '?.png'


def test_a_table_keeps_its_lines():
  assert without_controls('a\tb\nc\x1b', 9, keep_lines=True) == 'a\tb\nc\ufffd'


def test_messages_of_mistakes_are_one_line_without_controls():
  assert str(UserError('no \x1b]0;title\x07\nhere')) == (
    'no \ufffd]0;title\ufffd here'
  )


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'\xff\xfe',
    b'[' * 100_000,
    b'{"a": ' + b'9' * 5000 + b'}',
    b'{"a": 1',
    b'[1]',
    b'null',
  ],
  ids=['empty', 'bytes', 'nested', 'digits', 'torn', 'list', 'null'],
)
def test_a_damaged_json_file_is_one_sentence(tmp_path, content):
  path = tmp_path / 'x.json'
  path.write_bytes(content)
  with pytest.raises(UserError, match=r'x\.json, a test, cannot.*: mend it'):
    files.read_json_object(path, what='a test', fix='mend it')


def test_a_missing_json_file_is_one_sentence(tmp_path):
  with pytest.raises(UserError, match='No such file'):
    files.read_json(tmp_path / 'x', what='a test', fix='mend it')


def test_json_is_written_whole_and_without_nan(tmp_path):
  files.write_json(tmp_path / 'x', {'a': [1.5, None]})
  assert json.loads((tmp_path / 'x').read_text()) == {'a': [1.5, None]}
  with pytest.raises(ValueError):
    files.write_json(tmp_path / 'x', float('nan'))
  assert [p.name for p in tmp_path.iterdir()] == ['x']


def test_what_killed_writers_left_goes_with_the_next_write(tmp_path):
  left = tmp_path / '.metrics.json.a1_b2c3d'
  others = [
    tmp_path / name
    for name in (
      '.metrics.json.swp',
      '.metrics.json.a1_b2c3d4',
      '.metrics.jsonx.a1_b2c3d',
      'metrics.json.a1_b2c3d',
      '.report.html.a1_b2c3d',
    )
  ]
  for path in (left, *others):
    path.write_text('half')
  files.write_text(tmp_path / 'metrics.json', 'whole')
  assert not left.exists()
  assert all(path.read_text() == 'half' for path in others)
  assert (tmp_path / 'metrics.json').read_text() == 'whole'


def test_the_scratch_file_of_a_living_writer_stays(tmp_path, monkeypatch):
  seen = []

  def replace(scratch, path):
    if not seen:  # In the middle of one write another one comes by.
      seen.append(scratch)
      files.write_text(path, 'second')
      assert os.path.exists(scratch)
    os.rename(scratch, path)

  monkeypatch.setattr(files.os, 'replace', replace)
  files.write_text(tmp_path / 'x.json', 'first')
  assert (tmp_path / 'x.json').read_text() == 'first'
  assert [p.name for p in tmp_path.iterdir()] == ['x.json']


def test_where_there_are_no_locks_age_decides(tmp_path, monkeypatch):
  def flock(*_):
    raise OSError(95, 'Operation not supported')

  monkeypatch.setattr(files.fcntl, 'flock', flock)
  fresh, old = tmp_path / '.x.aaaaaaaa', tmp_path / '.x.bbbbbbbb'
  fresh.write_text('')
  old.write_text('')
  os.utime(old, (time.time() - 7200,) * 2)
  files.write_text(tmp_path / 'x', 'whole')
  assert fresh.exists() and not old.exists()
  assert (tmp_path / 'x').read_text() == 'whole'


def _write_until_killed(path):
  while True:
    files.write_bytes(path, b'x' * 2_000_000)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
  path = tmp_path / 'x'
  spawn = multiprocessing.get_context('spawn')
  other = spawn.Process(target=_write_until_killed, args=(path,))
  other.start()
  try:
    while not path.exists():
      time.sleep(0.01)
    for _ in range(30):
      files.write_bytes(path, b'y' * 1000)
      assert len(path.read_bytes()) in (1000, 2_000_000)
    assert other.is_alive()
  finally:
    os.kill(other.pid, signal.SIGKILL)
    other.join()
  files.write_bytes(path, b'y')
  assert [p.name for p in tmp_path.iterdir()] == ['x']


def test_home_is_resolved_and_its_absence_survived(monkeypatch):
  monkeypatch.setenv('HOME', '/somewhere')
  assert str(expanded('~/runs')) == '/somewhere/runs'
  assert str(expanded('runs/~')) == 'runs/~'
  assert str(expanded('~nobody_of_this_name/x')) == '~nobody_of_this_name/x'
