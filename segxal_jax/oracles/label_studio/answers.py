"""From an annotation to a label map, by stated rules.

Which annotation counts: one marked as ground truth, else the one changed last;
skips count only where nobody annotated. Drafts do not count.

Which class a pixel gets: the regions are laid over each other in three layers,
within a layer in the order of the annotation, and the highest one that covers
a pixel wins:

1. what the network had predicted and nobody took away,
2. pixels that were added to a predicted region,
3. regions that a person has made.

So what a person painted counts more than what was there before, and nothing
need be erased first. A pixel that no region covers is void. A brush's soft
edge belongs to it where it is at least half opaque. Relations between regions
do not count as labels, nor does a region whose label was taken away.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from common_lib.class_table import CITYSCAPES, VOID, ClassTable
from segxal_jax.oracles.label_studio import rle

_OPAQUE = 128
# Controls that are no labels: prompt points and relations.
_NOT_LABELS = ('keypointlabels', 'keypoint', 'relation')
# Without its label a region is, in some versions, of its tool's type.
_BRUSHES = ('brushlabels', 'brush')
_LONGEST_TIME = 100
#: Largest number that a server's database has.
LARGEST_ID = (1 << 63) - 1
_MOST_REGIONS = 2_000
_OF_THE_NETWORK = ('prediction', 'prediction-changed')
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


class BadAnnotation(ValueError):
  """An annotation that cannot be what an annotator made."""


@dataclasses.dataclass(frozen=True)
class Painting:
  """The label map of an annotation.

  Attributes:
    label: classes, 255 = covered by no region.
    regions: how many there are of each origin, and how many have lost their
      label (`unlabelled`), which count for nothing.
    overlapping: pixels that regions of different classes cover.
  """

  label: UInt8[np.ndarray, 'h w']
  regions: Mapping[str, int]
  overlapping: int


def counting(annotations: Any) -> dict[str, Any] | None:
  """The annotation that counts.

  Args:
    annotations: of one question, as the server gives them.

  Returns:
    One of them that is not a skip; None if there is none.

  Raises:
    BadAnnotation: not a list of annotations.
  """
  if not isinstance(annotations, list):
    raise BadAnnotation('its annotations are not a list')
  for annotation in annotations:
    if not isinstance(annotation, dict):
      raise BadAnnotation('an annotation is not an object')
    number = annotation.get('id')
    if type(number) is not int or not 0 <= number <= LARGEST_ID:
      raise BadAnnotation('an annotation has no number')
  made = [a for a in annotations if not a.get('was_cancelled')]
  return max(made, key=_weight) if made else None


def _weight(annotation: Mapping[str, Any]) -> tuple[Any, ...]:
  """Larger = counts before the others."""
  changed = annotation.get('updated_at')
  try:
    if not isinstance(changed, str) or len(changed) > _LONGEST_TIME:
      raise ValueError
    time = datetime.datetime.fromisoformat(changed)
    age = (time - _EPOCH).total_seconds()
  except (TypeError, ValueError, OverflowError):
    raise BadAnnotation('an annotation has no time') from None
  return annotation.get('ground_truth') is True, age, annotation['id']


def paint(
  annotation: Mapping[str, Any],
  prediction: UInt8[np.ndarray, 'h w'],
  classes: ClassTable = CITYSCAPES,
) -> Painting:
  """The label map of an annotation.

  Args:
    annotation: one that is not a skip.
    prediction: classes that the annotator found.
    classes: that are told apart.

  Raises:
    BadAnnotation: it is damaged or of another image.
  """
  result = annotation.get('result')
  if not isinstance(result, list):
    raise BadAnnotation('it has no list of regions')
  if len(result) > _MOST_REGIONS:
    raise BadAnnotation(f'it has {len(result)} regions')
  # One map a layer, whatever the number of regions: memory stays bounded.
  kept, added, made = (_blank(prediction) for _ in range(3))
  covered, several = _blank(prediction), np.zeros(prediction.shape, bool)
  count: dict[str, int] = {}
  for number, region in enumerate(result, 1):
    if _is_unlabelled(region):
      count['unlabelled'] = count.get('unlabelled', 0) + 1
      continue
    found, problem = None, ''
    try:
      found = _region(region, prediction.shape, classes)
    except BadAnnotation as error:
      problem = f'{_name_of(region, number)} {error}'
    if problem:
      raise BadAnnotation(problem)
    if found is None:
      continue
    mask, value, origin = found
    several |= mask & (covered != VOID) & (covered != value)
    covered[mask] = value
    count[origin] = count.get(origin, 0) + 1
    if origin in _OF_THE_NETWORK:
      same = prediction == value
      kept[mask & same] = value
      added[mask & ~same] = value
    else:
      made[mask] = value
  label = kept
  for layer in (added, made):
    np.copyto(label, layer, where=layer != VOID)
  return Painting(label, count, int(several.sum()))


def _blank(prediction: UInt8[np.ndarray, 'h w']) -> UInt8[np.ndarray, 'h w']:
  return np.full(prediction.shape, VOID, np.uint8)


def _name_of(region: Any, number: int) -> str:
  """How a message calls a region."""
  id = region.get('id') if isinstance(region, dict) else None
  return f'region {number}' + (f' ({_quoted(id)})' if id is not None else '')


def _region(
  region: Any, size: Sequence[int], classes: ClassTable
) -> tuple[Bool[np.ndarray, 'h w'], int, str] | None:
  """Mask, class and origin of a brush region; None for what is no region."""
  if not isinstance(region, dict):
    raise BadAnnotation('is not an object')
  kind = region.get('type')
  if kind in _NOT_LABELS:
    return None
  if kind not in _BRUSHES:
    raise BadAnnotation(f'is of the type {_quoted(kind)}')
  own_size = (region.get('original_height'), region.get('original_width'))
  if own_size != tuple(size):
    raise BadAnnotation(
      f'is of an image of {_quoted(own_size)} instead of {tuple(size)}'
    )
  if region.get('image_rotation') not in (0, None):
    raise BadAnnotation('is of a rotated image')
  value = region.get('value')
  if not isinstance(value, dict) or value.get('format') != 'rle':
    raise BadAnnotation('has no run-length code')
  try:
    opacity = rle.decode(value.get('rle'), *size)
  except rle.BadRle as error:
    raise BadAnnotation(f'cannot be read: {error}') from None
  origin = region.get('origin')
  origin = origin if origin in _OF_THE_NETWORK else 'manual'
  return (
    opacity >= _OPAQUE,
    _class_of(value.get('brushlabels'), classes),
    origin,
  )


def _is_unlabelled(region: Any) -> bool:
  """Whether a brush region's label was taken away: it then does not count."""
  if not isinstance(region, dict) or region.get('type') not in _BRUSHES:
    return False
  value = region.get('value')
  names = value.get('brushlabels', []) if isinstance(value, dict) else None
  return names == []


def _class_of(names: Any, classes: ClassTable) -> int:
  if not isinstance(names, list) or len(names) != 1:
    raise BadAnnotation(f'does not have one class but {_quoted(names)}')
  name = names[0]
  if not isinstance(name, str) or name not in classes.names:
    raise BadAnnotation(f'has the unknown class {_quoted(name)}')
  return classes.index(name)


def _quoted(value: Any) -> str:
  """A foreign value, short and without control characters."""
  text = ascii(value)
  return text if len(text) <= 60 else f'{text[:57]}...'
