"""SynthCP: re-synthesise the image from S's prediction, then compare."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array

from common_lib.errors import UserError
from fsnet_jax.builders.fits import FitOptions, SynthCpOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors import correctness
from fsnet_jax.learned_detectors.base import (
  Loaded,
  OnShiftedImages,
  Setting,
  images_of,
)
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.learned_detectors.generator import training
from fsnet_jax.models.baselines import spade
from fsnet_jax.models.baselines.discriminator import LAYERS
from fsnet_jax.models.network import Network

# Below it, the discriminator's second scale has no cell left to normalise.
_SMALLEST = 32


def resynthesised(network: Network, variables: Any, logits: Array) -> Array:
  """What the generator draws from S's prediction.

  Args:
    network: the generator.
    variables: of it.
    logits: [b h w c] of S.

  Returns:
    [b h w 3] RGB, 0..255 in whole steps, float32.
  """
  prediction = jnp.argmax(logits, axis=-1)
  return spade.to_pixels(network.apply(variables, prediction))


class SynthCp:
  """Generator, discriminator and comparison network (`config.fit.synthcp`).

  The generator learns from labels; the comparison network from what the
  generator draws of predictions.
  """

  name = 'synthcp'
  section = 'synthcp'
  needs_predictions = True

  def check(self, options: FitOptions[SynthCpOptions]) -> None:
    """Raises UserError for a size or a file that it cannot use."""
    size = options.image_size
    if min(size) < _SMALLEST or not spade.doublings(size):
      raise UserError(
        f'config.image_size is {size}: the {len(LAYERS)} layers of the '
        f'discriminator and the doublings of the generator of synthcp need '
        f'even sizes of at least {_SMALLEST}.'
      )
    training.vgg19_parameters(options.own.vgg19)

  def train(self, setting: Setting[SynthCpOptions], folder: Path) -> Cost:
    """Trains the generator, then the comparison; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    options, own = setting.options, setting.options.own
    training.train(setting, folder / 'generator')
    drawn = training.load_generator(options, folder / 'generator')
    draw = training.generator(options)

    def pictures(constants: Any, images: Array, logits: Array):
      redrawn = resynthesised(draw, constants['generator'], logits)
      return images, redrawn

    optimizer = optax.adam(own.learning_rate)
    params, stats = correctness.initial_variables(options, 2)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title='SynthCP comparison',
        steps=own.steps,
        batch_size=own.batch_size,
        state=fit_loop.new_state(
          options, params, {'batch_stats': stats}, optimizer
        ),
        step=correctness.make_step(
          options, setting.network, pictures, optimizer
        ),
        constants={'s': setting.variables, 'generator': drawn},
        augment=images_of(options),
        predictions=self.needs_predictions,
      ),
      folder / 'comparison',
    )
    images = own.gan_steps * own.gan_batch_size
    return Cost(images=images + own.steps * own.batch_size)

  def load(self, options: FitOptions[SynthCpOptions], folder: Path) -> Loaded:
    """Reads generator and comparison; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop

    like = correctness.like_of(options, 2)
    variables = {
      'generator': training.load_generator(options, folder / 'generator'),
      'comparison': fit_loop.load(folder / 'comparison', like),
    }
    network, draw = correctness.network_of(options), training.generator(options)

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      logits, found = forward.segmentation.logits, variables['comparison']
      redrawn = resynthesised(draw, variables['generator'], logits)
      own = {'params': found['params'], **found['stats']}
      return -network.apply(own, (forward.images, redrawn), logits)[0]

    return Loaded(variables, outputs)


class SynthCpShift(OnShiftedImages, SynthCp):
  """The same, trained on the images that phase 3 learns from."""

  name = 'synthcp_shift'
