"""When the loop ends, in words for the report, or None if it does not."""

from collections.abc import Sequence

from segxal_jax.config.stop import StopOptions
from segxal_jax.pool.ledger import Cost


def budget_spent(options: StopOptions, spent: Cost) -> str | None:
  """A limit of `config.stop` in images, pixels or clicks; 0 = no limit."""
  for unit in ('images', 'pixels', 'clicks'):
    limit, paid = getattr(options, unit), getattr(spent, unit)
    if limit and paid >= limit:
      return f'the budget of {limit:,} {unit} is spent ({paid:,})'
  return None


def cycles_done(options: StopOptions, cycle: int) -> str | None:
  """`config.stop.cycles` queries have been made; cycle 1 has made none."""
  if cycle > options.cycles:
    done = options.cycles
    return f'{done} cycle{" is" if done == 1 else "s are"} done'
  return None


def plateau(options: StopOptions, scores: Sequence[float | None]) -> str | None:
  """The validation mIoU no longer rises.

  Args:
    options: `config.stop`: `plateau_patience` cycles (0 = never stop so)
      without a rise of `plateau_min_delta` over the best before them.
    scores: of all cycles so far, in order.
  """
  patience = options.plateau_patience
  known = [score for score in scores if score is not None]
  if not patience or len(known) <= patience:
    return None
  before, last = known[:-patience], known[-patience:]
  if max(last) < max(before) + options.plateau_min_delta:
    return (
      f'the validation mIoU has not risen by {options.plateau_min_delta:g} '
      f'for {patience} cycles'
    )
  return None


def pool_empty(unlabelled: int) -> str | None:
  """No image is left to query."""
  return None if unlabelled else 'every image of the pool is labelled'
