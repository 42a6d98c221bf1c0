"""A ledger that was changed is refused, and the message says where."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from segxal_jax.pool import annotation_files
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.pool.ledger import Cost, Ledger

IDS = ['scene_a', 'scene_b', 'scene_c']
LABEL = np.array([[0, 18], [255, 3]], np.uint8)
ASKED = np.array([[True, False], [False, True]])
AUDIT = {'pixels': 3, 'wrong': 1}


def _annotate(ledger, cycle, index, label=LABEL):
  return ledger.annotate(
    cycle, index, IDS[index], 'people', label, ASKED, Cost(1, 2, 3), AUDIT
  )


@pytest.fixture
def written(tmp_path):
  """A ledger of two cycles: six lines."""
  folder = tmp_path / 'pool'
  ledger = Ledger(folder, IDS)
  _annotate(ledger, 0, 0)
  ledger.select(0, [0], [], {})
  _annotate(ledger, 1, 1)
  _annotate(ledger, 1, 2, LABEL[::-1])
  ledger.select(1, [1], [2], {1: 0.75, 2: 0.5})
  return folder


def _open(folder):
  return Ledger(folder, IDS)


def _lines(folder):
  return (folder / 'ledger.jsonl').read_bytes().splitlines(keepends=True)


def _write(folder, lines):
  (folder / 'ledger.jsonl').write_bytes(b''.join(lines))


def _as_older_version(folder, change=lambda entries: None):
  """Without checksums, so that nothing but sense protects the lines."""
  entries = [json.loads(line) for line in _lines(folder)]
  for entry in entries:
    del entry['checksum']
  change(entries)
  _write(folder, [json.dumps(entry).encode() + b'\n' for entry in entries])
  (folder / 'ledger.head.json').unlink()


def _state(ledger):
  selections = [ledger.selection(cycle) for cycle in (0, 1)]
  return ledger.annotations(), selections


def test_each_changed_byte_of_each_line_is_noticed(written):
  whole = _state(_open(written))
  content = (written / 'ledger.jsonl').read_bytes()
  rng = np.random.default_rng(0)
  for index in rng.permutation(len(content))[:300]:
    damaged = bytearray(content)
    damaged[index] ^= 1 << rng.integers(8)
    (written / 'ledger.jsonl').write_bytes(damaged)
    try:
      ledger = _open(written)
    except UserError as error:
      assert 'ledger.jsonl' in str(error) and 'restore' in str(error)
    else:  # A space that became another one.
      assert _state(ledger) == whole


@pytest.mark.parametrize(
  ('damage', 'words'),
  [
    (lambda lines: [], '0 whole lines of the 6'),
    (lambda lines: lines[:5], '5 whole lines of the 6'),
    (lambda lines: lines[:5] + [lines[5][:40]], '5 whole lines of the 6'),
    (lambda lines: lines[:3] + lines[4:], r'line 4 \(scene_c\)'),
    (lambda lines: lines[:3] + [lines[4], lines[3]] + lines[5:], 'line 4'),
    (lambda lines: [*lines, lines[-1]], 'line 7'),
    (lambda lines: [b'\n', *lines], 'line 1'),
    (lambda lines: [*lines, b'[' * 100_000 + b'\n'], 'line 7.*too deep'),
    (lambda lines: [*lines, b'7' * 5000 + b'\n'], 'line 7'),
    (lambda lines: [*lines, b'{"kind": "pool"}\n'], 'line 7.*checksum'),
    (lambda lines: [*lines, b'\xff\x1b[2J\n'], 'line 7'),
    (lambda lines: lines[1:], 'line 1'),
  ],
)
def test_lines_that_are_lost_moved_or_foreign(written, damage, words):
  _write(written, damage(_lines(written)))
  with pytest.raises(UserError, match=words) as raised:
    _open(written)
  assert '\x1b' not in str(raised.value)
  # Nothing was changed by looking at it.
  assert (written / 'ledger.head.json').exists()


def test_what_a_message_says(written):
  lines = _lines(written)
  lines[3] = lines[3].replace(b'"clicks": 3', b'"clicks": 4')
  _write(written, lines)
  with pytest.raises(UserError) as raised:
    _open(written)
  assert str(raised.value) == (
    f'{written}/ledger.jsonl, line 4 (scene_b), is damaged (its checksum does '
    f'not fit it and the lines before it): restore {written} from a backup or '
    'choose another --workdir.'
  )


def test_a_ledger_that_is_gone_is_no_new_one(written):
  (written / 'ledger.jsonl').unlink()
  with pytest.raises(UserError, match='0 whole lines of the 6'):
    _open(written)
  (written / 'ledger.head.json').unlink()
  with pytest.raises(UserError, match='annotations lie beside it'):
    _open(written)


def test_the_count_of_lines(written, capsys):
  head = written / 'ledger.head.json'
  whole = head.read_bytes()
  for content in (
    b'',
    b'{}',
    b'[]',
    b'\xff',
    whole.replace(b'6', b'true', 1),
    whole.replace(b'6', b'7', 1),
    whole.replace(b'6', b'5', 1),
    whole.replace(b'6', b'0', 1),
    whole.replace(b'6', b'9' * 400, 1),
    whole.replace(b'6', b'-6', 1),
    whole[:-5],
  ):
    head.write_bytes(content)
    with pytest.raises(UserError, match='ledger'):
      _open(written)
  assert capsys.readouterr().err == ''
  head.unlink()
  _open(written)
  assert 'ledger.head.json is missing' in capsys.readouterr().err
  # From here on it is there again.
  assert head.read_bytes() == whole
  _open(written)
  assert capsys.readouterr().err == ''


def test_killed_between_a_line_and_its_count(written):
  head = written / 'ledger.head.json'
  before = head.read_bytes()
  ledger = _open(written)
  _annotate(ledger, 2, 0)
  after = head.read_bytes()
  head.write_bytes(before)
  assert _open(written).annotation(2, 0) is not None
  assert head.read_bytes() == after


@pytest.mark.parametrize('index', [0, 1, 2])
def test_a_picture_that_is_not_the_written_one(written, index):
  ledger = _open(written)
  own, other = (
    next((written / 'annotations').glob(f'*{i}.png'))
    for i in (index, (index + 2) % 3)
  )
  content = own.read_bytes()
  flipped = bytearray(content)
  flipped[len(content) // 2] ^= 1
  for damage in (other.read_bytes(), content[:-4], b'', bytes(flipped), None):
    if damage is None:
      own.unlink()
    else:
      own.write_bytes(damage)
    if damage == content:  # Equal labels make equal files.
      continue
    words = f'{own.name}: the annotation of {IDS[index]} .*restore'
    with pytest.raises(UserError, match=words):
      _open(written)
    with pytest.raises(UserError, match=own.name):
      ledger.read(next(a for a in ledger.annotations() if a.index == index))


def test_a_ledger_of_an_older_version(written, capsys):
  whole = _state(_open(written))
  _as_older_version(written)
  ledger = _open(written)
  assert _state(ledger) == whole
  assert 'older version, without checksums' in capsys.readouterr().err
  # What is there now is compared from now on, and what is added too.
  _annotate(ledger, 2, 0)
  _open(written)
  assert capsys.readouterr().err == ''
  lines = _lines(written)
  assert b'checksum' not in lines[5] and b'checksum' in lines[6]
  lines[1] = lines[1].replace(b'"clicks": 3', b'"clicks": 4')
  _write(written, lines)
  with pytest.raises(UserError, match='line [67]'):
    _open(written)


HUGE = 10**400


@pytest.mark.parametrize(
  ('line', 'field', 'value'),
  [
    (0, 'kind', 'annotation'),
    (0, 'images', 4),
    (0, 'images', '3'),
    (0, 'sha256', 7),
    (0, 'more', 1),
    (1, 'kind', 'note'),
    (1, 'kind', None),
    (1, 'cycle', -1),
    (1, 'cycle', True),
    (1, 'cycle', HUGE),
    (1, 'cycle', '0'),
    (1, 'index', 3),
    (1, 'index', 0.0),
    (1, 'index', 1),
    (1, 'id', 'scene_b'),
    (1, 'id', ['scene_a']),
    (1, 'oracle', ''),
    (1, 'oracle', 'x' * 1000),
    (1, 'file', '../../etc/passwd'),
    (1, 'file', 'annotations/cycle001_0000001.png'),
    (1, 'sha256', 'z' * 64),
    (1, 'sha256', None),
    (1, 'cost', 5),
    (1, 'cost', {'images': 1, 'pixels': 2}),
    (1, 'cost', {'images': 1, 'pixels': 2, 'clicks': -3}),
    (1, 'cost', {'images': 1, 'pixels': HUGE, 'clicks': 3}),
    (1, 'cost', {'images': 1, 'pixels': float('nan'), 'clicks': 3}),
    (1, 'cost', {'images': 1, 'pixels': 2, 'clicks': 3, 'hours': 1}),
    (1, 'audit', {}),
    (1, 'audit', {'pixels': 1, 'wrong': 2}),
    (2, 'accepted', 0),
    (2, 'accepted', [1]),
    (2, 'accepted', [0, 0]),
    (2, 'accepted', [7]),
    (2, 'accepted', ['0']),
    (2, 'rejected', [0]),
    (2, 'cycle', 1),
    (5, 'cycle', 0),
    (5, 'dice', {'1': 1.5}),
    (5, 'dice', {'1': float('inf')}),
    (5, 'dice', {'0': 0.5}),
    (5, 'dice', [0.75, 0.5]),
  ],
)
def test_values_that_make_no_sense(written, line, field, value):
  def change(entries):
    entries[line][field] = value

  _as_older_version(written, change)
  with pytest.raises(UserError, match=rf'line {line + 1}\b.*is damaged'):
    _open(written)


@pytest.mark.parametrize('line', range(6))
def test_a_field_that_is_missing(written, line):
  before = _lines(written)
  for field in set(json.loads(before[line])) - {'checksum'}:
    _write(written, before)
    (written / 'ledger.head.json').touch()
    _as_older_version(written, lambda entries: entries[line].pop(field))  # noqa: B023
    with pytest.raises(UserError, match=f'line {line + 1}.*is damaged'):
      _open(written)


def test_the_run_is_never_ahead_of_its_ledger(written):
  ledger = _open(written)
  ledger.require(1, (1, 2))
  ledger.require(2)
  with pytest.raises(UserError, match='lacks the selection of cycle 2'):
    ledger.require(3)
  with pytest.raises(UserError, match='lacks the annotation of scene_c'):
    ledger.require(2, (2,))
  shutil.rmtree(written)
  with pytest.raises(UserError, match='annotations of the seed set'):
    _open(written).require(1)


@pytest.mark.parametrize(
  'change',
  [
    {'id': 'scene_c'},
    {'index': 3},
    {'audit': {'pixels': 1}},
    {'cost': Cost(1, -1, 0)},
    {'cost': Cost(1, 2, 3, seconds=-1.0, timed_clicks=3)},
    {'cost': Cost(1, 2, 3, seconds=float('inf'), timed_clicks=3)},
    {'cost': Cost(1, 2, 3, seconds=5.0, timed_clicks=4)},
  ],
)
def test_what_could_not_be_read_again_is_not_written(written, change):
  ledger, before = _open(written), _lines(written)
  fields = {'cycle': 2, 'index': 0, 'id': IDS[0], 'oracle': 'people'}
  fields |= {'label': LABEL, 'asked': ASKED, 'cost': Cost(), 'audit': AUDIT}
  with pytest.raises(ValueError):
    ledger.annotate(**fields | change)
  with pytest.raises(ValueError):
    ledger.select(2, [0], [], {})
  assert _lines(written) == before


def _picture(mode, pixels=None, kind='png'):
  buffer = io.BytesIO()
  size = (2, 2) if pixels is None else pixels.shape[1::-1]
  image = Image.new(mode, size) if pixels is None else Image.fromarray(pixels)
  image.save(buffer, format=kind)
  return buffer.getvalue()


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'nothing',
    _picture('RGB'),
    _picture('L'),
    _picture('L', kind='gif'),
    _picture('LA', np.full((2, 2, 2), 19, np.uint8)),
    annotation_files.encode(LABEL, ASKED)[:40],
  ],
)
def test_pictures_that_are_no_annotation(tmp_path, content):
  path = tmp_path / 'a.png'
  path.write_bytes(content)
  with pytest.raises(
    UserError, match='a.png: the annotation of an image cannot be'
  ):
    read_annotation(path)
