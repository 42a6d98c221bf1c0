"""How long each stage took: for reports alone, never for a decision.

Beside the run's other files in `timings.jsonl`, because it differs between
runs that are otherwise equal to the bit.
"""

import json
from pathlib import Path

import jax

_NAME = 'timings.jsonl'


def add(workdir: Path, cycle: int, stage: str, seconds: float) -> None:
  """Records a finished stage."""
  if jax.process_index():
    return
  entry = {'cycle': cycle, 'stage': stage, 'seconds': round(seconds, 3)}
  with (workdir / _NAME).open('a') as file:
    file.write(json.dumps(entry) + '\n')


def read(workdir: Path) -> dict[int, dict[str, float]]:
  """Seconds by cycle and stage.

  Of a stage that ran twice, the last time; a stage that was interrupted and
  went on counts from there. A line torn by a kill is passed over.
  """
  path = workdir / _NAME
  seconds: dict[int, dict[str, float]] = {}
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      entry = json.loads(line)
    except ValueError:
      continue
    cycle = seconds.setdefault(entry['cycle'], {})
    cycle[entry['stage']] = entry['seconds']
  return seconds
