"""What the maps behind a question are worth: how much of the error they name.

Of every map the tenth of an image's pixels with the highest values is taken,
and counted how many of the prediction's errors lie in it, by the ground truth.
A map that knows nothing has a tenth of the errors there; one that knows all has
them all, unless more than a tenth of the image is wrong. Equal areas make maps
of different scales comparable; what the oracle was asked about is counted
beside them, with its own area.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from common_lib.class_table import VOID
from common_lib.json_values import (
  BadValue,
  fields,
  number,
  whole_number,
)
from segxal_jax.queries import storage

AREA = 0.1
# Of the maps, in order: those of `storage.MAPS`, what ranked the regions where
# it is none of them, and the errors themselves.
NAMES = (
  'cam',
  'proximity',
  'pae',
  'entropy',
  'failure',
  'eem',
  'guide',
  'perfect',
)


@dataclasses.dataclass(frozen=True)
class Counts:
  """Errors of the predictions of some images, and where they lie.

  Attributes:
    images: how many.
    pixels: with a label, on no ego vehicle.
    errors: of them, whose prediction is wrong.
    asked_pixels: of them, in the regions that the oracle was asked about.
    asked_errors: errors among these.
    inside: errors in the highest tenth of each map, by its name, the errors
      themselves as a map (`perfect`) among them; a fraction where equal values
      had to be divided.
  """

  images: int
  pixels: int
  errors: int
  asked_pixels: int
  asked_errors: int
  inside: Mapping[str, float]

  def shares(self) -> dict[str, Any] | None:
    """Of all errors, by the name of the map; None where there is no error.

    Returns:
      `images`, `area` (of the pixels, taken of every map), `maps` (by name),
      and `asked`: `area` and `errors` of the asked regions. Shares are 0 to 1.
    """
    if not self.errors:
      return None
    return {
      'images': self.images,
      'area': AREA,
      'maps': {name: n / self.errors for name, n in self.inside.items()},
      'asked': {
        'area': self.asked_pixels / self.pixels,
        'errors': self.asked_errors / self.errors,
      },
    }


def errors_inside(
  values: Float[np.ndarray, ' n'],
  wrong: Bool[np.ndarray, ' n'],
  area: float = AREA,
) -> float:
  """Errors among the pixels with the highest values.

  Args:
    values: of a map, finite.
    wrong: whether the prediction is.
    area: share of the pixels to take, 0 to 1.

  Returns:
    Their number. Where the border runs through equal values, these give as
    large a share of their errors as is taken of them.
  """
  wanted = area * len(values)
  order = np.argsort(-values, kind='stable')
  border = values[order[min(int(wanted), len(values) - 1)]]
  above, level = values > border, values == border
  taken = (wanted - above.sum()) / level.sum()
  return float(wrong[above].sum() + taken * wrong[level].sum())


def of_image(maps: storage.Maps, truth: np.ndarray) -> Counts | None:
  """Of one question; None where nothing of the image is labelled.

  Args:
    maps: of the question.
    truth: [h w] its ground truth.
  """
  counted = maps.usable & (truth != VOID)
  if not counted.any():
    return None
  wrong = (maps.prediction != truth)[counted]
  asked = np.isin(maps.segments, [region.id for region in maps.regions])
  found = dict(maps.maps)
  if maps.guide is not None:
    found['guide'] = maps.guide
  found['perfect'] = maps.prediction != truth
  return Counts(
    images=1,
    pixels=int(counted.sum()),
    errors=int(wrong.sum()),
    asked_pixels=int(asked[counted].sum()),
    asked_errors=int(wrong[asked[counted]].sum()),
    inside={
      name: errors_inside(np.asarray(found[name], np.float32)[counted], wrong)
      for name in NAMES
      if name in found
    },
  )


def added(counts: Iterable[Counts]) -> Counts | None:
  """Of all of them together, with the maps that every one has; None of none."""
  counts = list(counts)
  if not counts:
    return None
  names = [
    name for name in counts[0].inside if all(name in c.inside for c in counts)
  ]
  return Counts(
    images=sum(c.images for c in counts),
    pixels=sum(c.pixels for c in counts),
    errors=sum(c.errors for c in counts),
    asked_pixels=sum(c.asked_pixels for c in counts),
    asked_errors=sum(c.asked_errors for c in counts),
    inside={name: sum(c.inside[name] for c in counts) for name in names},
  )


def parsed(value: Any) -> Counts:
  """What `dataclasses.asdict` made of counts.

  Args:
    value: as JSON gave it back.

  Raises:
    BadValue: it is none.
  """
  numbers = [field.name for field in dataclasses.fields(Counts)][:-1]
  fields(value, 'it', (*numbers, 'inside'))
  for name in numbers:
    whole_number(value[name], name)
  inside = fields(value['inside'], 'inside', (), NAMES)
  for name in inside:
    # A sum of fractions may be a rounding above what it is a part of.
    number(inside[name], name, 0, value['errors'] * (1 + 1e-9))
  if not value['asked_errors'] <= value['errors'] <= value['pixels']:
    raise BadValue('more pixels are wrong than there are')
  if not value['asked_errors'] <= value['asked_pixels'] <= value['pixels']:
    raise BadValue('more pixels are asked about than there are')
  return Counts(**value)
