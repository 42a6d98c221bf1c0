"""`position.json` is believed only where a run can have written it."""

import json

import pytest

from common_lib.errors import UserError
from segxal_jax.loop import position
from segxal_jax.loop.state import DONE
from segxal_jax.report import metrics_json

GOOD = {'cycle': 2, 'stage': 'annotate', 'queried': [3, 1], 'reason': ''}
END = {'cycle': 2, 'stage': DONE, 'queried': [], 'reason': '1 cycle is done'}


def test_what_is_written_is_read(tmp_path):
  assert position.read(tmp_path) is None
  for value in (GOOD, END):
    position.write(tmp_path, value)
    assert position.read(tmp_path) == value
  assert metrics_json.reason(tmp_path) == '1 cycle is done'


def test_an_earlier_version_wrote_no_checksum(tmp_path):
  (tmp_path / 'position.json').write_text(json.dumps(GOOD))
  assert position.read(tmp_path) == GOOD


@pytest.mark.parametrize(
  'changes',
  [
    {'cycle': 0},
    {'cycle': -1},
    {'cycle': True},
    {'cycle': 2.0},
    {'cycle': '2'},
    {'cycle': None},
    {'stage': 'dance'},
    {'stage': ['train']},
    {'stage': DONE},
    {'queried': None},
    {'queried': 'ab'},
    {'queried': [1, 1]},
    {'queried': [-1]},
    {'queried': [1.0]},
    {'queried': {'1': 2}},
    {'reason': 'enough'},
    {'reason': 5},
    {'reason': 'x' * 5000},
    {'more': 1},
  ],
  ids=str,
)
def test_what_no_run_writes_is_refused(tmp_path, changes):
  (tmp_path / 'position.json').write_text(json.dumps(GOOD | changes))
  with pytest.raises(
    UserError, match='position.json, .*, is damaged.*delete it'
  ):
    position.read(tmp_path)


@pytest.mark.parametrize(
  'content',
  [b'', b'{', b'[]', b'null', b'\xff', b'[' * 100_000, b'{"cycle": 1}'],
)
def test_garbage_is_refused(tmp_path, content):
  (tmp_path / 'position.json').write_bytes(content)
  with pytest.raises(UserError, match='position.json.*delete it'):
    position.read(tmp_path)


def test_another_valid_value_differs_from_its_checksum(tmp_path):
  position.write(tmp_path, GOOD)
  path = tmp_path / 'position.json'
  stored = json.loads(path.read_text())
  assert stored['queried'] == [3, 1]
  path.write_text(json.dumps(stored | {'queried': [3, 2]}))
  with pytest.raises(UserError, match='its checksum does not fit it'):
    position.read(tmp_path)


@pytest.mark.parametrize(
  'cycle, stage, furthest, fits',
  [
    (1, 'train', None, True),
    (1, 'train', 3, True),
    (1, 'predict', None, False),
    (1, 'select', 4, True),
    (1, 'select', 3, False),
    (2, 'train', 4, True),
    (2, 'train', 7, True),
    (2, 'train', 2, False),
    (2, 'predict', 4, False),
    (2, DONE, 8, True),
    (3, 'train', 7, False),
    (99, 'train', 8, False),
    (10**9, 'predict', 8, False),
  ],
)
def test_it_must_have_the_checkpoints_it_needs(
  tmp_path, cycle, stage, furthest, fits
):
  """Cycles of four training steps."""
  found = {'cycle': cycle, 'stage': stage, 'queried': [], 'reason': ''}
  limits = {
    'pool_size': 9,
    'furthest': furthest,
    'trained_before': lambda cycle: 4 * (cycle - 1),
  }
  if fits:
    position.check_fits(tmp_path, found, **limits)
    return
  with pytest.raises(UserError, match='checkpoint.*: put the missing'):
    position.check_fits(tmp_path, found, **limits)


def test_it_asks_about_images_of_the_pool(tmp_path):
  limits = {'furthest': 8, 'trained_before': lambda cycle: 4 * (cycle - 1)}
  position.check_fits(tmp_path, GOOD, pool_size=4, **limits)
  with pytest.raises(UserError, match='images beyond the 3 of the pool'):
    position.check_fits(tmp_path, GOOD, pool_size=3, **limits)
