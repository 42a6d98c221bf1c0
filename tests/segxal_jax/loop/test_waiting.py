"""The stage that waits for people: what it says, keeps and lets go."""

import importlib
import signal

import numpy as np
import pytest
from ml_collections import ConfigDict

from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.ledger import Cost, Ledger
from segxal_jax.queries import regions
from segxal_jax.queries.types import Answer, Question

# The package gives the function its module's name.
stage = importlib.import_module('segxal_jax.loop.stages.annotate')

SIZE = (8, 8)
COUNT = 3


def _question(index):
  zeros = np.zeros(SIZE, np.float32)
  usable = np.ones(SIZE, bool)
  segments = regions.patches(SIZE, 4)
  return Question(
    cycle=1,
    index=index,
    id=f'scene_{index}',
    image=np.zeros((*SIZE, 3), np.uint8),
    prediction=np.zeros(SIZE, np.uint8),
    confidence=zeros,
    eem=zeros,
    usable=usable,
    segments=segments,
    regions=regions.rank(zeros, segments, usable, 1),
  )


class People:
  """One more of them has answered each time they are asked."""

  name = 'label_studio'
  title = 'people'
  needs_truth = False
  where = 'http://there/projects/1'

  def __init__(self):
    self.published = []
    self.answered = 0

  def publish(self, questions):
    self.published.append([question.index for question in questions])
    self.left = 1

  def answer(self, question, truth):
    assert truth is None
    if not self.left:
      return None
    self.left -= 1
    self.answered += 1
    label = np.full(SIZE, question.index, np.uint8)
    return Answer(label, np.ones(SIZE, bool), Cost(1, 64, 4))


@pytest.fixture
def run(tmp_path, monkeypatch):
  made = object.__new__(Run)
  made.config = ConfigDict({'oracle': {'wait': False, 'poll_secs': 0.01}})
  made.oracle = People()
  made.stop = StopRequest()
  made.ledger = Ledger(tmp_path, [f'scene_{i}' for i in range(COUNT)])
  made.pool = [{'label': np.zeros(SIZE, np.uint8)} for _ in range(COUNT)]
  asked = [_question(index) for index in range(COUNT)]
  monkeypatch.setattr(stage, '_questions', lambda *_: asked)
  return made


@pytest.fixture
def state():
  made = object.__new__(LoopState)
  for name, value in {
    'cycle': 1,
    'stage': 'annotate',
    'queried': (0, 1, 2),
  }.items():
    object.__setattr__(made, name, value)
  for name in ('reason', 'train'):
    object.__setattr__(made, name, None)
  return made


def _answers(run):
  return [annotation.index for annotation in run.ledger.annotations()]


def test_it_stops_with_what_came_and_goes_on(run, state, monkeypatch):
  following = []
  monkeypatch.setattr(
    LoopState, 'then', lambda self, stage: following.append(stage) or self
  )
  for left in (2, 1):
    words = f'Waiting for {left} of 3 annotations at http://there/projects/1'
    with pytest.raises(Interrupted, match=words):
      stage.annotate(run, state)
  assert _answers(run) == [0, 1]
  stage.annotate(run, state)
  assert following == ['select']
  assert _answers(run) == [0, 1, 2]
  # Only what is open is asked again, and nothing once all is answered.
  assert run.oracle.published == [[0, 1, 2], [1, 2], [2]]
  stage.annotate(run, state)
  assert len(run.oracle.published) == 3


def test_it_waits_if_told_to(run, state, capsys):
  run.config.oracle.wait = True
  assert stage._collect(run, state) == ''
  assert _answers(run) == [0, 1, 2]
  said = capsys.readouterr().err
  assert '1 of 3 annotations at http://there' in said and '2 of 3' in said


def test_a_signal_ends_the_waiting(run, state):
  run.config.oracle.wait = True
  run.config.oracle.poll_secs = 3600.0
  publish = run.oracle.publish

  def interrupted(questions):
    publish(questions)
    signal.raise_signal(signal.SIGTERM)

  run.oracle.publish = interrupted
  with pytest.raises(Interrupted, match='SIGTERM while'), run.stop:
    stage.annotate(run, state)


def test_a_server_that_goes_away_costs_nothing(run, state):
  answer = run.oracle.answer

  def gone(question, truth):
    if question.index == 1:
      raise Interrupted('nobody there')
    return answer(question, truth)

  run.oracle.answer = gone
  with pytest.raises(Interrupted, match='nobody there'):
    stage.annotate(run, state)
  assert _answers(run) == [0]
