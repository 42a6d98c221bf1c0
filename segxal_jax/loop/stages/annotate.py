"""Puts the questions to the oracle (paper 3.3), and answers into the ledger."""

import time

import jax
import numpy as np

from common_lib.class_table import VOID
from common_lib.console import say
from common_lib.progress_bar import ProgressBar
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.loop.context import Run, truth
from segxal_jax.loop.stages import shared
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.types import Answer, Question

# How long a request to stop goes unnoticed while waiting.
_NAP_SECS = 0.5


def annotate(run: Run, state: LoopState) -> LoopState:
  """Gets an answer to each question that has none in the ledger yet.

  Raises:
    Interrupted: answers are missing; those that came are kept.
  """
  missing = ''
  if jax.process_index() == 0:
    missing = _collect(run, state)
  run.check_stop('collecting answers')
  if _anywhere(bool(missing)):
    raise Interrupted(missing or 'Waiting for annotations.')
  barrier('annotate')
  return state.then('select')


def audit(label: np.ndarray, right: np.ndarray) -> dict[str, int]:
  """How many labelled pixels there are, and how many of them are wrong.

  Only of those that the ground truth knows: both are 0 where there is none.
  """
  known = (label != VOID) & (right != VOID)
  return {
    'pixels': int(known.sum()),
    'wrong': int((label != right)[known].sum()),
  }


def _collect(run: Run, state: LoopState) -> str:
  """Repeats the questions until all are answered; once without `wait`.

  Returns:
    What is missing, as a sentence; '' if nothing is.
  """
  options, bar = run.config.oracle, None
  still_open = asked = _questions(run, state)
  while not run.stop.requested:
    try:
      still_open = _round(run, still_open)
    except Interrupted as unreachable:
      return str(unreachable)
    if not still_open:
      if bar:
        bar.close()
      _tell(run, state)
      return ''
    where = f' at {run.oracle.where}' if run.oracle.where else ''
    waiting = f'{len(still_open)} of {len(asked)} annotations{where}'
    if not options.wait:
      return (
        f'Waiting for {waiting}: run the same command again once they are made.'
      )
    bar = bar or ProgressBar(len(asked), 'annotations', after=where)
    bar.reach(len(asked) - len(still_open))
    _sleep(run, options.poll_secs)
  if bar:
    bar.close()
  return f'Stopped with {len(still_open)} of {len(asked)} questions open.'


def _round(run: Run, still_open: list[Question]) -> list[Question]:
  """Puts each open question once; returns those without an answer."""
  still_open = [
    question for question in still_open if not _known(run, question)
  ]
  if still_open:
    run.oracle.publish(still_open)
  return [
    question
    for question in still_open
    if run.stop.requested or not _ask(run, question)
  ]


def _sleep(run: Run, seconds: float) -> None:
  until = time.monotonic() + seconds
  while not run.stop.requested and (left := until - time.monotonic()) > 0:
    time.sleep(min(_NAP_SECS, left))


def _anywhere(missing: bool) -> bool:
  """Whether process 0, which has the oracle, lacks an answer; a collective."""
  if jax.process_count() == 1:
    return missing
  from jax.experimental import multihost_utils

  flags = multihost_utils.process_allgather(np.asarray(missing))
  return bool(np.any(flags))


def _questions(run: Run, state: LoopState) -> list[Question]:
  """The cycle's questions as they were written."""
  folder = run.folder(state.cycle) / 'questions'
  weights = shared.weights(run, state.cycle)
  return [
    shared.read_maps(run, folder, index).question(
      state.cycle, index, str(run.pool[index]['id']), weights
    )
    for index in state.queried
  ]


def _known(run: Run, question: Question) -> bool:
  """Whether the ledger has an answer."""
  return run.ledger.annotation(question.cycle, question.index) is not None


def _ask(run: Run, question: Question) -> bool:
  """Whether the question is answered now."""
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
  time = f', {cost.seconds:,.0f} s measured' if cost.seconds else ''
  say(
    f'cycle {state.cycle}  annotate  {run.oracle.title}: {cost.pixels:,} '
    f'pixels, {cost.clicks:,} clicks{time}'
  )
