"""From a config to when its loop ends."""

import dataclasses

from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class StopOptions:
  """`config.stop`; 0 is no limit.

  Attributes:
    cycles: queries in all.
    images, pixels, clicks: the budget, of what has been paid for.
    plateau_patience: cycles without a rise of the validation mIoU.
    plateau_min_delta: what counts as a rise, 0 to 1.
  """

  cycles: int
  images: int
  pixels: int
  clicks: int
  plateau_patience: int
  plateau_min_delta: float


def stop_options(config: ConfigDict) -> StopOptions:
  """As the config has them."""
  return StopOptions(**config.stop)
