"""What a training step costs besides its time: memory, and compiling.

Each number is of a process of its own, so that none holds what another one
left, and nothing is compiled that was compiled before.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks.subjects import contest, steppers

# The first step makes what all later ones use.
_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Memory:
  """Of a contender's process, in GiB resident; None where nothing tells.

  Attributes:
    contender: its name, and where its programs come from.
    imports: once its framework is imported, before anything is made.
    ready: at most until it can take steps: networks made, programs compiled.
    steps: at most while it takes steps.
    arguments: of the compiled program, by the compiler's account.
    work: intermediate results of it.
  """

  contender: str
  imports: float | None
  ready: float | None
  steps: float | None
  arguments: float | None = None
  work: float | None = None

  @property
  def peak(self) -> float | None:
    """At most in its life."""
    if self.ready is None or self.steps is None:
      return None
    return max(self.ready, self.steps)


@dataclasses.dataclass(frozen=True)
class Compiling:
  """Seconds until a contender's program can run.

  Attributes:
    contender: its name.
    tracing: Python's part, from the networks to the program that is compiled.
    compiling: the compiler's part.
  """

  contender: str
  tracing: float
  compiling: float


def memory(
  settings: dict[str, Any], phase: int, contenders: Sequence[str]
) -> list[Memory]:
  """Memory of each contender's process.

  Args:
    settings: see `steppers`.
    phase: 1 or 2.
    contenders: names that `steppers` knows. Ours have two rows: of a process
      that compiles and fills the cache of compiled programs, as the first run
      of a config does, and of one that finds its programs there.
  """
  found = []
  for name in contenders:
    if not name.startswith('jax'):
      found.append(_in_a_process(_memory, name, settings, phase, '', name))
      continue
    with tempfile.TemporaryDirectory() as cache:
      for title in (f'{name}, compiled', f'{name}, from the cache'):
        row = _in_a_process(_memory, name, settings, phase, cache, title)
        found.append(row)
  return found


def compiling(
  settings: dict[str, Any], phase: int, contenders: Sequence[str], repeats: int
) -> list[Compiling]:
  """The fastest of several compilations of each contender, in turns.

  Args:
    settings: see `steppers`; `clock` as in `contest`.
    phase: 1 or 2.
    contenders: names of ours.
    repeats: processes of each.
  """
  fastest: dict[str, Compiling] = {}
  for _ in range(repeats):
    for name in contenders:
      one = _in_a_process(_compiling, name, settings, phase)
      best = fastest.get(name, one)
      fastest[name] = Compiling(
        name,
        min(best.tracing, one.tracing),
        min(best.compiling, one.compiling),
      )
  return list(fastest.values())


def _in_a_process(function: Any, *arguments: Any) -> Any:
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
    return pool.submit(function, *arguments).result()


def _memory(
  name: str, settings: dict[str, Any], phase: int, cache: str, title: str
) -> Memory:
  """A contender in this process."""
  if name.startswith('jax'):
    import jax

    from fsnet_jax.runtime.machine import memory as memory_lib

    # As a run has it.
    jax.config.update('jax_compilation_cache_dir', cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    memory_lib.return_what_compiling_leaves()
    build = steppers.jax_stepper
  else:
    import torch  # noqa: F401

    build = steppers.torch_stepper
  imports = steppers.resident('VmRSS')
  stepper = build(name, settings, phase)
  ready = steppers.resident('VmHWM')
  reset = _reset_peak()
  for _ in range(_STEPS):
    stepper.run()
  steps = steppers.resident('VmHWM') if reset else None
  return Memory(title, imports, ready, steps, *_program(stepper.compiled))


def _program(compiled: Any) -> tuple[float | None, float | None]:
  """Arguments and work of a compiled program, in GiB."""
  analysis = None if compiled is None else compiled.memory_analysis()
  if analysis is None:
    return None, None
  arguments, work = (
    analysis.argument_size_in_bytes,
    analysis.temp_size_in_bytes,
  )
  return arguments / 2**30, work / 2**30


def _compiling(name: str, settings: dict[str, Any], phase: int) -> Compiling:
  now = contest.CLOCKS[settings.get('clock', 'wall')]
  started = now()
  lowered, _, _ = steppers.lower(name, settings, phase)
  traced = now()
  lowered.compile()
  return Compiling(name, traced - started, now() - traced)


def _reset_peak() -> bool:
  """Lets the peak begin anew; False where the system does not."""
  try:
    with open('/proc/self/clear_refs', 'w') as file:
      file.write('5')
  except OSError:
    return False
  return True
