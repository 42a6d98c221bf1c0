"""What the lines of a ledger hold, and what they may hold."""

import dataclasses
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from common_lib.json_values import (
  BadValue,
  entries,
  fields,
  number,
  text,
  whole_number,
)

_MOST_CYCLES = 1_000_000
_LONGEST_ID = 4096
_SHA256 = re.compile(r'[0-9a-f]{64}')
# What every cost is counted in.
UNITS = ('images', 'pixels', 'clicks')
_TIME = ('seconds', 'timed_clicks')
_AUDIT = ('pixels', 'wrong')


@dataclasses.dataclass(frozen=True)
class Cost:
  """What an annotation costs a person.

  Attributes:
    images: images that a person had to open.
    pixels: pixels that got a label from the oracle; void ones are free.
    clicks: corners of the outlines drawn (see `oracles.costs`).
    seconds: measured while people annotated; 0 where nobody measured.
    timed_clicks: those of `clicks` that these seconds are the time of.
  """

  images: int = 0
  pixels: int = 0
  clicks: int = 0
  seconds: float = 0.0
  timed_clicks: int = 0

  def __add__(self, other: 'Cost') -> 'Cost':
    return Cost(
      self.images + other.images,
      self.pixels + other.pixels,
      self.clicks + other.clicks,
      self.seconds + other.seconds,
      self.timed_clicks + other.timed_clicks,
    )

  def timed(self, seconds: int | float | None) -> 'Cost':
    """With the time that it took; as it is where that is not known."""
    if not seconds:
      return self
    return dataclasses.replace(
      self, seconds=float(seconds), timed_clicks=self.clicks
    )

  def entry(self) -> dict[str, Any]:
    """For JSON; without time where none was measured."""
    found = dataclasses.asdict(self)
    if not self.seconds:
      found = {name: found[name] for name in UNITS}
    return found


@dataclasses.dataclass(frozen=True)
class Annotation:
  """One answer of an oracle.

  Attributes:
    cycle: of the query; 0 = the seed set.
    index: of the image in the pool.
    id: name of the image.
    oracle: which answered.
    file: of label and asked pixels, relative to the ledger's folder.
    sha256: of that file.
    cost: see `Cost`.
    audit: what is known only because the data set has a ground truth: how
      many labelled `pixels` there are and how many of them are `wrong`. For
      reports alone.
  """

  cycle: int
  index: int
  id: str
  oracle: str
  file: str
  sha256: str
  cost: Cost
  audit: Mapping[str, int]


_OF_ANNOTATION = (
  'kind',
  *(field.name for field in dataclasses.fields(Annotation)),
)


@dataclasses.dataclass(frozen=True)
class Pool:
  """The images that a ledger is about.

  Attributes:
    images: how many there are.
    sha256: of their names, in order.
    ids: their names; empty where only the ledger is known.
  """

  images: int
  sha256: str
  ids: Sequence[str] = ()

  @classmethod
  def of(cls, ids: Sequence[str]) -> 'Pool':
    """The pool of images of these names."""
    # File names that are not UTF-8 have their bytes in lone surrogates.
    names = '\n'.join(ids).encode('utf-8', 'surrogateescape')
    return cls(len(ids), hashlib.sha256(names).hexdigest(), ids)

  def entry(self) -> dict[str, Any]:
    """The first line of its ledger."""
    return {'kind': 'pool', 'images': self.images, 'sha256': self.sha256}


def annotation_file(cycle: int, index: int) -> str:
  """Name of an annotation's file, relative to the ledger's folder."""
  return f'annotations/cycle{cycle:03d}_{index:07d}.png'


def pool(entry: Any) -> Pool:
  """The first line of a ledger.

  Raises:
    BadValue: it is none.
  """
  fields(entry, 'it', ('kind', 'images', 'sha256'))
  if entry['kind'] != 'pool':
    raise BadValue('it does not name the pool')
  return Pool(whole_number(entry['images'], 'images'), _sha256(entry))


def annotation(entry: Any, of: Pool) -> Annotation:
  """An answer.

  Args:
    entry: a line.
    of: the pool of the ledger.

  Raises:
    BadValue: it is no answer about an image of this pool.
  """
  fields(entry, 'it', _OF_ANNOTATION)
  cycle = _cycle(entry)
  index = whole_number(entry['index'], 'index', 0, of.images - 1)
  id = text(entry['id'], 'id', _LONGEST_ID)
  if of.ids and id != of.ids[index]:
    raise BadValue(f'image {index} of the pool is {of.ids[index]}, not {id}')
  if entry['file'] != annotation_file(cycle, index):
    raise BadValue(f'its file is not {annotation_file(cycle, index)}')
  return Annotation(
    cycle,
    index,
    id,
    text(entry['oracle'], 'oracle', 100),
    entry['file'],
    _sha256(entry),
    cost(entry['cost']),
    _audit(entry['audit']),
  )


def cost(value: Any) -> Cost:
  """What `Cost.entry` made.

  Raises:
    BadValue: it is none.
  """
  fields(value, 'cost', UNITS, _TIME)
  for name in UNITS:
    whole_number(value[name], name)
  if _TIME[0] in value or _TIME[1] in value:
    fields(value, 'cost', (*UNITS, *_TIME))
    number(value['seconds'], 'seconds')
    whole_number(value['timed_clicks'], 'timed_clicks', 0, value['clicks'])
  return Cost(**value | {'seconds': float(value.get('seconds', 0))})


def selection(
  entry: Any, of: Pool, answered: Collection[int]
) -> dict[str, Any]:
  """Which answers of a cycle joined the labelled pool.

  Args:
    entry: a line.
    of: the pool of the ledger.
    answered: indices of the images that this cycle's lines before it are about.

  Raises:
    BadValue: it is none, or is about images that were not queried.
  """
  fields(entry, 'it', ('kind', 'cycle', 'accepted', 'rejected', 'dice'))
  _cycle(entry)
  seen: set[int] = set()
  for name in ('accepted', 'rejected'):
    for index in entries(entry[name], name, of.images):
      whole_number(index, name, 0, of.images - 1)
      if index in seen:
        raise BadValue(f'image {index} is selected twice')
      if index not in answered:
        raise BadValue(f'image {index} has no annotation in its cycle')
      seen.add(index)
  dice = fields(entry['dice'], 'dice', (), {str(index) for index in seen})
  for value in dice.values():
    if value is not None:
      number(value, 'dice', 0.0, 1.0)
  return {name: value for name, value in entry.items() if name != 'kind'}


def cycle_of(entry: Any) -> int:
  """Cycle of a line that may be any.

  Raises:
    BadValue: it has none.
  """
  if 'cycle' not in entry:
    raise BadValue('it has no cycle')
  return _cycle(entry)


def _cycle(entry: Mapping[str, Any]) -> int:
  return whole_number(entry['cycle'], 'cycle', 0, _MOST_CYCLES)


def _sha256(entry: Mapping[str, Any]) -> str:
  value = text(entry['sha256'], 'sha256', 64)
  if not _SHA256.fullmatch(value):
    raise BadValue('its sha256 is none')
  return value


def _counts(value: Any, what: str, names: Sequence[str]) -> dict[str, int]:
  fields(value, what, names)
  return {name: whole_number(value[name], name) for name in names}


def _audit(value: Any) -> dict[str, int]:
  counts = _counts(value, 'audit', _AUDIT)
  if counts['wrong'] > counts['pixels']:
    raise BadValue('more pixels are wrong than there are')
  return counts
