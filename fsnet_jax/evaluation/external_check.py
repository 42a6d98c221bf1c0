"""The command `--mode=check`: a network from elsewhere on a few images."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from common_lib.class_table import VOID
from common_lib.console import say, show
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources, external
from input_pipeline.external import check
from input_pipeline.external.check.report import MOST_IMAGES
from input_pipeline.sources import Source


def run(config: ConfigDict) -> None:
  """Shows what labelled training images say of the network.

  Args:
    config: of a failure network over it (configs/own.py).

  Raises:
    UserError: S is a network of this package, the network cannot be opened or
      gives no logits, or no image has a label.
  """
  if not external.is_external(config):
    raise UserError(
      '--mode=check looks at a network from elsewhere, and '
      f'config.segmentation.name is {config.segmentation.name!r}: give '
      '--config=configs/own.py with config.segmentation.path.'
    )
  # With the options that it says are wrong, training would be refused.
  network = external.network(config)
  source = data_sources.training_source(config)
  images = _labelled(source)
  if not images:
    raise UserError(
      f'none of the {len(source)} images of '
      f'{config.data.name} {config.data.train_split} has a labelled pixel: '
      'give labelled images in config.data.train_split.'
    )
  say(
    f'{config.segmentation.path} on {len(images)} of the {len(source)} '
    f'labelled images of {config.data.name} {config.data.train_split}'
  )
  show('\n'.join(check.lines(check.run(network, images))))


def _labelled(source: Source) -> list[check.LabelledImage]:
  """Images spread evenly over a source, those without any label left out."""
  count = min(MOST_IMAGES, len(source))
  chosen = np.linspace(0, len(source) - 1, count).round().astype(int)
  found = []
  for index in dict.fromkeys(chosen.tolist()):
    scene = source[index]
    label = np.asarray(scene['label'])
    if (label != VOID).any():
      image = np.asarray(scene['image'])
      found.append(check.LabelledImage(str(scene['id']), image, label))
  return found
