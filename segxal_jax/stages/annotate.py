"""Asks the oracle (paper 3.3); what it answers goes into the ledger."""

import jax
import numpy as np

from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.interrupts import Interrupted
from input_pipeline.labels import VOID
from input_pipeline.notices import say
from segxal_jax import questions
from segxal_jax.oracles import Answer, Question
from segxal_jax.pool import Cost
from segxal_jax.run import Run, truth
from segxal_jax.state import LoopState


def annotate(run: Run, state: LoopState) -> LoopState:
  """Gets an answer to each question that has none in the ledger yet.

  Raises:
    Interrupted: answers are missing; those that came are kept.
  """
  waiting = 0
  if jax.process_index() == 0:
    asked = _questions(run, state)
    run.oracle.publish(asked)
    for question in asked:
      waiting += not _ask(run, question)
      run.check_stop('collecting answers')
    _tell(run, state)
  barrier('annotate')
  if waiting:
    raise Interrupted(
      f'Waiting for {waiting} of {len(state.queried)} annotations: run the '
      'same command again once they are made.'
    )
  return state.then('select')


def audit(label: np.ndarray, right: np.ndarray) -> dict[str, int]:
  """How many labelled pixels there are, and how many of them are wrong."""
  known = (label != VOID) & (right != VOID)
  return {
    'pixels': int(known.sum()),
    'wrong': int((label != right)[known].sum()),
  }


def _questions(run: Run, state: LoopState) -> list[Question]:
  """The cycle's questions as they were written."""
  folder = run.folder(state.cycle) / 'questions'
  return [
    questions.read(questions.path(folder, index)).question(
      state.cycle, index, str(run.pool[index]['id'])
    )
    for index in state.queried
  ]


def _ask(run: Run, question: Question) -> bool:
  """Whether the question is answered now."""
  if run.ledger.annotation(question.cycle, question.index) is not None:
    return True
  right = truth(run.pool, question.index)
  answer = run.oracle.answer(
    question, right.copy() if run.oracle.needs_truth else None
  )
  if answer is None:
    return False
  store(run, question.cycle, question.index, question.id, answer, right)
  return True


def store(
  run: Run, cycle: int, index: int, id: str, answer: Answer, right: np.ndarray
) -> None:
  """Puts an answer into the ledger."""
  run.ledger.annotate(
    cycle,
    index,
    id,
    run.oracle.name if cycle else 'seed',
    answer.label,
    answer.asked,
    answer.cost,
    audit(answer.label, right),
  )


def _tell(run: Run, state: LoopState) -> None:
  cost = sum(
    (
      annotation.cost
      for annotation in run.ledger.annotations()
      if annotation.cycle == state.cycle
    ),
    Cost(),
  )
  say(
    f'cycle {state.cycle}  annotate  {run.oracle.title}: {cost.pixels:,} '
    f'pixels, {cost.clicks:,} clicks'
  )
