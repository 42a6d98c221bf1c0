"""Divides images into splits by whole groups, the same way each time."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline import notes
from input_pipeline.datasets.folder.layout import Picture

SPLITS = ('train', 'validation', 'test')
_FIX = 'write three shares that add up to 1, as 0.7/0.15/0.15'
# So many images whose names differ in their number alone look like a video.
_FRAMES = 10
_NUMBER = re.compile(r'\d{2,}(?=\D*$)')
_MOST_DIVISIONS = 10_000
_NO_GAIN = 1e-9

# Whether it is a group, and not a single image, and its name.
_Key = tuple[bool, str]


def parsed(text: str) -> dict[str, float]:
  """Split to its share, those of share 0 left out.

  Args:
    text: shares of training, validation and test.

  Raises:
    UserError: it is not that.
  """
  try:
    shares = [float(part) for part in text.split('/')]
  except ValueError:
    shares = []
  fits = len(shares) == len(SPLITS) and all(0 <= s <= 1 for s in shares)
  if not fits or not math.isclose(sum(shares), 1, abs_tol=1e-6):
    raise UserError(f'data.split is {quoted(text, 40)!r}; {_FIX}')
  return {name: s for name, s in zip(SPLITS, shares, strict=True) if s}


def divided(
  pictures: Sequence[Picture], shares: Mapping[str, float]
) -> list[Picture]:
  """The images with their splits.

  Only labelled images count for the shares. Unlabelled ones are of the split
  of their group; a group without any label is of none.

  Args:
    pictures: an image without a group is a group of its own.
    shares: of `parsed`.

  Raises:
    UserError: there are fewer groups than splits.
  """
  sizes = collections.Counter(_key(one) for one in pictures if one.label)
  if sizes and len(sizes) < len(shares):
    names = ', '.join(quoted(name, 40) for _, name in sizes)
    raise UserError(
      f'data.split asks for {len(shares)} splits, but the labelled images are'
      f' of {len(sizes)} groups alone ({names}), and a group is not divided;'
      ' label images of further groups, or give a split the share 0'
    )
  _note_video(pictures)
  split_of = assign(sizes, shares)
  return [
    dataclasses.replace(one, split=split_of.get(_key(one), ''))
    for one in pictures
  ]


def _key(one: Picture) -> _Key:
  """The group, or the image where it has none."""
  return (one.group is not None), one.name if one.group is None else one.group


def assign(
  sizes: Mapping[_Key, int], shares: Mapping[str, float]
) -> dict[_Key, str]:
  """Puts whole groups into splits, as near to the shares as they allow.

  That is the least sum of the splits' distances from their shares, found by
  trying all divisions of a few groups. Many groups are divided step by step
  and may end near it. No split stays without a group. Among groups of one size
  the hash of the name decides, so neither the order of the files nor a seed
  does.

  Args:
    sizes: group to the number of its images, at least as many groups as
      splits, or none.
    shares: split to its share.

  Returns:
    Group to split.
  """
  total = sum(sizes.values())
  order = sorted(sizes, key=lambda key: (-sizes[key], _hash(key[1]), key))
  wanted = {name: share * total for name, share in shares.items()}
  if len(shares) ** len(order) <= _MOST_DIVISIONS:
    return _best(order, sizes, wanted)
  return _stepwise(order, sizes, wanted)


def _best(
  order: Sequence[_Key],
  sizes: Mapping[_Key, int],
  wanted: Mapping[str, float],
) -> dict[_Key, str]:
  """The first of the nearest divisions."""
  best, least = {}, math.inf
  for names in itertools.product(wanted, repeat=len(order)):
    if len(set(names)) < len(wanted):
      continue
    missing = dict(wanted)
    for key, name in zip(order, names, strict=True):
      missing[name] -= sizes[key]
    distance = sum(map(abs, missing.values()))
    if distance < least - _NO_GAIN:
      best, least = dict(zip(order, names, strict=True)), distance
  return best


def _stepwise(
  order: Sequence[_Key],
  sizes: Mapping[_Key, int],
  wanted: Mapping[str, float],
) -> dict[_Key, str]:
  """Each group where most is missing, then moved as long as that gains."""
  missing = dict(wanted)
  members: dict[str, list[_Key]] = {name: [] for name in wanted}
  for place, key in enumerate(order):
    empty = [name for name in wanted if not members[name]]
    # The last groups fill the splits that would stay empty.
    open_to = empty if len(empty) == len(order) - place else list(wanted)
    name = max(open_to, key=missing.__getitem__)
    members[name].append(key)
    missing[name] -= sizes[key]
  while _improve(members, missing, sizes):
    pass
  return {key: name for name, keys in members.items() for key in keys}


def _improve(
  members: Mapping[str, list[_Key]],
  missing: dict[str, float],
  sizes: Mapping[_Key, int],
) -> bool:
  """Moves one group, or exchanges two; False where nothing brings gain."""
  best = (_NO_GAIN, None)
  for a, b in itertools.permutations(members, 2):
    first = {sizes[key]: key for key in members[a]}
    second: dict = {sizes[key]: key for key in members[b]}
    if len(members[a]) > 1:
      second[0] = None
    for x, y in itertools.product(first, second):
      before = abs(missing[a]) + abs(missing[b])
      after = abs(missing[a] + x - y) + abs(missing[b] - x + y)
      if before - after > best[0]:
        best = (before - after, (a, b, first[x], second[y]))
  if best[1] is None:
    return False
  a, b, out, back = best[1]
  for source, target, key in ((a, b, out), (b, a, back)):
    if key is not None:
      members[source].remove(key)
      members[target].append(key)
      missing[source] += sizes[key]
      missing[target] -= sizes[key]
  return True


def _hash(name: str) -> str:
  return hashlib.sha256(name.encode()).hexdigest()


def _note_video(pictures: Sequence[Picture]) -> None:
  """Says so where images without a group look like frames of one video."""
  single = [one.name for one in pictures if one.group is None]
  starts = collections.Counter(
    _NUMBER.sub('*', name) for name in single if _NUMBER.search(name)
  )
  for start, count in starts.most_common(1):
    if count >= _FRAMES:
      notes.once(
        f'{count} images are named like frames of one video'
        f' ({quoted(start, 80)}), and data.split divides them one by one:'
        ' frames beside those of the training are tested on, which flatters;'
        ' say in groups.csv (image,group) which images belong together'
      )
