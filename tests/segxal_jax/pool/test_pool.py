import json

import numpy as np
import pytest

from common_lib.errors import UserError
from segxal_jax.pool.entries import Cost
from segxal_jax.pool.ledger import Ledger
from segxal_jax.pool.sources import AnnotatedSource, labelled_source

IDS = ['a', 'b', 'c']
LABEL = np.array([[0, 18], [255, 3]], np.uint8)
ASKED = np.array([[True, False], [False, True]])
AUDIT = {'pixels': 3, 'wrong': 1}


def _annotate(ledger, cycle, index, label=LABEL, cost=Cost(1, 2, 3)):  # noqa: B008
  return ledger.annotate(
    cycle, index, IDS[index], 'gt_patch', label, ASKED, cost, AUDIT
  )


def test_annotations_survive_bit_for_bit(tmp_path):
  written = _annotate(Ledger(tmp_path, IDS), 1, 2)
  again = Ledger(tmp_path, IDS)
  assert again.annotations() == [written]
  label, asked = again.read(again.annotation(1, 2))
  np.testing.assert_array_equal(label, LABEL)
  np.testing.assert_array_equal(asked, ASKED)


def test_the_first_answer_of_a_cycle_wins(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  first = _annotate(ledger, 1, 0)
  assert _annotate(ledger, 1, 0, label=LABEL * 0) == first
  assert len((tmp_path / 'ledger.jsonl').read_text().splitlines()) == 2


def test_the_labelled_pool_is_what_was_accepted_before(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  for cycle, index in ((0, 0), (1, 1), (1, 2), (2, 2)):
    _annotate(ledger, cycle, index)
  ledger.select(0, [0], [], {})
  ledger.select(1, [1], [2], {1: 0.8, 2: 0.5})
  ledger.select(2, [2], [], {2: 0.9})
  assert list(ledger.labelled(0)) == []
  assert list(ledger.labelled(1)) == [0]
  assert list(ledger.labelled(2)) == [0, 1]
  assert list(Ledger(tmp_path, IDS).labelled(3)) == [0, 1, 2]
  assert ledger.labelled(3)[2].cycle == 2


def test_rejected_answers_are_paid_for(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  _annotate(ledger, 0, 0)
  _annotate(ledger, 1, 1)
  ledger.select(1, [], [1], {1: 0.1})
  assert ledger.spent(1) == Cost(1, 2, 3)
  assert ledger.spent(2) == Cost(2, 4, 6)


def test_time_is_kept_where_it_was_measured(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  _annotate(ledger, 1, 0, cost=Cost(1, 2, 3).timed(12.5))
  _annotate(ledger, 1, 1, cost=Cost(1, 2, 4).timed(7))
  for unknown in (None, 0):
    assert Cost(1, 2, 3).timed(unknown) == Cost(1, 2, 3)
  _annotate(ledger, 1, 2)
  again = Ledger(tmp_path, IDS)
  assert again.annotations() == ledger.annotations()
  # Of ten clicks seven were timed.
  assert again.spent(2) == Cost(3, 6, 10, seconds=19.5, timed_clicks=7)
  lines = (tmp_path / 'ledger.jsonl').read_text().splitlines()
  written = [json.loads(line)['cost'] for line in lines[1:]]
  assert written[0]['seconds'] == 12.5 and 'seconds' not in written[2]


def test_a_selection_is_made_once(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  _annotate(ledger, 1, 0)
  ledger.select(1, [0], [], {0: 1.0})
  ledger.select(1, [], [0], {0: 0.0})
  assert ledger.selection(1)['accepted'] == [0]
  assert Ledger(tmp_path, IDS).selection(1) == ledger.selection(1)


@pytest.mark.parametrize('left', [1, 10, -2])
def test_a_line_torn_by_a_kill_is_forgotten(tmp_path, left):
  ledger = Ledger(tmp_path, IDS)
  _annotate(ledger, 1, 0)
  path, head = tmp_path / 'ledger.jsonl', tmp_path / 'ledger.head.json'
  before, counted = path.read_bytes(), head.read_bytes()
  _annotate(ledger, 1, 1)
  torn = path.read_bytes()[len(before) :]
  path.write_bytes(before + torn[:left])
  head.write_bytes(counted)  # It is written after the line.
  again = Ledger(tmp_path, IDS)
  assert again.annotation(1, 1) is None
  assert path.read_bytes() == before
  # The repeated work leaves what an unbroken run leaves.
  _annotate(again, 1, 1)
  assert path.read_bytes() == before + torn


def test_another_pool_is_refused(tmp_path):
  Ledger(tmp_path, IDS)
  with pytest.raises(UserError, match='3 other images'):
    Ledger(tmp_path, ['a', 'b'])


def test_entries_are_plain_json(tmp_path):
  _annotate(Ledger(tmp_path, IDS), 1, 0)
  lines = (tmp_path / 'ledger.jsonl').read_text().splitlines()
  kinds = [json.loads(line)['kind'] for line in lines]
  assert kinds == ['pool', 'annotation']


def test_the_labelled_pool_as_a_source(tmp_path):
  ledger = Ledger(tmp_path, IDS)
  annotation = _annotate(ledger, 1, 2)
  path = ledger.path(annotation)
  scenes = [
    {'image': i, 'label': None, 'id': name} for i, name in enumerate(IDS)
  ]
  source = AnnotatedSource(scenes, [(2, str(path), annotation.sha256)], 19)
  assert len(source) == 1
  assert source[0]['id'] == 'c' and source[0]['image'] == 2
  np.testing.assert_array_equal(source[0]['label'], LABEL)
  assert scenes[2]['label'] is None
  # Also one that is swapped while the run goes on.
  path.write_bytes(ledger.path(_annotate(ledger, 2, 2, LABEL * 0)).read_bytes())
  with pytest.raises(UserError, match='cycle001_0000002.png.*not what'):
    source[0]


@pytest.mark.parametrize('with_unlabelled', [False, True])
def test_accepted_answers_become_training_data(tmp_path, with_unlabelled):
  ledger = Ledger(tmp_path, IDS)
  _annotate(ledger, 0, 0, LABEL * 0)
  ledger.select(0, [0], [], {})
  _annotate(ledger, 1, 2)
  _annotate(ledger, 1, 1)
  ledger.select(1, [2], [1], {})
  truth = np.full_like(LABEL, 18)
  pool = [{'label': truth, 'id': name} for name in IDS]
  found = {}
  for cycle in (1, 2):
    source = labelled_source(pool, ledger, cycle, with_unlabelled)
    found[cycle] = [
      (s['id'], s['label'].tolist())
      for s in map(source.__getitem__, range(len(source)))
    ]
  zero, answer = (LABEL * 0).tolist(), LABEL.tolist()
  void = np.full_like(LABEL, 255).tolist()
  if not with_unlabelled:
    assert found[1] == [('a', zero)]
    assert found[2] == [('a', zero), ('c', answer)]
  else:
    assert found[1] == [('a', zero), ('b', void), ('a', zero), ('c', void)]
    # What was rejected is not trained on.
    assert found[2] == [('a', zero), ('b', void), ('c', answer), ('b', void)]


def test_a_reader_takes_in_what_the_writer_has_finished(tmp_path):
  reader = Ledger(tmp_path / 'pool', IDS, read_only=True)
  assert not (tmp_path / 'pool').exists() and reader.annotations() == []
  writer = Ledger(tmp_path / 'pool', IDS)
  first = _annotate(writer, 0, 0)
  writer.select(0, [0], [], {})
  assert list(reader.labelled(1)) == []
  path = tmp_path / 'pool' / 'ledger.jsonl'
  whole = path.read_bytes()
  # The writer is in the middle of a line, which is its own to finish.
  path.write_bytes(whole + b'{"kind": "anno')
  reader.refresh()
  reader.refresh()
  assert path.read_bytes() == whole + b'{"kind": "anno'
  assert reader.annotations() == [first] and list(reader.labelled(1)) == [0]
  with pytest.raises(RuntimeError, match='another process'):
    reader.select(1, [], [], {})
  with pytest.raises(UserError, match='other images'):
    Ledger(tmp_path / 'pool', ['x'], read_only=True)
