"""What JSON gives back is checked before it is used."""

import json

import numpy as np
import pytest

from common_lib import value_checks


@pytest.mark.parametrize('value', [0, 1, 0.5, -0.0, np.float32(0.25), 1e-300])
def test_numbers_in_range(value):
  value_checks.check_number(value, 'x', 0, 1)


@pytest.mark.parametrize(
  'value',
  [
    True, None, 'a', [], {}, float('nan'), float('inf'), 10**400, -(10**400),
    1.5, -1e-9, 1j, '\x1b[31m',
  ],
)  # fmt: skip
def test_what_is_no_number_in_range(value):
  with pytest.raises(ValueError, match=r'^x is ') as error:
    value_checks.check_number(value, 'x', 0, 1)
  assert len(str(error.value)) < 120 and '\x1b' not in str(error.value)


@pytest.mark.parametrize('value', [-1, 1 << 63, 10**400, 1.0, True, None, '1'])
def test_what_is_no_count(value):
  with pytest.raises(ValueError, match=r'^n is '):
    value_checks.check_count(value, 'n')
  value_checks.check_count(np.int64(3), 'n', least=3)
  value_checks.check_count((1 << 63) - 1, 'n')


@pytest.mark.parametrize(
  'value', ['', 'a\nb', '\x1b[2Jday', 'x' * 1001, 3, None]
)
def test_what_is_no_name(value):
  with pytest.raises(ValueError, match='^names: .* is not a name') as error:
    value_checks.check_name(value, 'names')
  assert len(str(error.value)) < 120 and '\x1b' not in str(error.value)
  value_checks.check_name('straße/day:test@fog3', 'names')


def test_nested_values_have_an_end():
  value_checks.check_json(json.loads('[' * 30 + ']' * 30), 'config')
  deep = json.loads('{"a":' * 800 + '1' + '}' * 800)
  with pytest.raises(ValueError, match='nested more than 32 deep'):
    value_checks.check_json(deep, 'config')
  with pytest.raises(ValueError, match=r'config.a\[1\] is nan'):
    value_checks.check_json({'a': [1, float('nan')]}, 'config')
  with pytest.raises(ValueError, match='config: key 3 is not a text'):
    value_checks.check_json({3: 1}, 'config')


def test_entries_have_names():
  assert value_checks.named_entries({'a': 1}, 'x') == [('a', 1)]
  for value in ({}, [], None, {'': 1}, {3: 1}):
    with pytest.raises(ValueError, match='^x'):
      value_checks.named_entries(value, 'x')
