"""From a config to the options of a calibration."""

import dataclasses
from typing import Literal

from ml_collections import ConfigDict

from common_lib.errors import UserError


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
  """What is promised, of which detector, on which images.

  Attributes:
    dataset: spec of the labelled images.
    detector: whose P(wrong) it is.
    risk: 'passing' or 'undetected'.
    limit: of the risk, in (0, 1).
    confidence: in (0, 1).
    guarantee: 'high_probability', or 'mean' over calibration sets.
    unit: 'image', 'group', or 'auto'.
    fit_share: share of the units that P(wrong) and the grid are fitted on.
    thresholds: of the grid.
    seed: of the order of the units.
  """

  dataset: str
  detector: str
  risk: Literal['passing', 'undetected']
  limit: float
  confidence: float
  guarantee: Literal['high_probability', 'mean']
  unit: Literal['auto', 'image', 'group']
  fit_share: float
  thresholds: int
  seed: int


def calibration_options(config: ConfigDict) -> CalibrationOptions:
  """As the config has them; without a data set, the validation split.

  Raises:
    UserError: there is no data set, or a guarantee that there is not.
  """
  options = config.calibrate
  dataset = options.dataset
  if not dataset and config.data.validation_split:
    split = config.data.validation_split
    separator = '' if split.startswith(':') else '/'
    dataset = f'{config.data.name}{separator}{split}'
  if not dataset:
    raise UserError(
      'config.calibrate.dataset is empty: name labelled images that nothing '
      "was trained or chosen on, such as 'folder:calibration'."
    )
  if options.guarantee == 'mean' and options.risk == 'passing':
    raise UserError(
      "config.calibrate.guarantee='mean' is for a risk that never falls along "
      "the threshold: set config.calibrate.risk='undetected'."
    )
  return CalibrationOptions(
    dataset=dataset,
    detector=options.detector,
    risk=options.risk,
    limit=options.limit,
    confidence=options.confidence,
    guarantee=options.guarantee,
    unit=options.unit,
    fit_share=options.fit_share,
    thresholds=options.thresholds,
    seed=config.seed,
  )
