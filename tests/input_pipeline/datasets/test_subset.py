"""Evenly spaced parts of a data set."""

import pickle

from input_pipeline.datasets.subset import EvenSubset


def ids(source):
  return [source[i]['id'] for i in range(len(source))]


WHOLE = [{'id': str(i)} for i in range(10)]


def test_fifth_is_every_fifth():
  assert ids(EvenSubset(WHOLE, 0.2)) == ['0', '5']


def test_whole_is_whole_and_never_empty():
  assert ids(EvenSubset(WHOLE, 1.0)) == ids(WHOLE)
  assert ids(EvenSubset(WHOLE, 0.001)) == ['0']


def test_no_scene_twice_and_workers_can_have_it():
  part = pickle.loads(pickle.dumps(EvenSubset(WHOLE, 0.7)))
  assert len(set(ids(part))) == len(part) == 7
