"""What a field of a config may hold.

A kind reads a value that a config file, a stored config or Python gives
(`read`), or the text of a flag (`parse`). Both raise `Unfit`, whose text says
what to give instead; `needed` says the same for a table of the fields.
"""

import abc
import ast
import dataclasses
import difflib
import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

from common_lib import class_table_file
from common_lib.foreign import quoted
from common_lib.paths import expanded

# Beyond them a value no longer fits the int32 and float32 of a device.
LARGEST_INT = 2**31 - 1
LARGEST_FLOAT = 3.4e38


class Unfit(Exception):
  """Says what a field needs instead of the value that was given.

  Attributes:
    part: the value inside the given one that is wrong, if it is not the
      whole: `(part,)`.
  """

  def __init__(self, needed: str, part: tuple[Any, ...] = ()):
    super().__init__(needed)
    self.part = part


class Kind(abc.ABC):
  """One kind of value."""

  @property
  @abc.abstractmethod
  def needed(self) -> str:
    """What to give, as in 'give ...'."""

  @abc.abstractmethod
  def read(self, value: Any) -> Any:
    """The value as the program keeps it; raises Unfit."""

  @abc.abstractmethod
  def parse(self, text: str) -> Any:
    """The value that a flag's text stands for; raises Unfit."""


def suggestion(word: str, known: Iterable[str]) -> str:
  """' Did you mean X?' for a near miss, else ''."""
  close = difflib.get_close_matches(word, list(known), n=1)
  return f' Did you mean {close[0]}?' if close else ''


def shown(value: Any) -> str:
  """A value as a message quotes it, whatever it is and however long."""
  try:
    return quoted(repr(value), 120)
  except (ValueError, RecursionError):  # Thousands of digits; deep nesting.
    return f'of type {type(value).__name__} and too long to show'


@dataclasses.dataclass(frozen=True)
class Flag(Kind):
  """True or False."""

  needed = 'True or False'

  def read(self, value: Any) -> bool:
    """See `Kind`."""
    if not isinstance(value, bool):
      raise Unfit(f'give {self.needed}')
    return value

  def parse(self, text: str) -> bool:
    """See `Kind`; as absl reads a flag that is no text."""
    words = {'true': True, 't': True, '1': True}
    words |= {'false': False, 'f': False, '0': False}
    if text.strip().lower() not in words:
      raise Unfit(f'give {self.needed}')
    return words[text.strip().lower()]


@dataclasses.dataclass(frozen=True)
class Whole(Kind):
  """A whole number within `low` and `high`, both allowed."""

  low: int = 0
  high: int = LARGEST_INT

  @property
  def needed(self) -> str:
    """See `Kind`."""
    if self.high == LARGEST_INT:
      return f'a whole number, {self.low} or more'
    return f'a whole number from {self.low} to {self.high}'

  def read(self, value: Any) -> int:
    """See `Kind`; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
      raise Unfit(f'give {self.needed}')
    number = int(value)
    if not self.low <= number <= self.high:
      large = ' (it is too large)' if number > LARGEST_INT else ''
      raise Unfit(f'give {self.needed}{large}')
    return number

  def parse(self, text: str) -> int:
    """See `Kind`."""
    try:
      value = int(text, 16 if text[:2].lower() == '0x' else 10)
    except ValueError:
      raise Unfit(f'give {self.needed}') from None
    return self.read(value)


@dataclasses.dataclass(frozen=True)
class Number(Kind):
  """A finite number within `low` and `high`; `above` and `below` are not."""

  low: float = -LARGEST_FLOAT
  high: float = LARGEST_FLOAT
  above: float = -math.inf
  below: float = math.inf

  @property
  def needed(self) -> str:
    """See `Kind`."""
    bounds = []
    if self.above > -math.inf:
      bounds.append(f'greater than {self.above:g}')
    elif self.low > -LARGEST_FLOAT:
      bounds.append(f'of at least {self.low:g}')
    if self.below < math.inf:
      bounds.append(f'less than {self.below:g}')
    elif self.high < LARGEST_FLOAT:
      bounds.append(f'at most {self.high:g}')
    return f'a number {" and ".join(bounds)}'.strip()

  def read(self, value: Any) -> float:
    """See `Kind`; whole numbers are numbers, a bool is none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
      raise Unfit(f'give {self.needed}')
    try:
      number = float(value)
    except OverflowError:  # A whole number of hundreds of digits.
      number = math.inf
    # NaN is in no range.
    inside = self.low <= number <= self.high
    if not (inside and self.above < number < self.below):
      needed = self.needed
      if not abs(number) <= LARGEST_FLOAT:
        needed = needed.replace('a number', 'a finite number')
      raise Unfit(f'give {needed}')
    return number

  def parse(self, text: str) -> float:
    """See `Kind`."""
    try:
      number = float(text)
    except ValueError:
      raise Unfit(f'give {self.needed}') from None
    return self.read(number)


def check_text(value: Any, what: str) -> str:
  """The value if it is text that a terminal, JSON and UTF-8 can hold.

  Args:
    value: anything.
    what: should have been given, for the message.

  Raises:
    Unfit: it is not.
  """
  if not isinstance(value, str):
    raise Unfit(f'give {what}')
  if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
    raise Unfit(
      f'give {what} in UTF-8 and without control characters (of a folder '
      'whose name has them, a link with another name)'
    )
  return value


@dataclasses.dataclass(frozen=True)
class Text(Kind):
  """Any text on one line; `empty` says whether it may be empty."""

  empty: bool = True

  @property
  def needed(self) -> str:
    """See `Kind`."""
    return 'text' if self.empty else 'text that is not empty'

  def read(self, value: Any) -> str:
    """See `Kind`."""
    if not (check_text(value, 'text') or self.empty):
      raise Unfit(f'give {self.needed}')
    return str(value)

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)


@dataclasses.dataclass(frozen=True)
class PathText(Kind):
  """A path, or '' for none; `~` is resolved by `common_lib.paths`.

  Attributes:
    several: whether commas separate paths.
    words: values that are no paths.
  """

  several: bool = False
  words: tuple[str, ...] = ()

  @property
  def needed(self) -> str:
    """See `Kind`."""
    several = ' (or several between commas)' if self.several else ''
    return ', '.join([f'a path{several}', *self.words, "or '' for none"])

  def read(self, value: Any) -> str:
    """See `Kind`."""
    # Of a subclass, such as NumPy's, it makes a plain one.
    # pyrefly: ignore[unnecessary-type-conversion]
    return str(check_text(value, 'a path'))

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)


@dataclasses.dataclass(frozen=True)
class ClassesText(Kind):
  """A class table: the path of its file, or the table as a line of JSON."""

  @property
  def needed(self) -> str:
    """See `Kind`."""
    return "the path of a class table (classes.json), or '' for the data set's"

  def read(self, value: Any) -> str:
    """See `Kind`; returns the table itself, '' for the default.

    Raises:
      UserError: there is no such file, or it is no class table.
    """
    text = check_text(value, self.needed)
    if not text:
      return ''
    if text.lstrip().startswith('{'):
      table = class_table_file.from_text(text)
    else:
      table = class_table_file.read(expanded(text))
    return class_table_file.to_text(table)

  def parse(self, text: str) -> str:
    """See `Kind`."""
    return self.read(text)


@dataclasses.dataclass(frozen=True)
class Many(Kind):
  """Several values of one kind, a tuple.

  Attributes:
    item: kind of each.
    least: how many there are at least.
    most: and at most; None for any number.
    once: whether none may be given twice.
  """

  item: Kind
  least: int = 0
  most: int | None = None
  once: bool = False

  @property
  def needed(self) -> str:
    """See `Kind`."""
    return f'{self.count}, each {self.item.needed}'

  @property
  def count(self) -> str:
    """How many there are."""
    if self.most == self.least:
      return f'{self.least} values'
    return f'{self.least} or more values' if self.least else 'any values'

  def read(self, value: Any) -> tuple[Any, ...]:
    """See `Kind`; JSON and config files may give a list."""
    if not isinstance(value, (tuple, list)):
      raise Unfit(f'give {self.needed}, as a tuple')
    items = tuple(map(self._item, value))
    many = self.most is not None and len(items) > self.most
    if len(items) < self.least or many:
      raise Unfit(f'give {self.needed}')
    if self.once and len(set(items)) < len(items):
      raise Unfit('give each of them once')
    return items

  def _item(self, value: Any) -> Any:
    try:
      return self.item.read(value)
    except Unfit as error:
      raise Unfit(str(error), (value,)) from None

  def parse(self, text: str) -> tuple[Any, ...]:
    """See `Kind`; '(a,b)' as Python writes it, or words between commas."""
    return self.parse_all([text])

  def parse_all(self, texts: Sequence[str]) -> tuple[Any, ...]:
    """As `parse`, of a flag that is given several times: all its values."""
    return self.read([value for text in texts for value in _values(text)])


def _values(text: str) -> Sequence[Any]:
  try:
    value = ast.literal_eval(text.strip())
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    # Words without quotes, as a shell leaves them.
    if any(character in text for character in '()[]{}\'"'):
      raise Unfit('write values as in "(1,2)" or "(\'a\',\'b\')"') from None
    return [word.strip() for word in text.split(',') if word.strip()]
  return value if isinstance(value, (tuple, list)) else [value]
