"""Other ways to feed a network: those that users mix up."""

from __future__ import annotations

import dataclasses

from fsnet_jax.external.description import (
  IMAGENET_MEAN,
  IMAGENET_STD,
  PLAIN,
  InputFormat,
  Numbers,
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
  for title, normalization in _normalizations(given):
    found.append(_alternative(given, title, given.color, normalization, 1))
    both = f'{swapped} input and {title}'
    found.append(_alternative(given, both, swapped, normalization, 2))
  found.sort(key=lambda one: one.changes)
  kept: dict[InputFormat, Alternative] = {}
  for one in found:
    if one.input != given:
      kept.setdefault(one.input, one)
  return list(kept.values())


_Normalization = tuple[float, Numbers, Numbers]


def _turned(normalization: _Normalization) -> _Normalization:
  scale, mean, std = normalization
  return scale, (mean[2], mean[1], mean[0]), (std[2], std[1], std[0])


def _times(numbers: Numbers, factor: float) -> Numbers:
  first, second, third = numbers
  return first * factor, second * factor, third * factor


def _normalizations(given: InputFormat) -> list[tuple[str, _Normalization]]:
  """Usual ones; means in the order of RGB are turned by `_alternative`."""
  other = 1.0 if given.scale != 1 else 255.0
  larger = _times(given.std, 255.0)
  return [
    (f'scale {other:g}', (other, given.mean, given.std)),
    ('a further division by 255', (given.scale, given.mean, larger)),
    ('no mean and std', (given.scale, PLAIN.mean, PLAIN.std)),
    ('values of 0 to 1', (255.0, PLAIN.mean, PLAIN.std)),
    ('values of 0 to 255', (1.0, PLAIN.mean, PLAIN.std)),
    ('values of -1 to 1', (127.5, (1.0, 1.0, 1.0), PLAIN.std)),
    ("ImageNet's mean and std", (255.0, IMAGENET_MEAN, IMAGENET_STD)),
    (
      "ImageNet's mean, of 0 to 255, and no std",
      (1.0, _times(IMAGENET_MEAN, 255.0), PLAIN.std),
    ),
  ]


def _alternative(
  given: InputFormat,
  title: str,
  color: str,
  normalization: _Normalization,
  changes: int,
) -> Alternative:
  if 'ImageNet' in title and color == 'BGR':
    normalization = _turned(normalization)
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
