"""What a user should know about the data of a run, said once."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from common_lib.console import say

# Sides are rounded to what a network can halve; that little shows nowhere.
_TOLERANCE = 1.03


@functools.cache
def once(text: str) -> None:
  """Prints a note, unless this process has printed it before."""
  say(f'note: {text}')


def mixed_splits(spec: str, counts: Mapping[str, int]) -> None:
  """Says so if a choice of sequences comes from several official splits.

  Args:
    spec: data set and variant, without a split.
    counts: official split to its number of images in the choice.
  """
  used = {split: count for split, count in counts.items() if count}
  if len(used) > 1:
    parts = ', '.join(f'{count} of {split}' for split, count in used.items())
    once(
      f'{spec} names no split and takes images of several ({parts}): what is'
      f' trained on one of them is tested on its own training images; write'
      f' {spec}:{list(used)[-1]} for one alone'
    )


def squeezed(
  name: str, sizes: Sequence[tuple[int, int]], target: tuple[int, int]
) -> None:
  """Says so if images are brought to another aspect ratio.

  Args:
    name: of the data set.
    sizes: (h, w) of some images, pixels.
    target: (h, w) that they are resized to.
  """

  def widened(size: tuple[int, int]) -> float:
    return target[1] / target[0] * size[0] / size[1]

  if not sizes:
    return
  worst = max(sizes, key=lambda size: max(widened(size), 1 / widened(size)))
  factor = widened(worst)
  if max(factor, 1 / factor) <= _TOLERANCE:
    return
  shape = (
    f'{factor:.2f} times as wide'
    if factor > 1
    else f'{1 / factor:.2f} times as tall'
  )
  once(
    f'images of {name} ({worst[0]}x{worst[1]}) are squeezed to image_size'
    f' ({target[0]}x{target[1]}) and become {shape}; eval.resize=letterbox'
    ' keeps the shape of what is evaluated'
  )
