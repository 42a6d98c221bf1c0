"""Direct prediction: a network that learns S's errors from what S says."""

from pathlib import Path
from typing import Any

import optax
from jaxtyping import Array

from fsnet_jax.builders.fits import DirectOptions, FitOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors import correctness
from fsnet_jax.learned_detectors.base import (
  Loaded,
  OnShiftedImages,
  Setting,
  images_of,
)
from fsnet_jax.learned_detectors.cost import Cost


def _pictures(constants: Any, images: Array, logits: Array):
  """The image alone."""
  del constants, logits
  return (images,)


class Direct:
  """SynthCP's baseline of that name (`config.fit.direct`)."""

  name = 'direct'
  section = 'direct'
  needs_predictions = True

  def check(self, options: FitOptions[DirectOptions]) -> None:
    """Nothing beyond numbers, which `config.validation` checks."""

  def train(self, setting: Setting[DirectOptions], folder: Path) -> Cost:
    """Trains the network; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    options, own = setting.options, setting.options.own
    optimizer = optax.adam(own.learning_rate)
    params, stats = correctness.initial_variables(options, 1)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title='Direct',
        steps=own.steps,
        batch_size=own.batch_size,
        state=fit_loop.new_state(
          options, params, {'batch_stats': stats}, optimizer
        ),
        step=correctness.make_step(
          options, setting.network, _pictures, optimizer
        ),
        constants={'s': setting.variables},
        augment=images_of(options),
        predictions=self.needs_predictions,
      ),
      folder,
    )
    return Cost(images=own.steps * own.batch_size)

  def load(self, options: FitOptions[DirectOptions], folder: Path) -> Loaded:
    """Reads the network; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop

    like = correctness.like_of(options, 1)
    network = correctness.network_of(options)

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      own = {'params': variables['params'], **variables['stats']}
      logits = forward.segmentation.logits
      return -network.apply(own, (forward.images,), logits)[0]

    return Loaded(fit_loop.load(folder, like), outputs)


class DirectShift(OnShiftedImages, Direct):
  """The same, trained on the images that phase 3 learns from."""

  name = 'direct_shift'
