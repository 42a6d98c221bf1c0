"""A fleet's images: `python -m fsnet_jax.monitor.fleet`.

    python -m fsnet_jax.monitor.fleet --monitor=monitor.onnx \
        --input='frames/**.jpg' --output=looked_at/

Flags that are not known here are Beam's own (--runner=FlinkRunner, ...).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from common_lib.console import say
from common_lib.errors import UserError

_MAGIC = re.compile(r'[*?[{]')
_NEEDED = ('apache_beam', 'onnxruntime', 'pyarrow', 'scipy', 'cv2', 'PIL')


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit code.

  Args:
    arguments: of the command line; None for the process's own.
  """
  flags, of_beam = _parser().parse_known_args(arguments)
  try:
    _check_packages()
    _check_flags(flags)
    from fsnet_jax.monitor.fleet import pipeline

    base = _MAGIC.split(flags.input)[0].rpartition('/')[0]
    options = pipeline.Options(
      monitor=flags.monitor,
      pattern=flags.input,
      base=base,
      output=flags.output.rstrip('/'),
      worst=flags.worst,
      batch_size=flags.batch_size,
      segment_share=flags.segment_share,
    )
    counted = pipeline.run(options, of_beam)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr, flush=True)
    return 2
  say(
    f'looked at {counted.images} images; {counted.problems} could not be read '
    f'(problems-*.jsonl): {flags.output}'
  )
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m fsnet_jax.monitor.fleet',
    description='An exported monitor over images, as an Apache Beam pipeline.',
  )
  parser.add_argument('--monitor', required=True, help='exported .onnx file')
  parser.add_argument('--input', required=True, help='glob, ** for any folder')
  parser.add_argument('--output', required=True, help='folder of the results')
  parser.add_argument('--worst', type=int, default=100, help='images listed')
  parser.add_argument('--batch-size', type=int, default=8)
  parser.add_argument('--segment-share', type=float, default=0.0005)
  return parser


def _check_packages() -> None:
  import importlib.util

  for name in _NEEDED:
    if importlib.util.find_spec(name) is None:
      raise UserError(
        f'The package {name} is missing: pip install -r requirements-fleet.txt '
        'in an environment of its own.'
      )


def _check_flags(flags: argparse.Namespace) -> None:
  if not flags.monitor.endswith('.onnx'):
    raise UserError(
      f'--monitor={flags.monitor} is no .onnx file: write one with '
      '--mode=export.'
    )
  for name in ('worst', 'batch_size'):
    if getattr(flags, name) < 1:
      raise UserError(
        f'--{name.replace("_", "-")}={getattr(flags, name)} must be at least 1.'
      )
  if not 0 <= flags.segment_share <= 1:
    raise UserError(
      f'--segment-share={flags.segment_share} must be between 0 and 1.'
    )


if __name__ == '__main__':
  sys.exit(main())
