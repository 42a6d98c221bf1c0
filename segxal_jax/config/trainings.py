"""From a config to the networks of a cycle, and to how they are trained."""

import functools

import optax
from ml_collections import ConfigDict

from fsnet_jax.builders import networks, optimization
from fsnet_jax.builders.classes import class_table
from fsnet_jax.models.fsnet import FSNet
from segxal_jax import acquisition, learners
from segxal_jax.config import own_learner
from segxal_jax.learners import base
from segxal_jax.learners.networks import for_training


def model(config: ConfigDict) -> FSNet:
  """S, and F if it is trained.

  Raises:
    UserError: S cannot work at `config.image_size`.
  """
  return for_training(networks.model(config), config.phase2_steps > 0)


def of_length(config: ConfigDict, steps: int) -> ConfigDict:
  """The config of a cycle whose phase 1 has so many steps.

  The learning rate's schedule is stretched along.
  """
  if steps == config.phase1_steps:
    return config
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    longer = steps / config.phase1_steps
    changed.phase1_steps = steps
    changed.optimizer.poly_steps = round(config.optimizer.poly_steps * longer)
  return changed


def learner(config: ConfigDict) -> learners.Learner:
  """The learner that the config's strategy needs, or a user's own.

  Raises:
    UserError: the learner cannot work as configured.
  """
  if own_learner.is_command(config):
    return learners.Command(class_table(config).num_classes)
  options = config.acquisition
  strategy = acquisition.create(options.strategy)
  return learners.create(
    strategy.requirements.learner,
    base.LearnerOptions(
      strategy=options.strategy,
      phase1_steps=config.phase1_steps,
      trains_failure=config.phase2_steps > 0,
      accumulate_steps=config.accumulate_steps,
      networks=functools.partial(networks.model, config),
      optimizer=functools.partial(optimization.optimizer, config),
      one_rate_optimizer=functools.partial(_one_rate_optimizer, config),
      loss=optimization.loss_options(config),
      deal_stride=options.deal_stride,
      deal_loss=options.deal_loss,
      teacher_decay=options.teacher_decay,
      teacher_confidence=options.teacher_confidence,
    ),
  )


def _one_rate_optimizer(
  config: ConfigDict,
) -> optax.GradientTransformationExtraArgs:
  """With S's rate for what is in the place of F."""
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.optimizer.failure_learning_rate = config.optimizer.learning_rate
  return optimization.optimizer(changed)
