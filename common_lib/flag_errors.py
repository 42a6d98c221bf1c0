"""What a mistaken flag is told: one sentence, with the near miss.

Imports nothing heavy, so that the answer does not wait for jax.
"""

import difflib
from collections.abc import Sequence

from absl import flags

from common_lib.foreign import quoted


def flag_problem(
  error: Exception, names: Sequence[str], fields: Sequence[str]
) -> str:
  """One sentence for whatever parsing the flags raised.

  Args:
    error: what absl raised, or reading a --flagfile.
    names: of all flags.
    fields: of the config, dotted.
  """
  if isinstance(error, flags.UnrecognizedFlagError):
    flag = error.flagname
    near = _nearest(flag, names, fields)
    hint = f' Did you mean --{near}?' if near else ' --help lists all.'
    return f'there is no flag --{quoted(flag, 80)}.{hint}'
  message = quoted(error).strip().removeprefix('ERROR:: ')
  if 'invalid literal for int()' in message:
    message = f'{message.partition(": ")[0]}: give a whole number'
  return message or type(error).__name__


def _nearest(flag: str, names: Sequence[str], fields: Sequence[str]) -> str:
  """A flag with nearly that name, or a field that lacks its 'config.'."""
  if flag in fields:
    return f'config.{flag}'
  close = difflib.get_close_matches(flag, names, n=1)
  if close:
    return close[0]
  full = [f'config.{field}' for field in fields]
  close = difflib.get_close_matches(flag, full, n=1, cutoff=0.8)
  return close[0] if close else ''
