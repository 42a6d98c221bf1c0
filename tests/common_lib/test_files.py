"""Foreign text, files that are checked, paths."""

import json

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


def test_home_is_resolved_and_its_absence_survived(monkeypatch):
  monkeypatch.setenv('HOME', '/somewhere')
  assert str(expanded('~/runs')) == '/somewhere/runs'
  assert str(expanded('runs/~')) == 'runs/~'
  assert str(expanded('~nobody_of_this_name/x')) == '~nobody_of_this_name/x'
