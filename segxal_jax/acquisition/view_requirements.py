"""Does the pool have the posed views that a strategy needs?"""

from common_lib.errors import UserError
from input_pipeline.sources import Source
from segxal_jax import acquisition


def check(name: str, source: Source) -> None:
  """Checks the pool before anything is compiled.

  Args:
    name: of the strategy.
    source: the pool.

  Raises:
    UserError: the strategy compares views of a scene, and the pool is of
      single images, or without depth.
  """
  strategy = acquisition.create(name)
  if strategy.requirements.auxiliary_model != 'views':
    return
  if not {'camera', 'depth'} <= source[0].keys():
    raise UserError(
      f'config.acquisition.strategy={strategy.name} needs several views of '
      'each scene with camera pose and depth, which single images do not '
      "have: set config.data.name='street_views' and "
      "config.depth.provider='dataset', or choose another strategy."
    )
