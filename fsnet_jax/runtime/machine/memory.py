"""How much device memory a compiled program takes, and what to do about it."""

import contextlib
import ctypes
import functools
from collections.abc import Generator
from typing import Any

import jax

from common_lib.errors import UserError

_UNITS = ((1 << 30, 'GiB'), (1 << 20, 'MiB'), (1 << 10, 'KiB'))
_SIGNS = ('RESOURCE_EXHAUSTED', 'Out of memory', 'out of memory')

_ADVICE = (
  'lower config.batch_size, or keep it and raise config.accumulate_steps; '
  "config.remat=True and config.compute_dtype='bfloat16' also need less, "
  'and so does a smaller config.image_size.'
)

# What shorter compilations leave is not worth a look at all that is free.
_LONG_SECS = 0.1
_COMPILED = '/jax/core/compile/backend_compile_duration'


def format_bytes(count: int) -> str:
  """A number of bytes in a unit that a person reads, such as `1.5 GiB`."""
  for size, unit in _UNITS:
    if count >= size:
      return f'{count / size:.1f} {unit}'
  return f'{count:.0f} bytes'


def describe(compiled: Any) -> str:
  """Memory of a compiled program on each device, in words.

  Args:
    compiled: `jax.jit(f).lower(...).compile()`.

  Returns:
    `peak memory 1.2 GiB per device (arguments 0.4 GiB, work 0.8 GiB)`, by
    the compiler's own account; '' where the back end gives none. Results
    that take the place of arguments are counted once.
  """
  analysis = compiled.memory_analysis()
  if isinstance(analysis, (list, tuple)):
    analysis = analysis[0] if analysis else None
  if analysis is None:
    return ''
  arguments = analysis.argument_size_in_bytes
  results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
  work = analysis.temp_size_in_bytes + max(results, 0)
  return (
    f'peak memory {format_bytes(arguments + work)} per device '
    f'(arguments {format_bytes(arguments)}, work {format_bytes(work)})'
  )


def options_of_steps(network: Any) -> dict[str, bool]:
  """Of XLA, to compile a training step in little memory, for `jax.jit`.

  On a CPU, XLA's newer way to write fused operations keeps seven tenths of a
  gigabyte for the demo's joint step until all of it is compiled. With the older
  way FCN8's step is as fast; that of EfficientNet, whose depthwise convolutions
  are fused sums, takes a sixth longer.

  Args:
    network: S, which says which it is by `compiles_frugally`.
  """
  frugal = getattr(network, 'compiles_frugally', False)
  if not frugal or jax.default_backend() != 'cpu':
    return {}
  return {'xla_cpu_use_fusion_emitters': False}


@functools.cache
def return_what_compiling_leaves() -> None:
  """From now on, what a compilation has freed goes back to the system.

  XLA takes a gigabyte in small blocks to compile a training step, or a quarter
  of one to read it from the compilation cache, and frees them. glibc keeps
  them, and cannot use them for the large blocks that the program then runs in.
  Nothing happens with C libraries that know no `malloc_trim`.
  """
  trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
  if trim is None:
    return

  def compiled(event: str, duration_secs: float, **_: Any) -> None:
    if event == _COMPILED and duration_secs >= _LONG_SECS:
      trim(0)

  jax.monitoring.register_event_duration_secs_listener(compiled)


def is_out_of_memory(error: BaseException) -> bool:
  """True if a device, or the host in its place, had no memory left."""
  if isinstance(error, MemoryError):
    return True
  return any(sign in str(error) for sign in _SIGNS)


@contextlib.contextmanager
def explained(what: str) -> Generator[None]:
  """Turns an out-of-memory inside into one sentence with the mend.

  Args:
    what: what was going on, for example `training step 12`.

  Raises:
    UserError: in place of any error that means so.
  """
  try:
    yield
  except (MemoryError, RuntimeError) as error:
    if not is_out_of_memory(error):
      raise
    raise UserError(
      f'The device ran out of memory in {what}: {_ADVICE} The last '
      'checkpoint is untouched.'
    ) from error
