"""What a comparison compares: its methods, read once from the config.

`config.compare.arms` holds them as text, 'Title field=value field=value', for
the command line. Everything below takes a `Method`.
"""

import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.config import fields as rows
from fsnet_jax.config import resolution
from segxal_jax import acquisition
from segxal_jax.config.fields import FIELDS

# Methods differ in what comes after the first training, and in that alone.
_SHARED = ~rows.CYCLES
_STRATEGY = 'acquisition.strategy'


@dataclasses.dataclass(frozen=True)
class Method:
  """One method of the comparison.

  Attributes:
    title: how tables call it.
    strategy: that chooses its images: a key of `acquisition`.
    changes: config field, with dots, to value; the strategy's too.
  """

  title: str
  strategy: str
  changes: Mapping[str, Any]

  @property
  def file_name(self) -> str:
    """The title as part of a file name."""
    return re.sub(r'[^a-z0-9]+', '_', self.title.lower()).strip('_')

  @property
  def learner(self) -> str:
    """How it trains S: a key of `learners`."""
    return acquisition.create(self.strategy).requirements.learner


def methods_of(config: ConfigDict) -> tuple[Method, ...]:
  """The methods that a config names.

  Raises:
    UserError: one of them cannot be read, or changes what all methods share;
      or two have one name.
  """
  found = tuple(_parse(text, config) for text in config.compare.arms)
  names = [method.file_name for method in found]
  if len(set(names)) < len(names) or 'shared' in names:
    raise UserError(
      'config.compare.arms has two methods of one name, or one called shared.'
    )
  return found


def _parse(text: str, config: ConfigDict) -> Method:
  """Reads 'Title field=value field=value'.

  Fields without a dot are of `config.acquisition`.
  """
  title, *assignments = text.split()
  changes = {}
  for assignment in assignments:
    field, equals, value = assignment.partition('=')
    if not equals:
      raise UserError(
        f'config.compare.arms has {text!r}: write "Title field=value ...".'
      )
    field = field if '.' in field else f'acquisition.{field}'
    row = rows.find(field, FIELDS)
    if row is None:
      raise UserError(
        f'config.compare.arms: {title} cannot be set: '
        f'{resolution.no_field(field, FIELDS)}'
      )
    if row.decides & _SHARED:
      raise UserError(
        f'config.compare.arms has {text!r}: {field} must be the same in all '
        'methods; set it for all of them.'
      )
    changes[field] = resolution.in_a_sentence(field, value, row.kind.parse)
  strategy = changes.get(_STRATEGY, config.acquisition.strategy)
  return Method(title, strategy, types.MappingProxyType(changes))
