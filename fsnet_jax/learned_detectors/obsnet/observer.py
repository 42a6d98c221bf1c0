"""ObsNet: a network beside S that learns where S fails under local attacks."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from common_lib.errors import UserError
from fsnet_jax.builders.fits import FitOptions, ObsNetOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.base import (
  Batch,
  Loaded,
  Setting,
  Variables,
)
from fsnet_jax.learned_detectors.corrections import conv, update
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.learned_detectors.obsnet.attack import attacked, random_shapes
from fsnet_jax.models.segmentation.external import is_external
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork


class ObsNet:
  """An observer of the frozen S (`config.fit.obsnet`).

  Published, it is a copy of S that begins with S's weights and adds S's
  features to its own at every stage. Here it is a `FailureNet` with one
  encoder, which sees the image and what S says of it (the logits and their
  softmax) and meets S_E(x) where its decoder begins; every S gives those. Its
  loss is plain, where the published one weighs wrong pixels two or three
  times: the log-odds differ by a constant. The published code attacks the
  true class, or towards a random other one, and adds noise in the shapes.

  Reference: Besnier et al., Triggering Failures: Out-Of-Distribution detection
  by learning from local adversarial attacks in Semantic Segmentation, 2021.
  """

  name = 'obsnet'
  # There are no others than S's own of an attacked image.
  needs_predictions = False

  def check(self, options: FitOptions[ObsNetOptions]) -> None:
    """Raises UserError for attacks on an S that has no gradient."""
    share = options.own.attack_share
    if share and is_external(options.segmentation()):
      raise UserError(
        f'config.fit.obsnet.attack_share is {share}, but a network from '
        'elsewhere gives no gradient to attack it by: set it to 0.'
      )

  def train(self, setting: Setting[ObsNetOptions], folder: Path) -> Cost:
    """Trains the observer; see `FittedDetector`."""
    options, own = setting.options, setting.options.own
    return update.train(
      setting,
      'ObsNet',
      conv.initial_variables(options, own.network),
      loss_of(setting.network, own),
      folder,
      augment=own.augment,
    )

  def load(self, options: FitOptions[ObsNetOptions], folder: Path) -> Loaded:
    """Reads the observer; its outputs are log-odds of being misclassified."""
    from fsnet_jax.learned_detectors import fit_loop

    network = options.own.network

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      return conv.failure_logits(network, variables, forward)

    like = conv.like_of(options, network)
    return Loaded(fit_loop.load(folder, like), outputs)


def loss_of(s: SegmentationNetwork, options: ObsNetOptions) -> update.Loss:
  """What the observer's training lowers: cross-entropy of S's errors.

  Args:
    s: the frozen S.
    options: of the fit.
  """

  def change(variables: Variables, batch: Batch, key: Array) -> Batch:
    return under_attack(s, variables, batch, key, options)

  return conv.loss_of(s, options.network, change)


def under_attack(
  s: SegmentationNetwork,
  variables: Variables,
  batch: Batch,
  key: Array,
  options: ObsNetOptions,
) -> Batch:
  """The batch with some of its images attacked; labels stay.

  Args:
    s: the frozen S.
    variables: of S.
    batch: with `image`, uint8 [b h w 3].
    key: decides which images, and where.
    options: of the fit; without attacks nothing is changed or computed.

  Returns:
    Another batch; its images are float32, 0..255.
  """
  if not options.attack_share:
    return batch
  images = batch['image'].astype(jnp.float32)
  count, height, width, _ = images.shape
  chosen, where = jax.random.split(key)
  drawn = jax.random.uniform(chosen, (count, 1, 1)) < options.attack_share
  inside = drawn & random_shapes(where, count, (height, width))
  moved = attacked(s, variables, images, inside, options.attack_size)
  return {**batch, 'image': moved}
