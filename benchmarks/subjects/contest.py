"""Training steps against each other: a process each, in interleaved rounds.

What fails, ends or does not answer in time drops out with a sentence, and the
others go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from benchmarks.subjects import steppers

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
# These compile for a minute and hardly touch the device meanwhile.
_SLOW = ('jax', 'jax-plain', 'jax-devices', 'torch-compile')


@dataclasses.dataclass
class Result:
  """What a contender did.

  Attributes:
    milliseconds: of every step.
    compile_seconds: before the first step or, of torch.compile, in it; 0 for
      what does not compile.
    gib: see `steppers.gib`.
    operations: floating-point operations of a step, if it knows.
    failed: why it dropped out; empty if it did not.
  """

  milliseconds: list[float] = dataclasses.field(default_factory=list)
  compile_seconds: float = 0.0
  gib: float = 0.0
  operations: float | None = None
  failed: str = ''


@dataclasses.dataclass
class _Worker:
  process: SpawnProcess
  connection: Connection
  result: Result

  def get_ready(self, deadline: float | None, limit: float | None) -> None:
    """Waits until it can take steps.

    Args:
      deadline: of `time.monotonic`; None: any.
      limit: seconds from the start of all to that, to be named.
    """
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    ready = self._answer(left, limit)
    if ready is not None:
      self.result.compile_seconds, self.result.operations = ready

  def take_steps(self, count: int, limit: float | None) -> None:
    """Takes some and notes how long each took."""
    times = self._ask(count, limit)
    if times is not None:
      self.result.milliseconds += [1e3 * seconds for seconds in times]

  def finish(self, limit: float | None) -> None:
    """Notes its memory, and ends it."""
    memory = self._ask(0, limit)
    if memory is not None:
      self.result.gib = memory
      # A while: what it started itself may keep it.
      self.process.join(10)

  def _ask(self, count: int, limit: float | None) -> Any:
    if self.result.failed:
      return None
    # If it has ended, its answer tells.
    with contextlib.suppress(BrokenPipeError):
      self.connection.send(count)
    return self._answer(limit, limit)

  def _answer(self, left: float | None, limit: float | None) -> Any:
    """The next message; None, and the end of it, if none comes in time."""
    try:
      if not self.connection.poll(left):
        return self._drop(f'no answer within {limit:.0f} s')
      message = self.connection.recv()
    except (EOFError, ConnectionResetError):
      self.process.join()
      return self._drop(f'its process ended with {self.process.exitcode}')
    if isinstance(message, str):
      return self._drop(message)
    return message

  def _drop(self, why: str) -> None:
    self.result.failed = why
    self.process.kill()
    self.process.join()


def compete(
  settings: dict[str, Any],
  phase: int,
  contenders: Sequence[str],
  rounds: int,
  steps: int,
  limit: float | None = None,
  together: bool = False,
) -> dict[str, Result]:
  """Times the contenders.

  Args:
    settings: see `steppers`; `clock` of them, if there is one, is 'wall' or
      'cpu', which counts the processor time of all threads of a process.
    phase: 1 or 2.
    contenders: names that `steppers` knows.
    rounds: in each of them every contender takes its steps, one at a time.
    steps: of a contender in a round.
    limit: seconds until all must be ready, and that the steps of a round may
      take; None: any.
    together: whether those that compile for long do so at once. What they
      say of their compiling then counts the others', too.

  Returns:
    What each did, by name.
  """
  workers: dict[str, _Worker] = {}
  try:
    deadline = None if limit is None else time.monotonic() + limit
    for group in _groups(contenders, together):
      for name in group:
        workers[name] = _start(name, settings, phase)
      for name in group:
        workers[name].get_ready(deadline, limit)
    for index in range(rounds):
      # Every round begins with another contender.
      turn = index % len(contenders)
      for name in (*contenders[turn:], *contenders[:turn]):
        workers[name].take_steps(steps, limit)
    for worker in workers.values():
      worker.finish(limit)
  finally:
    # Not daemons, which may have no processes of their own; so none outlives
    # an error here, or this process would wait for it.
    for worker in workers.values():
      worker.process.kill()
  return {name: workers[name].result for name in contenders}


def _start(name: str, settings: dict[str, Any], phase: int) -> _Worker:
  context = multiprocessing.get_context('spawn')
  ours, theirs = context.Pipe()
  process = context.Process(target=_work, args=(theirs, name, settings, phase))
  process.start()
  theirs.close()
  return _Worker(process, ours, Result())


def _groups(contenders: Sequence[str], together: bool) -> list[list[str]]:
  """Who gets ready at the same time, in order.

  Otherwise one at a time: compiling beside another's compiling says nothing.
  """
  if not together:
    return [[name] for name in contenders]
  quick = [[name] for name in contenders if name not in _SLOW]
  return [*quick, [name for name in contenders if name in _SLOW]]


def _work(
  connection: Connection, name: str, settings: dict[str, Any], phase: int
) -> None:
  """A contender's process: steps when told to, then says what it took."""
  now = CLOCKS[settings.get('clock', 'wall')]
  # Whatever goes wrong in a contender is a row of the table.
  try:
    own = name.startswith('jax')
    build = steppers.jax_stepper if own else steppers.torch_stepper
    stepper = build(name, settings, phase)
    started = time.perf_counter()
    stepper.run()
    first = time.perf_counter() - started
    stepper.run()
    seconds = first if name == 'torch-compile' else stepper.compile_seconds
    connection.send((seconds, stepper.operations))
    while (count := connection.recv()) > 0:
      times = []
      for _ in range(count):
        started = now()
        stepper.run()
        times.append(now() - started)
      connection.send(times)
    connection.send(steppers.gib(name))
  except Exception as error:
    said = str(error).strip().splitlines() or ['']
    connection.send(f'{type(error).__name__}: {said[0]}'[:200])


def rows(
  results: dict[str, Result], images: int, operations: float | None, peak: float
) -> list[dict[str, Any]]:
  """A table's rows: numbers by column, or `failed`.

  Args:
    results: of `compete`.
    images: in a step.
    operations: floating-point operations of a step, if known.
    peak: operations a second that the device reaches in matrix products.
  """
  times = {
    name: (statistics.median(result.milliseconds), min(result.milliseconds))
    for name, result in results.items()
    if not result.failed
  }
  peers = [both for name, both in times.items() if name.startswith('torch')]
  # The best of them by medians, and by fastest steps.
  best = [min(each) for each in zip(*peers)]
  found: list[dict[str, Any]] = []
  for name, result in results.items():
    if result.failed:
      found.append({'contender': name, 'failed': result.failed})
      continue
    median, fastest = times[name]
    found.append(
      {
        'contender': name,
        'median_ms': median,
        'fastest_ms': fastest,
        'ratio': median / best[0] if best else None,
        'fastest_ratio': fastest / best[1] if best else None,
        'images_per_s': 1e3 * images / median,
        'peak_share': (
          1e3 * operations / median / peak if operations else None
        ),
        'gib': result.gib,
        'compile_s': result.compile_seconds,
      }
    )
  return found
