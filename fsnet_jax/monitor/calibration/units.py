"""What a calibration counts: images, or groups of images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from common_lib import random_streams
from common_lib.errors import UserError
from fsnet_jax.builders.calibration import CalibrationOptions
from fsnet_jax.monitor import risk_control
from fsnet_jax.monitor.risk_control import Bound
from input_pipeline.sources import Source


@dataclasses.dataclass(frozen=True)
class Units:
  """Two disjoint parts of some labelled images.

  Attributes:
    kind: 'image' or 'group'.
    of_image: the unit of each image.
    fit: indices of the images that P(wrong) and the grid are fitted on.
    calibrate: of those that the threshold is chosen on, unit by unit in an
      order that was drawn before.
    count: units among the latter.
  """

  kind: str
  of_image: tuple[str, ...]
  fit: tuple[int, ...]
  calibrate: tuple[int, ...]
  count: int


def divided(source: Source, options: CalibrationOptions) -> Units:
  """Shares the units of a source out.

  Raises:
    UserError: too few units for any guarantee.
  """
  scenes = [source[index] for index in range(len(source))]
  names = [str(scene.get('sequence', '')) for scene in scenes]
  kind = _kind(options, names)
  of_image = (
    names if kind == 'group' else [f'{i:09d}' for i in range(len(names))]
  )
  units = sorted(set(of_image))
  rng = np.random.default_rng(random_streams.derived(options.seed, 'calibrate'))
  order = [units[i] for i in rng.permutation(len(units))]
  fitted = max(1, math.ceil(options.fit_share * len(units)))
  kept = order[fitted:]
  _check_enough(options, kind, len(units), fitted, len(kept))
  place = {unit: index for index, unit in enumerate(order)}
  by_place = sorted(range(len(of_image)), key=lambda i: place[of_image[i]])
  fit = [i for i in by_place if place[of_image[i]] < fitted]
  calibrate = [i for i in by_place if place[of_image[i]] >= fitted]
  return Units(kind, tuple(of_image), tuple(fit), tuple(calibrate), len(kept))


def _kind(options: CalibrationOptions, names: Sequence[str]) -> str:
  """Groups where the data set names any; drawn streets are independent."""
  if options.unit != 'auto':
    if options.unit == 'group' and not all(names):
      raise UserError(
        f"config.calibrate.unit is 'group', but {options.dataset} names no "
        'groups: give it a groups.csv (docs/guide/datasets.md).'
      )
    return options.unit
  drawn = options.dataset.partition('/')[0].partition(':')[0] == 'streets'
  alone = len(set(names)) == len(names)
  return 'group' if all(names) and not (drawn or alone) else 'image'


def bound_of(options: CalibrationOptions, units: int) -> Bound:
  """How the risk is bounded, by what is promised and the number of units."""
  if options.guarantee == 'mean':
    return 'crc'
  return risk_control.bound_for(units)


def _check_enough(
  options: CalibrationOptions, kind: str, total: int, fitted: int, kept: int
) -> None:
  """Raises UserError for fewer units than any threshold needs."""
  bound = bound_of(options, kept)
  fewest = risk_control.fewest_units(options.limit, options.confidence, bound)
  if kept >= fewest:
    return
  promise = f'{100 * options.limit:g} %'
  if bound != 'crc':
    promise += f' with {100 * options.confidence:g} % confidence'
  hint = ''
  if kind == 'group' and options.unit == 'auto':
    hint = (
      ', or set config.calibrate.unit=image if images of one group were taken '
      'independently of each other'
    )
  raise UserError(
    f'{options.dataset} has {total} {kind}s, of which {fitted} fit P(wrong) '
    f'and {kept} are left: a limit of {promise} needs at least {fewest}. Give '
    f'more labelled images, or raise config.calibrate.limit{hint}.'
  )
