"""Type, length and range of foreign values."""

import json
import math

import pytest

from common_lib import json_values
from common_lib.json_values import BadValue

HUGE = 10**400
ANYTHING = [
  None,
  True,
  -1,
  0.5,
  HUGE,
  -HUGE,
  math.nan,
  math.inf,
  '',
  '\x1b[2J',
  'x' * 5000,
  [],
  {},
  [[1]],
]


def _accepted(check, *limits):
  found = []
  for value in ANYTHING:
    try:
      assert check(value, 'it', *limits) is value
      found.append(value)
    except BadValue as error:
      assert len(str(error)) < 200 and str(error).isprintable()
  return found


def test_whole_numbers():
  assert _accepted(json_values.whole_number) == []
  assert _accepted(json_values.whole_number, -1) == [-1]
  assert json_values.whole_number(2**53, 'it') == 2**53
  with pytest.raises(BadValue, match='cycle .* 0 to 3 but 4'):
    json_values.whole_number(4, 'cycle', 0, 3)


def test_numbers():
  assert _accepted(json_values.number) == [0.5]
  assert _accepted(json_values.number, -math.inf) == [-1, 0.5]
  assert json_values.number(0, 'it', 0, 1) == 0
  with pytest.raises(BadValue):
    json_values.number(1.0000001, 'it', 0, 1)


def test_texts_and_lists():
  assert _accepted(json_values.text) == ['\x1b[2J']
  assert _accepted(json_values.entries) == [[], [[1]]]
  with pytest.raises(BadValue, match='at most 1 entries'):
    json_values.entries([1, 2], 'it', 1)


def test_fields():
  assert _accepted(json_values.fields, ()) == [{}]
  value = {'a': 1, 'b': 2}
  assert json_values.fields(value, 'it', ('a',), ('b', 'c')) is value
  with pytest.raises(BadValue, match='it has no c'):
    json_values.fields(value, 'it', ('a', 'c'), ('b',))
  with pytest.raises(BadValue, match="unknown field 'b'"):
    json_values.fields(value, 'it', ('a',))


@pytest.mark.parametrize(
  ('value', 'words'),
  [
    ('\x1b[2J', r"'\x1b[2J'"),
    (HUGE, 'a number too large'),
    ({'a': 1}, 'an object'),
    ([1], 'a list'),
    ('x' * 100_000, "'" + 'x' * 55 + ' ...'),
    (math.nan, 'nan'),
  ],
)
def test_how_they_are_shown(value, words):
  assert json_values.shown(value) == words


def test_what_json_gives_is_covered():
  # The default parser makes all of these of a file.
  text = f'[NaN, -Infinity, {"9" * 400}, "\\ud800", true]'
  for value in json.loads(text):
    for check in (json_values.whole_number, json_values.number):
      with pytest.raises(BadValue):
        check(value, 'it')
