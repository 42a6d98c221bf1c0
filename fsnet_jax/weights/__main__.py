"""Command line: python -m fsnet_jax.weights convert --arch= --from= --out=.

Exit codes: 0, 2 for what the user must change, said in one sentence, and 75
after Ctrl-C or SIGTERM.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from common_lib import interrupts
from common_lib.errors import UserError

_USER_ERROR = 2
_MAX_WIDTH = 8


class _Parser(argparse.ArgumentParser):
  def error(self, message: str):
    raise UserError(f'{message}; see --help')


def _parser() -> argparse.ArgumentParser:
  # JAX is slow to load: not for --help.
  from fsnet_jax.weights.inputs import INPUTS
  from fsnet_jax.weights.names import ARCHITECTURES

  parser = _Parser(prog='python -m fsnet_jax.weights', allow_abbrev=False)
  commands = parser.add_subparsers(dest='command', required=True)
  convert = commands.add_parser(
    'convert',
    allow_abbrev=False,
    help='turn a checkpoint of PyTorch, safetensors or NumPy into a folder '
    'that config.init takes',
  )
  add = convert.add_argument
  add('--arch', required=True, choices=list(ARCHITECTURES))
  add(
    '--from',
    dest='source',
    type=Path,
    required=True,
    metavar='FILE',
    help='.pth, .pt, .bin, .ckpt, .tar, .safetensors or .npz',
  )
  add('--out', type=Path, required=True, metavar='DIR', help='a new folder')
  add(
    '--width',
    type=float,
    default=1.0,
    help="multiplier of the network's channels; 1 is the published network",
  )
  add(
    '--input',
    choices=list(INPUTS),
    help="how the file's network takes images; the default is what its "
    'naming suggests, and is printed',
  )
  add(
    '--strict',
    action='store_true',
    help='refuse a file that lacks a head or has arrays that nothing needs',
  )
  return parser


def _convert(arguments: argparse.Namespace) -> None:
  from fsnet_jax.weights import convert, folders, readers

  if not 0 < arguments.width <= _MAX_WIDTH:
    raise UserError(
      f'--width is {arguments.width}: it must be above 0 and at most '
      f'{_MAX_WIDTH}.'
    )
  folders.check_new(arguments.out)
  arrays = readers.read_tensors(arguments.source)
  options = convert.Options(
    arguments.arch, arguments.width, arguments.strict, arguments.input
  )
  tree, report = convert.convert(arrays, options, str(arguments.source))
  description = {
    'arch': options.arch,
    'width': options.width,
    'source': arguments.source.name,
    'sha256': folders.sha256(arguments.source),
    'report': dataclasses.asdict(report),
  }
  with interrupts.Section('while writing'):
    folders.write(arguments.out, tree, description)
  print(_table(report))
  print(f'{arguments.out} holds {options.arch} at width {options.width:g}.')


def _table(report) -> str:
  """What was used, missing and left over, as text."""
  from fsnet_jax.weights.convert import COUNTER

  rows = [('file', 'here', 'shape')]
  rows += [(name, path, str(shape)) for path, name, shape in report.used]
  widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
  lines = [f'{a:{widths[0]}}  {b:{widths[1]}}  {c}' for a, b, c in rows]
  lines.append('')
  lines.append(f'naming: {report.naming}; images: {report.input}')
  left = [n for n in report.left_over if not n.endswith(COUNTER)]
  counters = len(report.left_over) - len(left)
  if counters:
    left.append(f'{counters} times {COUNTER}')
  lines.append(f'used {len(report.used)}')
  lines.append(f'missing {len(report.missing)}: {_listed(report.missing)}')
  lines.append(f'left over {len(report.left_over)}: {_listed(left)}')
  return '\n'.join(lines + report.notes)


def _listed(names: list[str]) -> str:
  return ', '.join(names) or 'none'


def main(argv: list[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: what follows the program's name; None for the process's own.

  Returns:
    The exit code.
  """
  try:
    _convert(_parser().parse_args(argv))
  except UserError as error:
    print(f'error: {error}', file=sys.stderr, flush=True)
    return _USER_ERROR
  except BrokenPipeError:
    # The table was cut by `| head`; the folder is written.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0


if __name__ == '__main__':
  interrupts.watch()
  sys.exit(main())
