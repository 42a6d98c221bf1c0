"""What people submit comes back exactly; what nobody could is refused."""

import json
import subprocess

import numpy as np
import pytest

from common_lib import class_table
from segxal_jax.oracles.label_studio import rle, tasks
from segxal_jax.pool.ledger import Cost
from tests.label_studio import scenes
from tests.label_studio.server import VENV


def _project(oracle):
  return int(oracle.where.rpartition('/')[2])


@pytest.fixture
def published(server, oracle):
  """Function: so many questions, their tasks, and an oracle's answers."""

  def publish(count):
    asked = scenes.questions(count)
    first = oracle()
    first.publish(asked)

    def look():
      fresh = oracle()
      fresh.publish(asked)
      return [fresh.answer(question, None) for question in asked]

    found = server.tasks(_project(first))
    found.sort(key=lambda task: task['data']['key'])
    return asked, found, look

  return publish


def test_untouched_predictions_come_back_bit_for_bit(server, published):
  asked, found, look = published(2)
  assert look() == [None, None]
  for task in found:
    server.annotate(task['id'], task['predictions'][0]['result'])
  for question, answer in zip(asked, look(), strict=True):
    np.testing.assert_array_equal(answer.label, question.prediction)
    assert answer.cost.images == 1 and answer.cost.clicks == 0


def test_corrections_come_back_and_leave_a_note(server, published, tmp_path):
  asked, found, look = published(2)
  prediction = asked[1].prediction
  absent = min(set(range(19)) - set(prediction.ravel().tolist()))
  stroke = np.zeros(prediction.shape, bool)
  stroke[10:20, 30:50] = True
  result = found[1]['predictions'][0]['result']
  result = [
    *result,
    tasks.brush(stroke, class_table.CITYSCAPES.names[absent], 'new', 'manual'),
  ]
  number = server.annotate(found[1]['id'], result, lead_time=12.5)
  first, second = look()
  assert first is None
  expected = np.where(stroke, absent, prediction)
  np.testing.assert_array_equal(second.label, expected)
  assert second.asked[stroke].all() and second.cost.clicks >= 4
  note = json.loads(
    (tmp_path / 'run/oracle/answers/cycle001_0000001.json').read_text()
  )
  assert note['annotation'] == number and note['lead_time_secs'] == 12.5
  assert note['changed_pixels'] == int((expected != prediction).sum())
  assert note['regions']['manual'] == 1 and note['void_pixels'] == 0


def test_skips_drafts_deletions_and_several_annotations(server, published):
  asked, found, look = published(4)
  ids = [task['id'] for task in found]
  own = [task['predictions'][0]['result'] for task in found]
  server.annotate(ids[0], [], was_cancelled=True)
  server.ask('POST', f'/api/tasks/{ids[1]}/drafts', {'result': own[1]})
  deleted = server.annotate(ids[2], own[2])
  server.ask('DELETE', f'/api/annotations/{deleted}/')
  server.annotate(ids[3], own[3])
  server.annotate(ids[3], [])
  server.annotate(ids[3], own[3], was_cancelled=True)
  skip, draft, gone, several = look()
  assert skip.cost == Cost(1, 0, 0) and (skip.label == 255).all()
  assert draft is None and gone is None
  # The last one that is no skip: everything was erased.
  assert (several.label == 255).all() and not several.asked.any()
  # Whoever skipped may think again.
  server.annotate(ids[0], own[0])
  np.testing.assert_array_equal(look()[0].label, asked[0].prediction)


def test_hostile_annotations_are_refused_and_the_others_kept(
  server, published, capsys
):
  asked, found, look = published(6)
  ids = [task['id'] for task in found]
  good = [task['predictions'][0]['result'] for task in found]

  def damaged(number, **changes):
    region = json.loads(json.dumps(good[number][0]))
    region['value'] |= changes.pop('value', {})
    return [region | changes]

  # The server takes all of them.
  server.annotate(ids[0], damaged(0, original_width=97))
  server.annotate(ids[1], damaged(1, value={'rle': [1, 2, 3]}))
  server.annotate(ids[2], damaged(2, value={'rle': [255] * 9}))
  server.annotate(ids[3], damaged(3, value={'brushlabels': ['../../x']}))
  server.ask('POST', f'/api/tasks/{ids[4]}/annotations/', {'lead_time': 1})
  server.annotate(ids[5], good[5])
  answers = look()
  assert answers[:5] == [None] * 5
  np.testing.assert_array_equal(answers[5].label, asked[5].prediction)
  said = capsys.readouterr().err.splitlines()
  for number in range(5):
    lines = [line for line in said if f'task {ids[number]} ' in line]
    assert len(lines) == 1 and 'refused' in lines[0]
  # Mended by hand, they count.
  for number in range(5):
    server.annotate(ids[number], good[number])
  assert None not in look()


def test_relations_and_regions_without_a_label_say_nothing(
  server, published, tmp_path
):
  asked, found, look = published(2)
  regions = found[0]['predictions'][0]['result']
  brushes = [region for region in regions if region['type'] == 'brushlabels']
  relation = {
    'type': 'relation',
    'from_id': brushes[0]['id'],
    'to_id': brushes[1]['id'],
    'direction': 'right',
  }
  server.annotate(found[0]['id'], [*regions, relation], lead_time=-2.5)
  lost = json.loads(json.dumps(found[1]['predictions'][0]['result']))
  name = lost[0]['value'].pop('brushlabels')[0]
  server.annotate(found[1]['id'], lost)
  whole, partly = look()
  np.testing.assert_array_equal(whole.label, asked[0].prediction)
  value = class_table.CITYSCAPES.names.index(name)
  expected = np.where(asked[1].prediction == value, 255, asked[1].prediction)
  np.testing.assert_array_equal(partly.label, expected)
  notes = tmp_path / 'run' / 'oracle' / 'answers'
  note = json.loads((notes / 'cycle001_0000001.json').read_text())
  assert note['regions']['unlabelled'] == 1
  note = json.loads((notes / 'cycle001_0000000.json').read_text())
  assert note['lead_time_secs'] is None  # Of a clock that was set back.


def test_the_code_of_masks_is_that_of_the_servers_own_kit(tmp_path):
  masks = [
    scenes.question(i).prediction == v for i in (0, 1) for v in range(19)
  ]
  masks.append(np.random.default_rng(0).random((48, 96)) < 0.5)
  file = tmp_path / 'masks.json'
  file.write_text(json.dumps([rle.encode(mask) for mask in masks]))
  program = """
import json, sys
import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
masks = [decode_rle(data).reshape(48, 96, 4)[..., 3]
         for data in json.load(open(sys.argv[1]))]
print(json.dumps([[int(v) for v in mask2rle(mask)] for mask in masks]))
"""
  argv = [str(VENV / 'bin' / 'python'), '-c', program, str(file)]
  done = subprocess.run(argv, capture_output=True, text=True, check=True)
  for mask, data in zip(masks, json.loads(done.stdout), strict=True):
    np.testing.assert_array_equal(rle.decode(data, 48, 96) == 255, mask)
    assert rle.encode(mask) == data
