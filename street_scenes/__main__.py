"""Writes a page of drawn scenes.

python -m street_scenes --out=streets.png --size=256,512
"""

from __future__ import annotations

import argparse
import sys

from common_lib import interrupts
from street_scenes import contact_sheet
from street_scenes.render import domains as drawing


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m street_scenes',
    description='Draws a page: a row per domain, a column per scene.',
  )
  parser.add_argument('--out', required=True, help='image file to write')
  parser.add_argument('--size', default='128,256', help='height,width')
  parser.add_argument('--columns', type=int, default=2)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--start', type=int, default=0, help='first scene')
  parser.add_argument('--split', default='train', choices=drawing.SPLITS)
  parser.add_argument(
    '--domains', default=','.join(drawing.DOMAINS), help='comma-separated'
  )
  return parser


def main(arguments: list[str]) -> None:
  """Runs the command."""
  parser = _parser()
  options = parser.parse_args(arguments)
  try:
    height, width = (int(part) for part in options.size.split(','))
  except ValueError:
    parser.error(f'--size={options.size} is not height,width')
  if min(height, width) < drawing.SMALLEST_SIDE:
    parser.error(f'--size must be at least {drawing.SMALLEST_SIDE}')
  domains = tuple(options.domains.split(','))
  if unknown := set(domains) - set(drawing.DOMAINS):
    parser.error(f'--domains: {unknown} not in {drawing.DOMAINS}')
  if options.columns < 1 or options.seed < 0 or options.start < 0:
    parser.error('--columns is at least 1, --seed and --start at least 0')
  sheet = contact_sheet.contact_sheet(
    (height, width),
    domains=domains,
    columns=options.columns,
    seed=options.seed,
    start=options.start,
    split=options.split,
  )
  contact_sheet.save(sheet, options.out)


if __name__ == '__main__':
  interrupts.watch()
  main(sys.argv[1:])
