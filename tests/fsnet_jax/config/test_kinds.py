"""Values of every kind, right and wrong, of flags and of files."""

import math

import numpy as np
import pytest

from fsnet_jax.config.kinds import (
  LARGEST_INT,
  Flag,
  Many,
  Number,
  PathText,
  Text,
  Unfit,
  Whole,
  shown,
)
from fsnet_jax.config.words import ByNetwork, Name, Word

HUGE = 10**5000
DEEP = []
for _ in range(5000):
  DEEP = [DEEP]

PAIR = Many(Number(above=0.0, below=1.0), 2, 2)
WORDS = Many(Word(('x', 'w1')), 1, once=True)
DETECTOR = Name('detector', 'fsnet_jax.detectors', 'DETECTORS', ('msp',), True)


@pytest.mark.parametrize(
  ('kind', 'value', 'kept'),
  [
    (Flag(), True, True),
    (Whole(1), 3, 3),
    (Whole(1), np.int64(3), 3),
    (Whole(0, LARGEST_INT), LARGEST_INT, LARGEST_INT),
    (Number(), 1, 1.0),
    (Number(), np.float32(0.5), 0.5),
    (Number(0.0, 1.0), 0, 0.0),
    (Number(0.0, 1.0), 1, 1.0),
    (Text(), '', ''),
    (PathText(), '~/a', '~/a'),
    (Word(('a', 'b')), 'b', 'b'),
    (PAIR, [0.25, 0.5], (0.25, 0.5)),
    (WORDS, ('w1',), ('w1',)),
    (Many(Whole(0)), (), ()),
    (DETECTOR, 'msp', 'msp'),
    (DETECTOR, 'entropy', 'entropy'),  # Not listed here, but in its table.
    (DETECTOR, 'mine:Own', 'mine:Own'),
  ],
)
def test_right_values(kind, value, kept):
  read = kind.read(value)
  assert read == kept
  assert type(read) is type(kept)


@pytest.mark.parametrize('kind', [Whole(1), Whole(-1), Number(), PAIR, WORDS])
@pytest.mark.parametrize(
  'value',
  [None, True, '3', {}, {'a': 1}, HUGE, -HUGE, DEEP, object(), b'3', 1 + 2j],
  ids=lambda value: type(value).__name__,
)
def test_no_number_and_no_tuple_is_refused(kind, value):
  with pytest.raises(Unfit, match='give |choose '):
    kind.read(value)
  assert len(shown(value)) < 200


@pytest.mark.parametrize(
  ('kind', 'value'),
  [
    (Flag(), 1),
    (Flag(), 'true'),
    (Flag(), None),
    (Whole(1), 0),
    (Whole(0), -1),
    (Whole(0, 5), 6),
    (Whole(1), 2.0),
    (Whole(1), math.nan),
    (Number(), math.nan),
    (Number(), math.inf),
    (Number(), -math.inf),
    (Number(), 1e39),
    (Number(above=0.0), 0.0),
    (Number(below=1.0), 1.0),
    (Number(0.0, 1.0), 1.001),
    (Number(0.0, 1.0), -1e-9),
    (Text(empty=False), ''),
    (Text(), 'a\nb'),
    (Text(), 'a\x1b[2J'),
    (Text(), 3),
    (PathText(), 'a\0b'),
    (PathText(), 'a\udc80'),
    (PathText(), None),
    (Word(('a', 'b')), 'c'),
    (Word(('a', 'b')), ('a',)),
    (PAIR, 0.5),
    (PAIR, (0.5,)),
    (PAIR, (0.1, 0.2, 0.3)),
    (PAIR, (0.5, 1.0)),
    (PAIR, (0.5, (0.5,))),
    (PAIR, (0.5, math.nan)),
    (WORDS, ()),
    (WORDS, 'x'),
    (WORDS, ('x', 'x')),
    (WORDS, ('x', 'y')),
    (Many(Whole(0)), {1, 2}),
    (DETECTOR, 'mps'),
    (DETECTOR, ''),
    (DETECTOR, None),
  ],
)
def test_wrong_values(kind, value):
  with pytest.raises(Unfit) as error:
    kind.read(value)
  assert '\n' not in str(error.value) and '\x1b' not in str(error.value)


@pytest.mark.parametrize(
  ('kind', 'text', 'value'),
  [
    (Flag(), 'true', True),
    (Flag(), 'False', False),
    (Flag(), '1', True),
    (Whole(0), '12', 12),
    (Whole(0), '0x10', 16),
    (Number(), '1e-3', 1e-3),
    (Number(), '3', 3.0),
    (Text(), '3', '3'),
    (Word(('a',)), 'a', 'a'),
    (PAIR, '(0.25,0.5)', (0.25, 0.5)),
    (PAIR, '[0.25, 0.5]', (0.25, 0.5)),
    (PAIR, '0.25,0.5', (0.25, 0.5)),
    (Many(Text()), "('a b','c')", ('a b', 'c')),
    (Many(Text()), 'streets/day', ('streets/day',)),
    (Many(Text()), 'a/x:y, b', ('a/x:y', 'b')),
    (Many(Text()), '0001TP', ('0001TP',)),
    (Many(Whole(0)), '3', (3,)),
    (Many(Whole(0)), '()', ()),
    (Many(Whole(0)), '', ()),
  ],
)
def test_texts_of_flags(kind, text, value):
  parsed = kind.parse(text)
  assert parsed == value
  assert type(parsed) is type(value)


@pytest.mark.parametrize(
  ('kind', 'text'),
  [
    (Flag(), 'maybe'),
    (Flag(), ''),
    (Whole(0), '1.5'),
    (Whole(0), '1e3'),
    (Whole(0), ''),
    (Whole(0), '9' * 5000),
    (Number(), 'nan'),
    (Number(), '-inf'),
    (Number(), '1e999'),
    (Number(), 'fast'),
    (Word(('a',)), 'b'),
    (PAIR, '(0.5'),
    (PAIR, '0.5'),
    (PAIR, '{0.5: 1}'),
    (PAIR, '(' * 5000),
    (PAIR, '__import__("os")'),
    (Many(Text()), '(1,2)'),
  ],
)
def test_texts_that_no_flag_takes(kind, text):
  with pytest.raises(Unfit):
    kind.parse(text)


def test_a_flag_that_is_repeated_gives_all_its_values():
  assert Many(Whole(0)).parse_all(['1', '(2,3)']) == (1, 2, 3)


def test_the_part_that_is_wrong_is_named():
  with pytest.raises(Unfit) as error:
    WORDS.read(('x', 'w2'))
  assert error.value.part == ('w2',)


def test_near_misses():
  with pytest.raises(Unfit, match=r'choose one of fsnet,.*Did you mean msp\?$'):
    DETECTOR.read('msps')
  with pytest.raises(Unfit, match=r'Did you mean plateau\?$'):
    Word(('steps', 'plateau')).read('platau')


def test_choices_follow_the_network():
  kind = ByNetwork({'fcn8': ('pool5',), 'unet': ('bottleneck',)})
  with pytest.raises(Unfit, match='fcn8 offers pool5'):
    kind.of('fcn8').read('layer4')
  assert kind.of('unet').read('bottleneck') == 'bottleneck'
  for other in ('deeplab_v2', None, 3):  # It does not look at the field.
    assert kind.of(other).read('whatever') == 'whatever'


def test_needs_in_words():
  assert Whole(2).needed == 'a whole number, 2 or more'
  assert Whole(0, 5).needed == 'a whole number from 0 to 5'
  assert Number().needed == 'a number'
  assert Number(0.0, below=1.0).needed == (
    'a number of at least 0 and less than 1'
  )
  assert PAIR.needed == (
    '2 values, each a number greater than 0 and less than 1'
  )
