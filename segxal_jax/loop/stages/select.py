"""Decides which annotated images join the labelled pool (paper 3.4)."""

import jax

from common_lib.console import say
from segxal_jax.loop.context import Run
from segxal_jax.loop.stages import shared
from segxal_jax.loop.state import LoopState
from segxal_jax.pool.dice_selection import accepts, dice


def select(run: Run, state: LoopState) -> LoopState:
  """Compares each annotation with the prediction; starts the next cycle."""
  if jax.process_index() == 0:
    _record(run, state)
  run.share_ledger('select')
  following = state.cycle + 1
  return state.then(
    'train',
    cycle=following,
    queried=(),
    train=run.fresh_networks(state.train, following),
  )


def _record(run: Run, state: LoopState) -> None:
  """Writes the selection of the cycle into the ledger."""
  options = run.config.selection
  folder = run.folder(state.cycle) / 'questions'
  accepted, rejected, scores = [], [], {}
  for index in state.queried:
    prediction = shared.read_maps(run, folder, index).prediction
    annotation = run.ledger.annotation(state.cycle, index)
    assert annotation is not None  # All that was queried is answered.
    label, _ = run.ledger.read(annotation)
    agreement = dice(prediction, label, run.classes.num_classes)
    scores[index] = agreement
    join = accepts(options.rule, options.theta, agreement)
    (accepted if join else rejected).append(index)
  run.ledger.select(state.cycle, accepted, rejected, scores)
  say(
    f'cycle {state.cycle}  select  {len(accepted)} of {len(state.queried)} '
    'annotated images join the labelled pool'
  )
