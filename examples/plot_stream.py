"""Draws what a stream's log says: `python -m examples.plot_stream LOG PNG`.

Image risk and flagged share over time, with the alarms. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib

from common_lib.errors import UserError
from common_lib.paths import expanded
from examples import commands

_SIZE_INCHES = (9.0, 3.0)


def draw(rows: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
  """Draws a log.

  Args:
    rows: of `stream.jsonl`, at least one.
    path: of the PNG.
  """
  matplotlib.use('agg')
  from matplotlib import pyplot

  first = rows[0]['stamp_ns']
  seconds = [(row['stamp_ns'] - first) / 1e9 for row in rows]
  figure, axes = pyplot.subplots(figsize=_SIZE_INCHES, layout='constrained')
  axes.plot(seconds, [row['image_risk'] for row in rows], label='image risk')
  flagged = [row['flagged_share'] for row in rows]
  axes.plot(seconds, flagged, ':', label='flagged share')
  for name, color in (('risk_alarm', 'tab:red'), ('shift_alarm', 'tab:purple')):
    on = [row[name] for row in rows]
    if any(on):
      label = name.replace('_', ' ')
      axes.fill_between(
        seconds, 0, 1, where=on, color=color, alpha=0.2, label=label
      )
  axes.set(xlabel='seconds', ylabel='share of the pixels', ylim=(0, 1))
  axes.legend(loc='upper right', ncols=4)
  figure.savefig(path, dpi=110)
  pyplot.close(figure)


def main(arguments: list[str] | None = None) -> None:
  """Draws the log that the command line names.

  Args:
    arguments: of the command line; None for the process's own.
  """
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('log', help='stream.jsonl')
  parser.add_argument('picture', help='PNG to write')
  flags = parser.parse_args(arguments)
  log = expanded(flags.log)
  try:
    lines = log.read_text(encoding='utf-8').splitlines()
    rows = [json.loads(line) for line in lines]
    draw(rows, expanded(flags.picture))
  except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
    raise UserError(
      f'{log} is no log of a stream ({error}): give its stream.jsonl.'
    ) from None


if __name__ == '__main__':
  commands.run(main)
