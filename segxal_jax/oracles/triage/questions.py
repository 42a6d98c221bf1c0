"""What people are asked about an image that a run has predicted on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common_lib.errors import UserError
from fsnet_jax.monitor.predict import batches, tables
from fsnet_jax.monitor.predict.inputs import Files, Item, Pending
from fsnet_jax.monitor.predict.video import Video
from segxal_jax.queries import regions
from segxal_jax.queries.types import Question


def worst(output: Path, count: int) -> list[str]:
  """Names of the images of a prediction that look most wrong, in that order.

  Args:
    output: folder that `--mode=predict` has just written.
    count: at most so many; images with a problem are none.
  """
  found: list[str] = []
  with (output / f'{tables.TRIAGE}.jsonl').open(encoding='utf-8') as file:
    for line in file:
      row = json.loads(line)
      if len(found) == count or row['problem']:
        break  # Rows with a problem are the last.
      found.append(row['image'])
  return found


def made(
  images: Files | Video,
  output: Path,
  wanted: Sequence[str],
  options: regions.RegionOptions,
) -> Iterator[tuple[Item, Question]]:
  """The questions about images, one at a time, in the order of the input.

  Args:
    images: what was predicted on.
    output: folder of the results.
    wanted: names of images; the number of a question is the index here. One
      that is no longer there is left out.
    options: how an image is cut into regions to point at.
  """
  numbers = {name: index for index, name in enumerate(wanted)}
  for one in images.pending(lambda item: item.image not in numbers):
    question = _question(one, output, numbers[one.item.image], options)
    if question is not None:
      yield one.item, question


def _question(
  one: Pending, output: Path, index: int, options: regions.RegionOptions
) -> Question | None:
  """The question about an image; None where it cannot be read any more."""
  try:
    image = one.read()
  except UserError:
    return None  # Its row says what is wrong.
  label, failure = batches.maps_of(output, one.item.name)
  usable = np.ones(failure.shape, bool)
  segments = regions.segment(image, options)
  return Question(
    cycle=0,
    index=index,
    id=one.item.image,
    image=image,
    prediction=label,
    confidence=1 - failure,
    eem=failure,
    usable=usable,
    segments=segments,
    regions=regions.rank(failure, segments, usable, options.count),
  )
