"""The TFDS builder of drawn streets."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds

from common_lib.errors import UserError
from input_pipeline.datasets import base
from street_scenes.render.domains import (
  DOMAINS,
  RENDERER_VERSION,
  SMALLEST_SIDE,
  SPLITS,
  draw,
)

SPECS = f'streets[/{"|".join(DOMAINS)}][:{"|".join(SPLITS)}]'

# Numbers of scenes unless the request names others.
DEFAULT_EXAMPLES = {'train': 600, 'validation': 100, 'test': 100}

_SEED = 0


class Streets(base.SceneBuilder):
  """TFDS builder of one domain and split."""

  VERSION = tfds.core.Version(RENDERER_VERSION)

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Draws one scene; see `SceneBuilder.load`."""
    origin = scene.origin
    picture = draw(
      origin['domain'],
      origin['split'],
      origin['index'],
      self.request.image_size,
      origin['seed'],
    )
    arrays = {'image': picture.image, 'label': picture.label}
    if self.request.depth:
      arrays['depth'] = picture.depth
    return arrays


def has_depth(request: base.DataRequest) -> bool:
  """They are drawn with it; see `base`."""
  del request
  return True


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens drawn streets, drawing them unless a copy is there.

  Args:
    variant: the domain, 'day' by default, or several joined by '+': each
      street is then drawn in one of them, in turns; who is named more often
      gets more of them.
    split: 'train', 'validation' or 'test' (default).
    request: `num_examples` decides how many; `root` and `on_error` have no
      effect. With `depth`, the sky has `raster.SKY_DEPTH`.

  Returns:
    The scenes; `sequence` is the domain.

  Raises:
    UserError: an unknown domain or split, or a size that is too small.
  """
  variant, split = variant or DOMAINS[0], split or SPLITS[-1]
  domains = variant.split('+')
  for domain in domains:
    if domain not in DOMAINS:
      raise UserError(
        f'streets has no domain {domain!r}; use one of {", ".join(DOMAINS)},'
        ' or several joined by +'
      )
  if split not in SPLITS:
    raise UserError(
      f'streets has no split {split!r}; use one of {", ".join(SPLITS)}'
    )
  if min(request.image_size) < SMALLEST_SIDE:
    raise UserError(
      f'image_size {request.image_size} is too small for streets; both sides'
      f' must be at least {SMALLEST_SIDE}'
    )
  count = request.num_examples.get(split, DEFAULT_EXAMPLES[split])
  scenes = []
  for index in range(count):
    domain = domains[index % len(domains)]
    origin = {'domain': domain, 'split': split, 'index': index, 'seed': _SEED}
    name = f'{domain}_{split}_{index:06d}'
    scenes.append(base.Scene(id=name, sequence=domain, origin=origin))
  name = f'{variant}-{split}-{count}'
  return base.open_prepared(Streets.create(name, {split: scenes}, request))
