"""What a mistake on the command line is told: one sentence, at once.

Imports nothing heavy, so that the answer does not wait for jax.
"""

import re
from collections.abc import Sequence

_NEAR_MISS = re.compile(r'Did you mean "([^"]+)"')
_OVERRIDE = re.compile(r'--?(?:no)?config\.([^=]+)')


def flag_problem(error: Exception, argv: Sequence[str]) -> str:
  """One sentence for whatever parsing the flags raised.

  Args:
    error: what absl or ml_collections raised.
    argv: the command line.
  """
  message = str(error).strip()
  last = (message.splitlines() or [type(error).__name__])[-1].strip()
  if isinstance(error, (KeyError, AttributeError)):
    for field in map(_OVERRIDE.match, argv[1:]):
      leaf = field and field.group(1).split('.')[-1]
      if leaf and leaf in message:
        near = _NEAR_MISS.search(message)
        hint = f' Did you mean {near.group(1)}?' if near else ''
        return f'config has no field {field.group(1)!r}.{hint}'
  if 'config file' in message:
    files = [word for word in argv[1:] if word.startswith('--config=')]
    return f'{" ".join(files)} cannot be loaded: {last}'
  return last.removeprefix('FATAL Flags parsing error:').strip()
