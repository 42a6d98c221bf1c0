"""Recorded answers: the same again without anybody, or a clear refusal."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from configs import segxal_manual
from segxal_jax import oracles
from segxal_jax.config import validation
from segxal_jax.pool.ledger import Cost, Ledger
from segxal_jax.queries import regions
from segxal_jax.queries.types import Question

SIZE = (8, 8)
AUDIT = {'pixels': 56, 'wrong': 0}


@pytest.fixture
def recorded(tmp_path):
  rng = np.random.default_rng(0)
  label = rng.integers(0, 19, SIZE).astype(np.uint8)
  label[0] = 255
  asked = label < 10
  ledger = Ledger(tmp_path / 'pool', ['a', 'b'])
  cost = Cost(1, int(asked.sum()), 4).timed(31.5)
  ledger.annotate(0, 0, 'a', 'seed', label, asked, cost, AUDIT)
  ledger.annotate(1, 1, 'b', 'label_studio', label, asked, cost, AUDIT)
  return tmp_path, label, asked, cost


def _create(folder):
  return oracles.create(ConfigDict({'kind': 'replay', 'recorded': folder}), 0)


def _question(cycle=1, id='b', size=SIZE):
  zeros = np.zeros(size, np.float32)
  usable = np.ones(size, bool)
  segments = regions.patches(size, 4)
  return Question(
    cycle=cycle,
    index=0,
    id=id,
    image=np.zeros((*size, 3), np.uint8),
    prediction=np.zeros(size, np.uint8),
    confidence=zeros,
    eem=zeros,
    usable=usable,
    segments=segments,
    regions=regions.rank(zeros, segments, usable, 1),
  )


def test_an_answer_comes_back_whole(recorded):
  folder, label, asked, cost = recorded
  oracle = _create(str(folder))
  assert isinstance(oracle, oracles.Oracle)
  oracle.publish([_question()])
  answer = oracle.answer(_question(), None)
  np.testing.assert_array_equal(answer.label, label)
  np.testing.assert_array_equal(answer.asked, asked)
  assert answer.cost == cost and answer.cost.seconds == 31.5


def test_a_half_written_line_is_no_damage(recorded):
  path = recorded[0] / 'pool' / 'ledger.jsonl'
  with path.open('a') as file:
    file.write('{"kind": "annot')
  assert _create(str(recorded[0])).answer(_question(), None) is not None


@pytest.mark.parametrize(
  'question', [_question(2), _question(id='c'), _question(0, 'a')]
)
def test_what_was_not_asked_has_no_answer(recorded, question):
  with pytest.raises(UserError, match='same config and data'):
    _create(str(recorded[0])).answer(question, None)


def test_foreign_files_are_refused(recorded):
  folder = recorded[0]
  path = folder / 'pool' / 'ledger.jsonl'
  file = next((folder / 'pool' / 'annotations').glob('cycle001*'))
  with pytest.raises(UserError, match='not the recorded answer'):
    _create(str(folder)).answer(_question(size=(8, 9)), None)
  file.write_bytes(next(file.parent.glob('cycle000*')).read_bytes() + b'x')
  with pytest.raises(UserError, match='cycle001_0000001.png.*not what'):
    _create(str(folder)).answer(_question(), None)
  file.unlink()
  with pytest.raises(UserError, match='No such file'):
    _create(str(folder)).answer(_question(), None)
  lines = path.read_text().splitlines()
  path.write_text('\n'.join(lines[:2]) + '\n')
  with pytest.raises(UserError, match='2 whole lines of the 3'):
    _create(str(folder))
  (folder / 'pool' / 'ledger.head.json').unlink()
  path.write_text('[]\n')
  with pytest.raises(UserError, match='line 1, is damaged'):
    _create(str(folder))


def test_a_record_of_an_older_version_is_taken_with_a_note(recorded, capsys):
  folder, label, _, _ = recorded
  path = folder / 'pool' / 'ledger.jsonl'
  _create(str(folder))
  assert capsys.readouterr().err == ''
  (folder / 'pool' / 'ledger.head.json').unlink()
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  for line in lines:
    del line['checksum']
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  before = path.read_bytes()
  answer = _create(str(folder)).answer(_question(), None)
  np.testing.assert_array_equal(answer.label, label)
  assert 'without checksums' in capsys.readouterr().err
  # It is another run's, and stays as it is.
  assert path.read_bytes() == before
  assert not (folder / 'pool' / 'ledger.head.json').exists()


def test_a_file_outside_the_folder_is_never_read(recorded):
  folder = recorded[0]
  path = folder / 'pool' / 'ledger.jsonl'
  (folder / 'pool' / 'ledger.head.json').unlink()
  lines = []
  for line in path.read_text().splitlines():
    entry = json.loads(line)
    del entry['checksum']  # As an older version, or somebody else, wrote it.
    if entry.get('cycle') == 1:
      entry['file'] = '../x.png'
    lines.append(json.dumps(entry) + '\n')
  path.write_text(''.join(lines))
  with pytest.raises(UserError, match=r'line 3 \(b\).*its file is not'):
    _create(str(folder))


@pytest.mark.parametrize(
  ('folder', 'words'), [('', 'recorded is empty'), ('/nowhere', 'No such file')]
)
def test_no_record(folder, words):
  with pytest.raises(UserError, match=words):
    _create(folder)


def test_the_manual_configs():
  config = segxal_manual.get_config()
  validation.check(config)
  assert config.oracle.kind == 'label_studio'
  for depth in ('midas', 'dinov2', 'depth_anything'):
    config = segxal_manual.get_config(depth)
    assert config.depth.provider == depth
    assert (config.pool.num_initial, config.pool.num_query) == (300, 150)
    assert (config.oracle.rest, config.selection.rule) == ('prediction', 'dice')
    with pytest.raises(UserError, match='config.depth.weights'):
      validation.check(config)
  with pytest.raises(ValueError, match='midas, dinov2'):
    segxal_manual.get_config('lidar')
  config = segxal_manual.get_config()
  config.oracle.poll_secs = 0.0
  with pytest.raises(UserError, match='config.oracle.poll_secs'):
    validation.check(config)
