"""A command that ends with its first image, and what its time went to.

    python -m benchmarks.subjects.first_image STEP|BATCH|ENTRY main.py [flags]

Runs the program as a user does, but ends the process once it has taken its
first training step, evaluated its first batch or written its first entry, and
prints one line of JSON. Beside it a thread notes the processor time a hundred
times a second; what each hundredth went to is the innermost of the spans that
were under way: imports, a checkpoint being read, data being opened or read,
tracing, lowering, and compiling or loading a compiled program. The rest is the
interpreter itself, checks, and the first step.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import json
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# From the outermost to the innermost.
KINDS = ('rest', 'data', 'checkpoint', 'trace', 'lower', 'compile', 'import')
_TICK_SECS = 0.01
# When the process was started, of `time.time`, by who started it.
STARTED = 'BENCHMARK_STARTED'
_JAX = {
  '/jax/core/compile/jaxpr_trace_duration': 'trace',
  '/jax/core/compile/jaxpr_to_mlir_module_duration': 'lower',
  '/jax/core/compile/backend_compile_duration': 'compile',
}
# What ends each command, by the name of what its first image is.
_ENDS = {
  'STEP': ('fsnet_jax.training.trainer', 'Trainer.stepped'),
  'BATCH': ('fsnet_jax.evaluation.dataset_sums', 'DatasetSums.add'),
  'ENTRY': ('fsnet_jax.monitor.predict.journal', 'Journal.append'),
}
# Once they are imported.
_SPANS = {
  ('fsnet_jax.builders.data_sources', 'open_all'): 'data',
  ('fsnet_jax.builders.data_sources', 'source'): 'data',
  ('fsnet_jax.builders.data_sources', 'training_batches'): 'data',
  ('input_pipeline.loader', 'BatchIterator.__next__'): 'data',
  ('fsnet_jax.runtime.storage.reading', 'read_checkpoint'): 'checkpoint',
  ('fsnet_jax.runtime.storage.reading', 'read_arrays'): 'checkpoint',
}


class _Watch:
  """What the program is doing."""

  def __init__(self) -> None:
    self._samples: list[tuple[float, float]] = []
    self._spans: list[tuple[float, float, int]] = []
    self._importing = False

  def start(self) -> None:
    """Notes the processor time from now on."""
    self._sample()
    threading.Thread(target=self._run, daemon=True).start()
    load = builtins.__import__

    def timed(name: str, *args: Any, **kwargs: Any) -> Any:
      if self._importing:  # The outermost alone.
        return load(name, *args, **kwargs)
      self._importing = True
      begun = time.perf_counter()
      try:
        return load(name, *args, **kwargs)
      finally:
        self._importing = False
        self.note('import', begun)

    builtins.__import__ = timed
    importlib.import_module = self.wrapped('import', importlib.import_module)

  def note(self, kind: str, begun: float) -> None:
    """A span that ends now, unless it is too short to be seen."""
    ended = time.perf_counter()
    if ended - begun > _TICK_SECS / 10:
      self._spans.append((begun, ended, KINDS.index(kind)))

  def wrapped(self, kind: str, function: Callable[..., Any]) -> Any:
    """A function whose calls are spans."""

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
      begun = time.perf_counter()
      try:
        return function(*args, **kwargs)
      finally:
        self.note(kind, begun)

    return timed

  def seconds(self) -> dict[str, float]:
    """Processor time by kind, from the start of the process."""
    self._sample()
    found = dict.fromkeys(KINDS, 0.0)
    # Before the first sample: the interpreter, and its restart.
    found['rest'] = self._samples[0][1]
    for (begun, before), (ended, after) in zip(
      self._samples, self._samples[1:], strict=False
    ):
      middle = (begun + ended) / 2
      under = [k for first, last, k in self._spans if first <= middle <= last]
      found[KINDS[max(under, default=0)]] += after - before
    return found

  def _sample(self) -> None:
    self._samples.append((time.perf_counter(), time.process_time()))

  def _run(self) -> None:
    while True:
      time.sleep(_TICK_SECS)
      self._sample()


def _replace(module: str, name: str, change: Callable[[Any], Any]) -> None:
  """Puts something in the place of a function or method of a module."""
  owner: Any = importlib.import_module(module)
  *parents, last = name.split('.')
  for parent in parents:
    owner = getattr(owner, parent)
  setattr(owner, last, change(getattr(owner, last)))


def _hook(watch: _Watch, what: str) -> None:
  """Watches the program, whose modules are imported for it."""
  import jax

  def listen(event: str, duration_secs: float, **_: Any) -> None:
    if event in _JAX:
      watch.note(_JAX[event], time.perf_counter() - duration_secs)

  jax.monitoring.register_event_duration_secs_listener(listen)

  def ending(function: Callable[..., Any]) -> Callable[..., Any]:
    def last(*args: Any, **kwargs: Any) -> None:
      jax.block_until_ready(args[1:])
      function(*args, **kwargs)
      wall = time.time() - float(os.environ[STARTED])
      said = {'wall': wall, 'cpu': time.process_time(), **watch.seconds()}
      print(json.dumps(said), flush=True)
      os._exit(0)

    return last

  for (module, name), kind in _SPANS.items():
    _replace(module, name, functools.partial(watch.wrapped, kind))
  _replace(*_ENDS[what], ending)


def _watch(what: str) -> None:
  """Watches all that the program does from now on."""
  watch = _Watch()
  watch.start()
  from fsnet_jax.runtime import distributed

  run = distributed.exit_code

  def hooked(*args: Any, **kwargs: Any) -> int:
    _hook(watch, what)
    return run(*args, **kwargs)

  distributed.exit_code = hooked


def main() -> None:
  what, *sys.argv = sys.argv[1:]
  # The program replaces this process once (`huge_pages`) before it imports
  # anything slow; the processor time of both is that of the process.
  if 'GLIBC_TUNABLES' in os.environ:
    _watch(what)
  runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
  main()
