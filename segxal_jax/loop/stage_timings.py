"""How long each stage took: for reports alone, never for a decision.

Beside the run's other files in `timings.jsonl`, because it differs between
runs that are otherwise equal to the bit.
"""

import json
from pathlib import Path

import jax

from common_lib import json_values
from segxal_jax.loop.state import STAGES

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
  resumed counts from there. A line torn by a kill, or damaged, is passed over:
  nothing depends on it.
  """
  seconds: dict[int, dict[str, float]] = {}
  try:
    content = (workdir / _NAME).read_bytes()
  except OSError:
    return seconds
  for line in content.split(b'\n'):
    try:
      entry = json_values.fields(
        json.loads(line), 'it', ('cycle', 'stage', 'seconds')
      )
      number = json_values.whole_number(entry['cycle'], 'cycle')
      time = float(json_values.number(entry['seconds'], 'seconds', 0, 1e9))
    except (ValueError, RecursionError):
      continue
    if entry['stage'] in STAGES:
      seconds.setdefault(number, {})[entry['stage']] = time
  return seconds
