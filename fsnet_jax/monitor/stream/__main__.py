"""Watches a camera, a video or a bag: `python -m fsnet_jax.monitor.stream`.

    python -m fsnet_jax.monitor.stream --monitor=monitor.onnx --input=0 \
        --output=watched/
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
from collections.abc import Sequence

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.monitor.monitor import Monitor
from fsnet_jax.monitor.stream import bags, frames, run
from fsnet_jax.monitor.stream.latest import LatestFrames
from fsnet_jax.monitor.stream.watch import Options, StreamMonitor

_BAG = 'bag'


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit code.

  Args:
    arguments: of the command line; None for the process's own.
  """
  flags = _parser().parse_args(arguments)
  try:
    _run(flags)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr, flush=True)
    return 2
  except KeyboardInterrupt:
    print('stopped by Ctrl-C; what is logged stays', file=sys.stderr)
    return 75
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='python -m fsnet_jax.monitor.stream',
    description='Watches a stream with an exported monitor or a run.',
  )
  parser.add_argument(
    '--monitor', required=True, help='file or folder of a run'
  )
  parser.add_argument(
    '--input', required=True, help='camera number, address, video or BAG:/topic'
  )
  parser.add_argument('--output', required=True, help='folder of the log')
  parser.add_argument(
    '--realtime',
    action='store_true',
    help='play a recording at its own pace and drop what comes too fast',
  )
  parser.add_argument('--queue', type=int, default=1, help='frames that wait')
  parser.add_argument('--risk-on', type=float, default=Options.risk_on)
  parser.add_argument('--risk-off', type=float, default=Options.risk_off)
  parser.add_argument('--frames', type=int, default=Options.frames)
  return parser


def _run(flags: argparse.Namespace) -> None:
  try:
    options = Options(flags.risk_on, flags.risk_off, flags.frames)
    queue = LatestFrames(flags.queue)
  except ValueError as error:
    raise UserError(f'{error}: correct the flag.') from None
  output = expanded(flags.output)
  bag = bags.parts(flags.input)
  is_file = bag is not None or pathlib.Path(flags.input).is_file()
  source = bags.read(*bag) if bag else frames.of_opencv(flags.input)
  if is_file and flags.realtime:
    source = run.paced(source)
  watched = StreamMonitor(Monitor.load(flags.monitor), options)
  if not watched.tests_shift:
    say('note: the monitor is not calibrated, so that shifts are not noticed')
  with contextlib.ExitStack() as stack:
    sinks = []
    if bag is not None:
      output.mkdir(parents=True, exist_ok=True)
      sinks.append(stack.enter_context(bags.Writer(output / _BAG)))
    live = flags.realtime or not is_file
    done = run.run(
      source, watched, output, queue=queue if live else None, sinks=sinks
    )
  say(
    f'{done.frames} frames, {done.dropped} dropped, latency '
    f'{done.latency_ms_p50:.0f} ms (95 %: {done.latency_ms_p95:.0f} ms); alarm '
    f'by risk in {done.risk_alarm_frames} frames, by shift '
    f'{"from " + done.shift_alarm if done.shift_alarm else "none"}: {output}'
  )


if __name__ == '__main__':
  sys.exit(main())
