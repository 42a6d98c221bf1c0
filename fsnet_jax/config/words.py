"""Kinds of fields that take a word: of a few, or of a table of the package."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from fsnet_jax.config.kinds import Kind, Text, Unfit, check_text, suggestion


@dataclasses.dataclass(frozen=True)
class Word(Kind):
  """One of a few words.

  Attributes:
    choices: all of them.
    offered_by: what offers just these, for the message; '' for the field.
  """

  choices: tuple[str, ...]
  offered_by: str = ''

  @property
  def needed(self) -> str:
    """See `Kind`."""
    return f'one of {", ".join(self.choices)}'

  def read(self, value: Any) -> str:
    """See `Kind`."""
    if isinstance(value, str) and value in self.choices:
      # Of a subclass, such as NumPy's, it makes a plain one.
      # pyrefly: ignore[unnecessary-type-conversion]
      return str(value)
    near = suggestion(value, self.choices) if isinstance(value, str) else ''
    if self.offered_by:
      raise Unfit(f'{self.offered_by} offers {", ".join(self.choices)}')
    raise Unfit(f'choose {self.needed}.{near}'.removesuffix('.'))

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)


@dataclasses.dataclass(frozen=True)
class Name(Kind):
  """A key of a table of the package.

  Attributes:
    what: it names, for messages.
    module: that holds the table.
    table: its name there.
    names: the keys of the table as it is shipped.
    own: whether `module:Class` names one of a user's own instead.
  """

  what: str
  module: str
  table: str
  names: tuple[str, ...]
  own: bool = False

  @property
  def needed(self) -> str:
    """See `Kind`."""
    article = 'an' if self.what[0] in 'aeo' else 'a'
    return f'the name of {article} {self.what}'

  def read(self, value: Any) -> str:
    """See `Kind`; loads the table for a name that is not known."""
    if not check_text(value, self.needed):
      raise Unfit(f'give {self.needed}')
    if not (value in self.names or (self.own and ':' in value)):
      names = self.registered()
      if value not in names:
        near = suggestion(value, names)
        raise Unfit(f'choose one of {", ".join(names)}.{near}', (value,))
    return str(value)

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)

  def registered(self) -> tuple[str, ...]:
    """The keys of the table, with what somebody has added."""
    return tuple(getattr(importlib.import_module(self.module), self.table))


@dataclasses.dataclass(frozen=True)
class ByNetwork(Kind):
  """A word whose choices depend on `segmentation.name`.

  Attributes:
    choices: by the network's name. A network that is not named does not look
      at the field.
  """

  choices: Mapping[str, tuple[str, ...]]

  @property
  def needed(self) -> str:
    """See `Kind`."""
    return '; '.join(
      f'of {name}, {" or ".join(words)}' for name, words in self.choices.items()
    )

  def of(self, network: Any) -> Kind:
    """The kind that a network makes of it."""
    if isinstance(network, str) and network in self.choices:
      return Word(self.choices[network], network)
    return Text()

  def read(self, value: Any) -> str:
    """See `Kind`."""
    return Text().read(value)

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)
