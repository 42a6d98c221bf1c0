"""Other ways to feed a network: those that users mix up."""

from __future__ import annotations

import dataclasses

from input_pipeline.external.description import (
  IMAGENET_MEAN,
  IMAGENET_STD,
  PLAIN,
  InputFormat,
  Numbers,
)

_Normalization = tuple[float, Numbers, Numbers]


def _times(numbers: Numbers, factor: float) -> Numbers:
  first, second, third = numbers
  return first * factor, second * factor, third * factor


# Of red, green and blue, 0..255: what the code of ERFNet, ESPNet and others
# takes, in either order.
_CITYSCAPES_MEAN = (73.15840149, 82.90893555, 72.3923111)
_CITYSCAPES_STD = (44.91483307, 46.15289307, 45.3192215)
# Scale, mean and deviation in the order of RGB.
_PUBLISHED: tuple[tuple[str, _Normalization], ...] = (
  ('values of 0 to 1', (255.0, PLAIN.mean, PLAIN.std)),
  ('values of 0 to 255', (1.0, PLAIN.mean, PLAIN.std)),
  ('values of -1 to 1', (127.5, (1.0, 1.0, 1.0), PLAIN.std)),
  ("ImageNet's mean and std", (255.0, IMAGENET_MEAN, IMAGENET_STD)),
  (
    "ImageNet's mean, of 0 to 255, and no std",
    (1.0, _times(IMAGENET_MEAN, 255.0), PLAIN.std),
  ),
  ("Cityscapes' mean and std", (1.0, _CITYSCAPES_MEAN, _CITYSCAPES_STD)),
  (
    "Cityscapes' mean and std and a further division by 255",
    (1.0, _CITYSCAPES_MEAN, _times(_CITYSCAPES_STD, 255.0)),
  ),
)


@dataclasses.dataclass(frozen=True)
class Alternative:
  """One other way.

  Attributes:
    title: what is different, for a sentence: 'BGR input'.
    input: the whole of it.
    fix: what to write in `model.json`.
    changes: how many things differ from what the user says.
  """

  title: str
  input: InputFormat
  fix: str
  changes: int


def of_input(given: InputFormat) -> list[Alternative]:
  """What to try beside what a user says, the smallest changes first.

  Args:
    given: what the user says.

  Returns:
    Other orders of colours, normalisations, and both; none twice.
  """
  swapped = 'BGR' if given.color == 'RGB' else 'RGB'
  own = (given.scale, given.mean, given.std)
  found = [
    _alternative(given, f'{swapped} input', swapped, own, 1),
    # Mean and deviation may have been given in the order of the other one.
    _alternative(given, f'{swapped} input', swapped, _turned(own), 1),
  ]
  for color, start, changes in (
    (given.color, '', 1),
    (swapped, f'{swapped} input and ', 2),
  ):
    for title, normalization in _changed(given):
      found.append(
        _alternative(given, start + title, color, normalization, changes)
      )
    for title, normalization in _PUBLISHED:
      if color == 'BGR':
        normalization = _turned(normalization)
      found.append(
        _alternative(given, start + title, color, normalization, changes)
      )
  found.sort(key=lambda one: one.changes)
  kept: dict[InputFormat, Alternative] = {}
  for one in found:
    if one.input != given:
      kept.setdefault(one.input, one)
  return list(kept.values())


def _turned(normalization: _Normalization) -> _Normalization:
  scale, mean, std = normalization
  return scale, (mean[2], mean[1], mean[0]), (std[2], std[1], std[0])


def _changed(given: InputFormat) -> list[tuple[str, _Normalization]]:
  """What a user says, with one thing of it left out, added or misread."""
  other = 1.0 if given.scale != 1 else 255.0
  larger = _times(given.std, 255.0)
  return [
    (f'scale {other:g}', (other, given.mean, given.std)),
    ('a further division by 255', (given.scale, given.mean, larger)),
    ('no mean and std', (given.scale, PLAIN.mean, PLAIN.std)),
  ]


def _alternative(
  given: InputFormat,
  title: str,
  color: str,
  normalization: _Normalization,
  changes: int,
) -> Alternative:
  scale, mean, std = normalization
  how = dataclasses.replace(given, color=color, scale=scale, mean=mean, std=std)
  parts = []
  for name in ('color', 'scale', 'mean', 'std'):
    value = getattr(how, name)
    if value != getattr(given, name):
      parts.append(f'"{name}": {_json(value)}')
  return Alternative(title, how, ', '.join(parts), changes)


def _json(value: object) -> str:
  if isinstance(value, str):
    return f'"{value}"'
  if isinstance(value, tuple):
    return f'[{", ".join(_json(one) for one in value)}]'
  return f'{value:.6g}'
