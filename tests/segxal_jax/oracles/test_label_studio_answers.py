"""Annotations to label maps: exact, by rule, and nothing foreign gets in."""

import json
import tracemalloc

import numpy as np
import pytest
from PIL import ImageColor

from common_lib import class_table
from segxal_jax.oracles.label_studio import (
  answers,
  board,
  interface,
  oracle,
  picture,
  project,
  tasks,
)
from segxal_jax.oracles.label_studio.answers import BadAnnotation
from segxal_jax.oracles.label_studio.client import Client
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries import regions
from segxal_jax.queries.types import Question

SIZE = (12, 20)
ROAD, CAR, SKY, PERSON = 0, 13, 10, 11


def _prediction():
  prediction = np.zeros(SIZE, np.uint8)
  prediction[:4] = SKY
  prediction[5:9, 4:10] = CAR
  return prediction


def _question(**changes):
  eem = np.zeros(SIZE, np.float32)
  eem[1, 2] = 1.0
  usable = np.ones(SIZE, bool)
  usable[-1] = False
  segments = regions.patches(SIZE, 4)
  parts = {
    'cycle': 2,
    'index': 7,
    'id': 'scene',
    'image': np.full((*SIZE, 3), 90, np.uint8),
    'prediction': _prediction(),
    'confidence': np.full(SIZE, 0.5, np.float32),
    'eem': eem,
    'usable': usable,
    'segments': segments,
    'regions': regions.rank(eem, segments, usable, 1),
    'parts': {'proximity': 0.25 * eem, 'entropy': 0.75 * eem},
  }
  return Question(**parts | changes)


def _box(rows, columns):
  mask = np.zeros(SIZE, bool)
  mask[rows, columns] = True
  return mask


def _brush(mask, value, origin='manual'):
  return tasks.brush(mask, class_table.CITYSCAPES.names[value], 'r', origin)


def _annotation(result, **fields):
  known = {'id': 1, 'updated_at': '2026-01-01T00:00:00.000001Z'}
  return known | {'result': result} | fields


def _paint(result):
  return answers.paint(_annotation(result), _prediction())


def test_an_untouched_prediction_comes_back_bit_for_bit():
  rng = np.random.default_rng(0)
  for number in (1, 2, 19):
    prediction = rng.integers(0, number, SIZE).astype(np.uint8)
    question = _question(prediction=prediction)
    # Through JSON, as it travels.
    sent = json.loads(json.dumps(tasks.prediction(question)))
    painting = answers.paint(_annotation(sent['result']), prediction)
    np.testing.assert_array_equal(painting.label, prediction)
    assert painting.regions == {'prediction': len(np.unique(prediction))}
    assert painting.overlapping == 0
    answer = oracle.merged(question, painting.label, 'prediction', 0.9)
    np.testing.assert_array_equal(answer.label, prediction)
    # Only the selected region has been answered for.
    np.testing.assert_array_equal(answer.asked, question.segments == 0)
    assert answer.cost == Cost(1, 16, 0)


def test_what_is_painted_counts_more_than_what_was_there():
  untouched = tasks.prediction(_question())['result']
  stroke = _box(slice(2, 7), slice(8, 14))
  person = _brush(stroke, PERSON)
  expected = _prediction()
  expected[stroke] = PERSON
  # Wherever the new region stands in the list.
  for result in ([*untouched, person], [person, *untouched]):
    painting = _paint(result)
    np.testing.assert_array_equal(painting.label, expected)
    assert painting.overlapping == stroke.sum()
    assert painting.regions == {'prediction': 3, 'manual': 1}


def test_a_predicted_region_that_was_extended_beats_its_neighbours():
  prediction = _prediction()
  extended = (prediction == CAR) | _box(slice(4, 6), slice(0, 20))
  road = prediction == ROAD
  road[-2:] = False  # and the road was partly erased
  result = [
    _brush(extended, CAR, 'prediction-changed'),
    _brush(prediction == SKY, SKY, 'prediction'),
    _brush(road, ROAD, 'prediction-changed'),
  ]
  expected = prediction.copy()
  expected[4:6] = CAR
  expected[-2:] = 255
  np.testing.assert_array_equal(_paint(result).label, expected)


def test_among_new_regions_the_later_wins_and_nothing_is_void():
  first, second = _box(slice(0, 6), slice(0, 6)), _box(slice(3, 9), slice(3, 9))
  painting = _paint([_brush(first, CAR), _brush(second, SKY)])
  expected = np.full(SIZE, 255, np.uint8)
  expected[first] = CAR
  expected[second] = SKY
  np.testing.assert_array_equal(painting.label, expected)
  assert (_paint([]).label == 255).all()
  points = tasks.prediction(_question())['result'][-1:]
  assert points[0]['type'] == 'keypointlabels'
  assert (_paint(points).label == 255).all()


def test_half_opaque_pixels_belong_to_a_stroke(monkeypatch):
  opacity = np.arange(np.prod(SIZE)).reshape(SIZE).astype(np.uint8)
  monkeypatch.setattr(answers.rle, 'decode', lambda *_: opacity)
  label = _paint([_brush(np.zeros(SIZE, bool), CAR)]).label
  np.testing.assert_array_equal(label == CAR, opacity >= 128)


def test_erased_pixels_are_not_charged_and_not_learnt():
  question = _question()
  painted = _prediction()
  painted[:2] = 255
  painted[5:8, 5:9] = PERSON
  answer = oracle.merged(question, painted, 'void', 0.9)
  assert (answer.label[:2] == 255).all() and not answer.asked[:2].any()
  assert (answer.label[5:8, 5:9] == PERSON).all()
  # Region 0 is asked about, its upper half was erased; nothing else is said.
  assert answer.asked.sum() == 8 + 12 == (answer.label != 255).sum()
  assert answer.cost == Cost(1, 20, 4)
  kept = oracle.merged(question, painted, 'prediction', 0.9)
  np.testing.assert_array_equal(kept.label, painted)


def test_a_skip_costs_a_look_and_teaches_nothing():
  answer = oracle.skipped(_question())
  assert (answer.label == 255).all() and not answer.asked.any()
  assert answer.cost == Cost(1, 0, 0)


def _number(**fields):
  return _annotation([], **fields)


def test_which_of_several_annotations_counts():
  early, late = '2026-01-01T00:00:00Z', '2026-01-01T00:00:00.5Z'
  a, b = _number(id=5, updated_at=early), _number(id=4, updated_at=late)
  skip = _number(id=9, updated_at=late, was_cancelled=True)
  assert answers.counting([]) is None
  assert answers.counting([skip]) is None
  assert answers.counting([a, skip])['id'] == 5
  assert answers.counting([a, b])['id'] == answers.counting([b, a])['id'] == 4
  assert answers.counting([a | {'ground_truth': True}, b])['id'] == 5
  assert answers.counting([a, a | {'id': 6}])['id'] == 6


@pytest.mark.parametrize(
  'annotations',
  [
    {'detail': 'no'},
    ['x'],
    [{}],
    [{'id': 'x', 'updated_at': '2026-01-01T00:00:00Z'}],
    [{'id': 1, 'updated_at': 'yesterday'}],
    [{'id': 1, 'updated_at': None}],
    [{'id': 1, 'updated_at': '2026-01-01' + 'T' * 10**6}],
    [{'id': 1, 'updated_at': '2026-01-01T00:00:00'}],
    [{'id': 1, 'updated_at': 10**400}],
  ],
)
def test_what_is_not_a_list_of_annotations_is_refused(annotations):
  with pytest.raises(BadAnnotation):
    answers.counting(annotations)


def _with(**changes):
  return _brush(_box(slice(0, 2), slice(0, 2)), CAR) | changes


def _valued(**changes):
  good = _with()
  return good | {'value': good['value'] | changes}


@pytest.mark.parametrize(
  ('region', 'words'),
  [
    ('x', 'not an object'),
    (_with(type='polygonlabels'), 'polygonlabels'),
    (_with(type='../../etc/passwd\x1b[2J'), r'\\x1b'),
    (_with(original_width=21), r'instead of \(12, 20\)'),
    (_with(original_height=10**9), '1000000000'),
    (_with(original_height=None), 'None'),
    (_with(image_rotation=90), 'rotated'),
    (_with(value=None), 'no run-length code'),
    (_valued(format='png'), 'no run-length code'),
    (_valued(rle='abc'), 'not a list'),
    (_valued(rle=[0] * 100_000), 'more than the image could'),
    (_valued(brushlabels=['car', 'road']), 'one class'),
    (_valued(brushlabels=['tram']), 'tram'),
    (_valued(brushlabels=[['car']]), 'unknown class'),
    (_valued(brushlabels=['../' * 1000]), 'unknown class .{60}$'),
    (_valued(brushlabels='car'), 'one class'),
    (_valued(brushlabels={}), 'one class'),
    (
      _with(id='\x1b[2J' * 100, value=None),
      r"region 2 \('\\x1b.{10,60}\) has no",
    ),
    (_with(type='brush', value=None), r"region 2 \('r'\) has no run-length"),
  ],
)
def test_a_region_that_no_annotator_made_is_refused(region, words):
  with pytest.raises(BadAnnotation, match=words):
    _paint([_with(), region])


def test_a_relation_says_nothing_about_labels():
  box = _box(slice(2, 7), slice(8, 14))
  relation = {
    'type': 'relation',
    'from_id': 'a',
    'to_id': 'b',
    'direction': 'right',
    'labels': ['same object'],
  }
  alone = _paint([_brush(box, CAR)])
  for result in (
    [relation, _brush(box, CAR)],
    [_brush(box, CAR), relation | {'from_id': None, 'direction': 7}],
    [{'type': 'keypoint'}, _brush(box, CAR), {'type': 'relation'}],
  ):
    painting = _paint(result)
    np.testing.assert_array_equal(painting.label, alone.label)
    assert painting.regions == {'manual': 1}
  assert (_paint([relation]).label == 255).all()


def test_a_region_that_lost_its_label_is_no_region():
  prediction = _prediction()
  good = _brush(prediction == CAR, CAR, 'prediction')
  lost = _brush(prediction == SKY, SKY, 'prediction-changed')
  expected = np.where(prediction == CAR, CAR, 255)
  for change in (
    {'value': lost['value'] | {'brushlabels': []}},
    {'value': {'format': 'rle', 'rle': lost['value']['rle']}},
    {'type': 'brush', 'value': {'format': 'rle', 'rle': []}},
  ):
    painting = _paint([lost | change, good])
    np.testing.assert_array_equal(painting.label, expected)
    assert painting.regions == {'unlabelled': 1, 'prediction': 1}
    assert painting.overlapping == 0


class Server(Client):
  """Answers about one task as the real one does."""

  def __init__(self, annotations):
    super().__init__('http://127.0.0.1:1', 'c0ffee00c0ffee00')
    self._annotations = annotations

  def call(self, method, path, body=None, **query):
    assert (method, path) == ('GET', '/api/tasks/3/annotations/')
    # As it comes over the wire.
    return 200, json.loads(json.dumps(self._annotations))


def _asked(tmp_path, annotation):
  """The answer to a question, and the note about it."""
  asked = oracle.LabelStudio(Server([annotation]), tmp_path)
  asked._project = project.Project('run', 1)
  question = _question()
  listed = board.Listed(3, 1, 0, 1, False)
  asked._tasks = {tasks.key('run', question): [listed]}
  answer = asked.answer(question, None)
  note = tmp_path / 'answers' / 'cycle002_0000007.json'
  return answer, json.loads(note.read_text()) if note.exists() else None


@pytest.mark.parametrize(
  ('field', 'value', 'kept'),
  [
    ('lead_time', 12.5, 12.5),
    ('lead_time', 0, 0),
    ('lead_time', 10**400, None),
    ('lead_time', -(10**400), None),
    ('lead_time', -1.0, None),
    ('lead_time', float('nan'), None),
    ('lead_time', float('inf'), None),
    ('lead_time', 1e12, None),
    ('lead_time', '12', None),
    ('lead_time', True, None),
    ('lead_time', [12], None),
    ('completed_by', 7, 7),
    ('completed_by', 10**400, None),
    ('completed_by', -1, None),
    ('completed_by', 7.0, None),
    ('completed_by', '7' * 5000, None),
    ('completed_by', {'id': 7}, None),
    ('completed_by', False, None),
    ('completed_by', None, None),
  ],
  ids=lambda value: str(value)[:12],
)
def test_time_and_annotator_are_numbers_or_nothing(
  tmp_path, field, value, kept
):
  answer, note = _asked(tmp_path, _annotation([], **{field: value}))
  assert answer is not None
  names = {'lead_time': 'lead_time_secs', 'completed_by': 'annotator'}
  assert note[names[field]] == kept and type(note[names[field]]) is type(kept)
  timed = field == 'lead_time' and kept
  assert answer.cost.seconds == (kept if timed else 0)
  assert answer.cost.timed_clicks == (answer.cost.clicks if timed else 0)


@pytest.mark.parametrize(
  'id', [10**400, -1, True, 1.0, '1', None], ids=lambda value: repr(value)[:9]
)
def test_an_annotation_without_a_sensible_number_is_refused(
  tmp_path, id, capsys
):
  answer, note = _asked(tmp_path, _annotation([], id=id))
  assert answer is None and note is None
  assert 'task 3 (scene) is refused' in capsys.readouterr().err


def test_regions_without_a_label_are_told(tmp_path, capsys):
  lost = _brush(_box(slice(0, 2), slice(0, 2)), CAR)
  lost['value']['brushlabels'] = []
  answer, note = _asked(tmp_path, _annotation([lost, lost]))
  assert (answer.label == 255).all() and note['regions'] == {'unlabelled': 2}
  said = capsys.readouterr().err
  assert 'task 3 (scene): 2 regions without a label count for nothing' in said


@pytest.mark.parametrize('result', [None, 'x', {}, [{}] * 2001])
def test_an_annotation_without_regions_is_refused(result):
  with pytest.raises(BadAnnotation):
    _paint(result)


def test_what_is_sent_states_all_that_the_browser_needs():
  question = _question()
  task = tasks.task('run', question)
  assert task['meta']['key'] == task['data']['key'] == 'run/002/0000007'
  assert task['data']['image'].startswith('data:image/png;base64,')
  assert task['data']['why'].startswith('data:image/jpeg;base64,')
  assert task['data']['reasons'] == ('1: entropy 75 %, proximity 25 %')
  sent = task['predictions'][0]
  assert 0 <= sent['score'] <= 1
  point = sent['result'][-1]['value']
  assert (point['x'], point['y']) == (12.5, 12.5)  # column 2, row 1
  sizes = {(r['original_height'], r['original_width']) for r in sent['result']}
  assert sizes == {SIZE}
  nothing = _question(usable=np.zeros(SIZE, bool), regions=(), parts={})
  assert tasks.task('run', nothing)['predictions'][0]['score'] == 0


def test_the_labelling_config_has_the_classes_in_their_colours():
  from xml.etree import ElementTree

  root = ElementTree.fromstring(interface.labelling_config())
  brush = next(root.iter('BrushLabels'))
  found = {e.get('value'): e.get('background') for e in brush.iter('Label')}
  assert list(found) == list(class_table.CITYSCAPES.names)
  assert found['road'] == '#804080' and found['car'] == '#00008e'
  # A prompt point is seen on every class; both by hand from the palette.
  prompt = np.array(ImageColor.getrgb(interface.PROMPT_COLOR))
  for color in found.values():
    assert np.abs(prompt - ImageColor.getrgb(color)).sum() > 200, color


def test_the_numbers_of_the_points_never_hide_each_other():
  radius, size = 7.0, (200, 100)
  for points in (
    [[50.0, 50.0]] * 6,
    [[0.0, 0.0], [199.0, 99.0], [1.0, 1.0], [199.0, 98.0]],
    np.random.default_rng(0).uniform((0, 0), size, (15, 2)),
    np.zeros((0, 2)),
  ):
    points = np.array(points)
    positions = picture._apart(points, size, radius)
    assert positions.shape == points.shape
    apart = np.hypot(*np.moveaxis(positions[:, None] - positions, -1, 0))
    assert (apart + 100 * np.eye(len(positions)) > 2 * radius).all()
    assert (positions >= radius).all()
    assert (positions + radius < size).all()
  # One that is alone stands where it belongs.
  alone = np.array([[30.0, 40.0]])
  np.testing.assert_array_equal(picture._apart(alone, size, radius), alone)


def test_memory_is_bounded_by_the_image_not_by_the_regions():
  size = (128, 256)
  prediction = np.zeros(size, np.uint8)
  mask = np.zeros(size, bool)
  mask[0, :3] = True
  region = tasks.brush(mask, 'car', 'r', 'prediction-changed')
  tracemalloc.start()
  painting = answers.paint(_annotation([region] * 60), prediction)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert painting.regions == {'prediction-changed': 60}
  assert (painting.label[0, :3] == CAR).all()
  # Kept apart, the masks alone would take 120 bytes a pixel.
  assert peak < 24 * prediction.size
