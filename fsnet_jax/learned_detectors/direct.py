"""Direct prediction: a network that learns S's errors from what S says."""

from pathlib import Path
from typing import Any

import optax
from jaxtyping import Array

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors import correctness
from fsnet_jax.learned_detectors.base import (
  Loaded,
  OnShiftedImages,
  Setting,
)
from fsnet_jax.learned_detectors.cost import Cost
from input_pipeline.transforms import Transform


def _pictures(constants: Any, images: Array, logits: Array):
  """The image alone."""
  del constants, logits
  return (images,)


class Direct:
  """SynthCP's baseline of that name (`config.fit.direct`)."""

  name = 'direct'
  section = 'direct'
  needs_predictions = True

  def augment(self, config: Any) -> tuple[Transform, ...]:
    """How its training images are changed."""
    del config
    return ()

  def check(self, config: Any) -> None:
    """Nothing beyond numbers, which `config.validation` checks."""

  def train(self, setting: Setting, folder: Path) -> Cost:
    """Trains the network; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    config, options = setting.config, setting.config.fit.direct
    optimizer = optax.adam(options.learning_rate)
    params, stats = correctness.initial_variables(config, 1)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title='Direct',
        steps=options.steps,
        batch_size=options.batch_size,
        state=fit_loop.new_state(
          config, params, {'batch_stats': stats}, optimizer
        ),
        step=correctness.make_step(
          config, setting.network, _pictures, optimizer
        ),
        constants={'s': setting.variables},
        augment=self.augment(config),
        predictions=self.needs_predictions,
      ),
      folder,
    )
    return Cost(images=options.steps * options.batch_size)

  def load(self, config: Any, folder: Path) -> Loaded:
    """Reads the network; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop

    params, stats = correctness.initial_variables(config, 1)
    like = {'params': params, 'stats': {'batch_stats': stats}}
    network = correctness.network_of(config)

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      own = {'params': variables['params'], **variables['stats']}
      logits = forward.segmentation.logits
      return -network.apply(own, (forward.images,), logits)[0]

    return Loaded(fit_loop.load(folder, like), outputs)


class DirectShift(OnShiftedImages, Direct):
  """The same, trained on the images that phase 3 learns from."""

  name = 'direct_shift'
