"""Detectors that a user names as `module:Class`."""

import importlib

from common_lib.errors import UserError
from fsnet_jax.detectors.base import FailureDetector

_FIELD = 'config.eval.detectors'
_FLAGS = ('uses_failure_network', 'uses_dropout_samples', 'uses_temperature')


def load(entry: str) -> FailureDetector:
  """Imports a detector and checks that it is one.

  Args:
    entry: `module:Class`; the module is one that Python finds, the class takes
      no arguments.

  Raises:
    UserError: it cannot be imported or made, or something of that protocol is
      missing.
  """
  module, _, name = entry.partition(':')
  try:
    detector = getattr(importlib.import_module(module), name)()
  except Exception as error:  # Whatever the user's file raises.
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    raise UserError(
      f'{_FIELD} names {entry!r}, which cannot be loaded ({reason}): give '
      'module:Class of a file beside main.py or in a folder of PYTHONPATH.'
    ) from error
  for field in ('name', 'title'):
    value = getattr(detector, field, None)
    _check(entry, field, isinstance(value, str) and value, value, 'some text')
  for field in _FLAGS:
    value = getattr(detector, field, None)
    _check(entry, field, isinstance(value, bool), value, 'True or False')
  for field in ('score', 'probability'):
    value = getattr(detector, field, None)
    _check(entry, field, callable(value), value, 'a method')
  return detector


def _check(
  entry: str, field: str, fine: object, value: object, needed: str
) -> None:
  if not fine:
    raise UserError(
      f'{_FIELD} names {entry!r}, whose {field} is {value!r}: give it {needed} '
      '(docs/guide/detectors.md).'
    )
