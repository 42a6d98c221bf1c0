"""The convolutional correction: FSNet's F, trained anew over the frozen S."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from ml_collections import ConfigDict

from fsnet_jax.builders import networks
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.base import (
  Loaded,
  Setting,
  failure_encoder_alone,
  valid_pixels,
)
from fsnet_jax.learned_detectors.corrections import update
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.network import output_of
from fsnet_jax.steps.losses import failure_target
from input_pipeline.training_mix import training_mix


class ConvCorrection:
  """`FailureNet` as a correction to MSP's log-odds (`config.fit.conv`)."""

  name = 'conv'
  needs_predictions = False
  phase3 = True

  def check(self, config: ConfigDict) -> None:
    """Nothing beyond numbers, which the table of fields checks."""

  def train(self, setting: Setting, folder: Path) -> Cost:
    """Trains the network; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    config, options = setting.config, setting.config.fit.conv
    transform = update.optimizer(
      options.learning_rate, options.weight_decay, config.phase3_steps
    )
    params, stats = initial_variables(config)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title='convolutional failure network',
        steps=config.phase3_steps,
        batch_size=options.batch_size,
        state=fit_loop.new_state(config, params, stats, transform),
        step=update.make_step(_loss(setting), transform),
        constants={'s': setting.variables},
        augment=(training_mix(config.failure.mix, config.data.augment),),
        predictions=False,
      ),
      folder,
    )
    return Cost(images=config.phase3_steps * options.batch_size)

  def load(self, config: ConfigDict, folder: Path) -> Loaded:
    """Reads the network; its outputs are corrections to MSP's log-odds."""
    from fsnet_jax.learned_detectors import fit_loop

    params, stats = initial_variables(config)
    network = network_of(config)

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      own = {'params': variables['params'], **variables['stats']}
      output = forward.segmentation
      found = output_of(
        network, own, forward.images, output.logits, output.features
      )
      return found - miss_logit(output.logits)

    like = {'params': params, 'stats': stats}
    return Loaded(fit_loop.load(folder, like), outputs)


def network_of(config: ConfigDict) -> FailureNet:
  """The config's F, as a correction whatever the joint one is."""
  return dataclasses.replace(networks.failure(config), msp_residual=True)


def initial_variables(config: ConfigDict) -> tuple[Any, Any]:
  """Parameters and statistics before the first step, NumPy arrays.

  Encoders begin with `init.failure_encoder`, as those of the joint F do.
  """
  from fsnet_jax.weights import initial

  segmentation = networks.segmentation(config)
  images = jax.ShapeDtypeStruct((1, *config.image_size, 3), jnp.float32)
  output = jax.eval_shape(
    lambda x: segmentation.init_with_output(jax.random.key(0), x)[0], images
  )
  fresh = host_init(
    network_of(config), config.seed, images, output.logits, output.features
  )
  params, stats, _ = initial.load(
    failure_encoder_alone(config),
    {'failure': fresh['params']},
    {'failure': fresh['batch_stats']},
  )
  return params['failure'], {'batch_stats': stats['failure']}


def _loss(setting: Setting) -> update.Loss:
  s, network = setting.network, network_of(setting.config)

  def loss_fn(params, stats, variables, batch, key):
    del key
    images = batch['image'].astype(jnp.float32)
    output = update.frozen_output(s, variables, images)
    logits, updated = network.apply(
      {'params': params, **stats},
      images,
      output.logits,
      output.features,
      train=True,
      mutable=['batch_stats'],
    )
    valid = valid_pixels(batch).astype(jnp.float32)
    wrong = failure_target(output.logits, batch['label'])
    loss = update.binary_cross_entropy(logits, wrong, valid)
    return loss, (updated, {'loss': loss})

  return loss_fn
