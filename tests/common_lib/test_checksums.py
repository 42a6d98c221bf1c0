"""JSON files that carry their checksum."""

import hashlib
import json

import pytest

from common_lib import checksums
from common_lib.errors import UserError

VALUE = {'b': [1, 2.5, None], 'a': {'x': 'ä', 'y': True}}


def _read(path):
  return checksums.read_json(path, what='a file', fix='mend it')


def test_the_checksum_is_of_the_value_not_of_its_layout():
  compact = b'{"a":{"x":"\\u00e4","y":true},"b":[1,2.5,null]}'
  expected = hashlib.sha256(compact).hexdigest()
  assert checksums.of_value(VALUE) == expected
  assert checksums.of_value(json.loads(json.dumps(VALUE, indent=7))) == expected
  chained = hashlib.sha256(expected.encode() + compact).hexdigest()
  assert checksums.of_value(VALUE, expected) == chained


def test_values_that_differ_have_other_checksums():
  one = {'b': [1.5, float('inf')], 'a': None}
  assert checksums.of_value(one) == checksums.of_value(
    dict(reversed(one.items()))
  )
  assert checksums.of_value(one) != checksums.of_value({**one, 'a': 0})
  assert checksums.of_value(1) != checksums.of_value(1.0)


def test_a_file_comes_back_and_a_changed_one_does_not(tmp_path):
  path = tmp_path / 'a.json'
  checksums.write_json(path, VALUE)
  assert _read(path) == VALUE
  content = path.read_text()
  for old, new in (('2.5', '2.4'), ('true', 'false'), ('"x"', '"z"')):
    path.write_text(content.replace(old, new))
    with pytest.raises(UserError, match='a.json, a file, is damaged.*mend it'):
      _read(path)
  # However somebody's editor lays it out.
  path.write_text(json.dumps(json.loads(content), sort_keys=True))
  assert _read(path) == VALUE


def test_a_file_of_an_older_version_has_none(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text(json.dumps(VALUE))
  assert _read(path) == VALUE


@pytest.mark.parametrize('content', ['', '[]', '{', '[' * 100_000, '\x00'])
def test_what_is_no_object(tmp_path, content):
  path = tmp_path / 'a.json'
  path.write_text(content)
  with pytest.raises(UserError, match='a.json, a file, cannot be read'):
    _read(path)
