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
_NUMBER = re.compile(r'\d{2,}$')


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


def _key(one: Picture) -> tuple[bool, str]:
  """The group, or the image where it has none."""
  return (one.group is not None), one.name if one.group is None else one.group


def assign(
  sizes: Mapping[tuple[bool, str], int], shares: Mapping[str, float]
) -> dict[tuple[bool, str], str]:
  """Puts whole groups into splits, as near to the shares as they allow.

  From the largest group on, each goes where most is missing; then single
  groups change their split, or two groups theirs with each other, as long as
  that brings the sizes nearer. No split stays without a group. Among groups of
  one size the hash of the name decides, so neither the order of the files nor
  a seed does.

  Args:
    sizes: (whether it is a group, name) to the number of its images.
    shares: split to its share.

  Returns:
    Group to split.
  """
  total = sum(sizes.values())
  order = sorted(sizes, key=lambda key: (-sizes[key], _hash(key[1]), key))
  missing = {name: share * total for name, share in shares.items()}
  members: dict[str, list] = {name: [] for name in shares}
  for place, key in enumerate(order):
    empty = [name for name in shares if not members[name]]
    # The last groups fill the splits that would stay empty.
    open_to = empty if len(empty) == len(order) - place else list(shares)
    name = max(open_to, key=missing.__getitem__)
    members[name].append(key)
    missing[name] -= sizes[key]
  while _improve(members, missing, sizes):
    pass
  return {key: name for name, keys in members.items() for key in keys}


def _improve(
  members: Mapping[str, list],
  missing: dict[str, float],
  sizes: Mapping[tuple[bool, str], int],
) -> bool:
  """Moves one group, or exchanges two; False where nothing brings gain."""
  best = (1e-9, None)
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
    _NUMBER.sub('', name) for name in single if _NUMBER.search(name)
  )
  for start, count in starts.most_common(1):
    if count >= _FRAMES:
      notes.once(
        f'{count} images are named like frames of one video'
        f' ({quoted(start, 80)}...), and data.split divides them one by one:'
        ' frames beside those of the training are tested on, which flatters;'
        ' say in groups.csv (image,group) which images belong together'
      )
