"""How wide this machine's vector registers are."""

import functools
import pathlib


@functools.cache
def lanes() -> int:
  """How many float32 numbers the processor adds at once: 16, or 8.

  By Linux's list of its features; 8 where there is none.
  """
  try:
    features = pathlib.Path('/proc/cpuinfo').read_text(encoding='ascii')
  except (OSError, UnicodeDecodeError):
    return 8
  return 16 if ' avx512f ' in features else 8
