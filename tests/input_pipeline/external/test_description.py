"""`model.json` and each mistake in it."""

import json

import pytest

from common_lib.class_table import CITYSCAPES
from common_lib.class_table_file import to_text
from common_lib.errors import UserError
from input_pipeline.external import description
from input_pipeline.external.description import InputFormat
from tests.input_pipeline.external.tables import table

_INPUT = {
  'layout': 'NCHW',
  'color': 'BGR',
  'scale': 255.0,
  'mean': [0.1, 0.2, 0.3],
  'std': [1, 2, 3],
  'size': [512, 1024],
}


@pytest.fixture
def read(tmp_path):
  def write_and_read(value):
    (tmp_path / 'model.json').write_text(json.dumps(value))
    return description.read(tmp_path)

  return write_and_read


def test_everything_given(read, tmp_path):
  (tmp_path / 'classes.json').write_text(to_text(table(3)))
  found = read(
    {
      'input': _INPUT,
      'outputs': {
        'logits': 'out',
        'features': ['f1', 'f2'],
        'classes': [0, [3, 1], 2],
      },
      'classes': 'classes.json',
    }
  )
  assert found.input == InputFormat(
    'NCHW', 'BGR', 255.0, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), (512, 1024)
  )
  assert found.input_given and found.logits == 'out'
  assert found.features == ('f1', 'f2')
  assert found.channels == ((0,), (3, 1), (2,))
  assert found.classes == table(3)


def test_nothing_given(read, tmp_path):
  assert not description.read(tmp_path / 'nowhere').input_given
  for value in ({}, {'input': None, 'outputs': None, 'classes': None}):
    found = read(value)
    assert found.input == InputFormat(
      '', 'RGB', 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), None
    )
    assert not found.input_given and not found.logits and not found.features
    assert found.channels == () and found.classes is None


def test_the_example_of_the_interface(read):
  found = read(
    {
      'input': {**_INPUT, 'size': None},
      'outputs': {'logits': 'logits', 'features': None},
      'classes': None,
    }
  )
  assert found.input.size is None and found.features == ()
  assert read({'outputs': {'features': 'one'}}).features == ('one',)


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    ({'inputs': {}}, 'inputs is not known; write input'),
    ({'zzz': {}}, 'zzz is not known; use input, outputs, classes'),
    ({'input': {**_INPUT, 'colour': 'RGB'}}, 'input.colour is not known; wri'),
    ({'input': {**_INPUT, 'Mean': []}}, 'input.Mean is not known; write inp'),
    ({'outputs': {'logit': 'a'}}, 'outputs.logit is not known; write outputs.'),
    ({'input': []}, r'input is \[\], no object'),
    ({'input': {}}, 'input.color is missing; give "RGB" or "BGR"'),
    ({'input': {'color': 'RGB'}}, 'input.scale is missing; give 255 for a'),
    ({'input': {'color': 'RGB', 'scale': 1}}, r'input.mean is missing; give'),
    ({'input': {**_INPUT, 'color': 'rgb'}}, 'color is \'rgb\'; give "RGB" or'),
    ({'input': {**_INPUT, 'color': ['RGB']}}, 'input.color is'),
    ({'input': {**_INPUT, 'layout': 'HWC'}}, 'give "NCHW" or "NHWC"'),
    ({'input': {**_INPUT, 'scale': 0}}, 'scale is 0, no number above 0'),
    ({'input': {**_INPUT, 'scale': '255'}}, "scale is '255', no number above"),
    ({'input': {**_INPUT, 'scale': True}}, 'scale is True, no number above 0'),
    ({'input': {**_INPUT, 'scale': 10**400}}, 'scale is .*, no number above'),
    ({'input': {**_INPUT, 'mean': [0, 0]}}, 'mean is .*, not three numbers'),
    ({'input': {**_INPUT, 'mean': 0.5}}, 'mean is 0.5, not three numbers'),
    ({'input': {**_INPUT, 'std': [1, 1, None]}}, 'std is .*, not three'),
    ({'input': {**_INPUT, 'std': [1, 0, 1]}}, 'std holds a number that is not'),
    ({'input': {**_INPUT, 'size': [512]}}, 'size is .*, neither null nor'),
    ({'input': {**_INPUT, 'size': [5.5, 2]}}, 'size is .*, neither null nor'),
    ({'input': {**_INPUT, 'size': [0, 2]}}, 'size is .*, neither null nor'),
    ({'outputs': {'logits': 3}}, "logits is 3, no tensor's name"),
    ({'outputs': {'features': ''}}, "features is '', no tensor's name"),
    ({'outputs': {'features': ['a', 'a']}}, 'lists a .* twice, or null'),
    ({'outputs': {'features': ['a', None]}}, 'lists a .* twice, or null'),
    ({'outputs': {'classes': 19}}, 'outputs.classes is 19; it lists'),
    ({'outputs': {'classes': []}}, r'outputs.classes is \[\]; it lists'),
    ({'outputs': {'classes': [0, -1]}}, 'outputs.classes holds -1; it lists'),
    ({'outputs': {'classes': [0, 'a']}}, "outputs.classes holds 'a'; it"),
    ({'outputs': {'classes': [0, [1, 0]]}}, 'names a channel twice'),
    ({'outputs': {'classes': [0, []]}}, 'or none for a class'),
    ({'classes': 3}, 'classes is 3, no name of a file'),
    ({'classes': 'missing.json'}, 'missing.json: there is no class table'),
  ],
)
def test_one_sentence_for_each_mistake(read, tmp_path, value, message):
  with pytest.raises(UserError, match=message) as caught:
    read(value)
  assert str(caught.value).startswith(str(tmp_path))


def test_damage(tmp_path):
  for content in ('', '[]', '{"input"', '\xff', '[' * 100000):
    (tmp_path / 'model.json').write_text(content)
    with pytest.raises(UserError, match="a network's description, cannot be"):
      description.read(tmp_path)


def test_the_default_table_is_written_as_nothing():
  assert to_text(CITYSCAPES) == '' and to_text(table(3))
