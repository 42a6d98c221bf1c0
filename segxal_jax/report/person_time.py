"""Seconds of people: what was measured, and what is estimated of the rest.

The two are never added: a measured second is one that somebody worked, an
estimated one is a click at a published rate.
"""

from collections.abc import Mapping
from typing import Any

from segxal_jax.report.across_runs import UNDEFINED


def of_cost(
  cost: Mapping[str, Any], secs_a_click: float
) -> dict[str, float | None]:
  """Everything paid so far, as time.

  Args:
    cost: of a measured cycle.
    secs_a_click: what a click is estimated to take; 0 estimates nothing.

  Returns:
    `measured` seconds and `estimated` ones, of the clicks that nobody
    measured; each None where there is nothing to know it from.
  """
  untimed = cost['clicks'] - cost.get('timed_clicks', 0)
  return {
    'measured': cost.get('seconds'),
    'estimated': secs_a_click * untimed if secs_a_click else None,
  }


def shown(seconds: float | None) -> str:
  """As a person says it: '40 s', '12 min' or '3.5 h'; a dash for None."""
  if seconds is None:
    return UNDEFINED
  if seconds < 100:
    return f'{seconds:.0f} s'
  if seconds < 6000:
    return f'{seconds / 60:.0f} min'
  return f'{seconds / 3600:,.1f} h'


def rate(secs_a_click: float) -> str:
  """What an estimate rests on, for a note."""
  return (
    f'{secs_a_click:g} s a click (config.oracle.secs_a_click)'
    if secs_a_click
    else 'nothing, as config.oracle.secs_a_click is 0'
  )
