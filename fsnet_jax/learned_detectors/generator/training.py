"""Trains SynthCP's generator on the training images and their labels."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.builders.fits import FitOptions, SynthCpOptions
from fsnet_jax.learned_detectors.base import Batch, FitState, Setting
from fsnet_jax.learned_detectors.generator import losses
from fsnet_jax.models.baselines import spade, vgg19
from fsnet_jax.models.baselines.discriminator import MultiscaleDiscriminator
from fsnet_jax.models.layers import class_maps
from fsnet_jax.models.layers.initializers import (
  host_init,
  host_shapes,
)
from fsnet_jax.models.network import output_of

_BETAS = {'b1': 0.0, 'b2': 0.9}


def generator(options: FitOptions[SynthCpOptions]) -> spade.SpadeGenerator:
  """The generator at the fit's width and precision."""
  return spade.SpadeGenerator(
    options.num_classes,
    options.own.gan_width,
    jnp.dtype(options.compute_dtype),
  )


def _discriminator(
  options: FitOptions[SynthCpOptions],
) -> MultiscaleDiscriminator:
  return MultiscaleDiscriminator(
    options.own.gan_width, jnp.dtype(options.compute_dtype)
  )


def initial_generator(options: FitOptions[SynthCpOptions]) -> tuple[Any, Any]:
  """Parameters and the other variables of the generator, before a step."""
  labels = _labels(options)
  return _parts(host_init(generator(options), options.seed, labels))


def _labels(options: FitOptions[SynthCpOptions]) -> jax.ShapeDtypeStruct:
  """Shape of the classes of an image's pixels."""
  return jax.ShapeDtypeStruct((1, *options.image_size), jnp.int32)


def _parts(variables: dict[str, Any]) -> tuple[Any, Any]:
  rest = {k: v for k, v in variables.items() if k != 'params'}
  return variables['params'], rest


def _initial(
  options: FitOptions[SynthCpOptions],
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Parameters and the other variables of both networks."""
  shape = (1, *options.image_size, options.num_classes)
  planes = jax.ShapeDtypeStruct(shape, jnp.float32)
  picture = jax.ShapeDtypeStruct((*shape[:3], 3), jnp.float32)
  drawn = initial_generator(options)
  judged = _parts(
    host_init(_discriminator(options), options.seed, planes, picture)
  )
  return (
    {'generator': drawn[0], 'discriminator': judged[0]},
    {'generator': drawn[1], 'discriminator': judged[1]},
  )


def optimizer(
  options: FitOptions[SynthCpOptions],
) -> optax.GradientTransformation:
  """Adam for each network, at its own rate."""
  own = options.own
  return optax.partition(
    {
      'generator': optax.adam(own.generator_learning_rate, **_BETAS),
      'discriminator': optax.adam(own.discriminator_learning_rate, **_BETAS),
    },
    lambda params: {
      name: jax.tree.map(lambda _, name=name: name, tree)
      for name, tree in params.items()
    },
  )


@dataclasses.dataclass(frozen=True)
class _Losses:
  """Of both networks, with what their variables become."""

  draw: spade.SpadeGenerator
  judge: MultiscaleDiscriminator

  def generator(self, params, state, constants, labels, planes, photos):
    """The generator's loss, by `params`; the rest is in `state`."""
    stats = state.stats['generator']
    pictures, g_stats = self.draw.apply(
      {'params': params, **stats}, labels, True, mutable=list(stats)
    )
    real, fake, d_stats = self._judged(
      state.params['discriminator'],
      state.stats['discriminator'],
      planes,
      jnp.concatenate([pictures, photos]),
    )
    scalars = {
      'adversarial': losses.generator_hinge(fake),
      'features': losses.feature_matching(real, fake),
    }
    loss = scalars['adversarial']
    loss += losses.FEATURE_WEIGHT * scalars['features']
    if constants['vgg19']:
      scalars['perceptual'] = _perceptual(constants, photos, pictures)
      loss += losses.PERCEPTUAL_WEIGHT * scalars['perceptual']
    return loss, (pictures, g_stats, d_stats, scalars | {'loss': loss})

  def discriminator(self, params, stats, planes, pictures):
    """The discriminator's loss; `pictures` are drawn ones, then photos."""
    real, fake, stats = self._judged(params, stats, planes, pictures)
    return losses.discriminator_hinge(real, fake), stats

  def _judged(self, params, stats, planes, pictures):
    """Photographs and drawn pictures as one batch, as SPADE judges them."""
    both = jnp.concatenate([planes, planes])
    outputs, stats = self.judge.apply(
      {'params': params, **stats}, both, pictures, True, mutable=list(stats)
    )
    half = planes.shape[0]
    fake = [[x[:half] for x in scale] for scale in outputs]
    real = [[x[half:] for x in scale] for scale in outputs]
    return real, fake, stats


def make_step(
  options: FitOptions[SynthCpOptions], opt: optax.GradientTransformation
) -> Callable[[FitState, Any, Batch], tuple[FitState, dict[str, Array]]]:
  """One update of both networks, to be compiled by the caller.

  The discriminator learns from the pictures that the generator has just
  drawn, with the generator as it was before the update.

  Args:
    options: of the fit.
    opt: of `optimizer`.

  Returns:
    `(state, constants, batch) -> (state, scalars)`; `constants['vgg19']`
    holds that network's parameters or nothing.
  """
  losses = _Losses(generator(options), _discriminator(options))

  def step(state: FitState, constants: Any, batch: Batch):
    labels = batch['label']
    planes = class_maps.one_hot(labels, options.num_classes)
    photos = batch['image'].astype(jnp.float32) / 127.5 - 1
    drawn = jax.grad(losses.generator, has_aux=True)
    g_grads, (pictures, g_stats, d_stats, scalars) = drawn(
      state.params['generator'], state, constants, labels, planes, photos
    )
    both = jnp.concatenate([jax.lax.stop_gradient(pictures), photos])
    learn = jax.value_and_grad(losses.discriminator, has_aux=True)
    (d_loss, d_stats), d_grads = learn(
      state.params['discriminator'], d_stats, planes, both
    )
    grads = {'generator': g_grads, 'discriminator': d_grads}
    updates, opt_state = opt.update(grads, state.opt_state, state.params)
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      stats={'generator': g_stats, 'discriminator': d_stats},
      opt_state=opt_state,
    )
    return state, scalars | {'discriminator': d_loss}

  return step


def _perceptual(
  constants: Any, photos: Array, pictures: Array
) -> Float[Array, '']:
  network = vgg19.VGG19()
  variables = {'params': constants['vgg19']}
  return losses.perceptual(
    output_of(network, variables, photos),
    output_of(network, variables, pictures),
  )


def train(setting: Setting[SynthCpOptions], folder: Path) -> FitState:
  """Trains both networks, or resumes; see `fit_loop.run`."""
  from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

  options, own = setting.options, setting.options.own
  params, stats = _initial(options)
  opt = optimizer(options)
  return fit_loop.run(
    setting,
    fit_loop.Job(
      title='SynthCP generator',
      steps=own.gan_steps,
      batch_size=own.gan_batch_size,
      state=fit_loop.new_state(options, params, stats, opt),
      step=make_step(options, opt),
      constants={'vgg19': vgg19_parameters(own.vgg19)},
      augment=('flip',),
      predictions=False,
    ),
    folder,
  )


def load_generator(
  options: FitOptions[SynthCpOptions], folder: Path
) -> dict[str, Any]:
  """The generator's variables at the end of `train`, NumPy arrays."""
  from fsnet_jax.learned_detectors import fit_loop

  _, variables = host_shapes(generator(options), _labels(options))
  params, stats = _parts(variables)
  found = fit_loop.load(
    folder, {'params': {'generator': params}, 'stats': {'generator': stats}}
  )
  return {'params': found['params']['generator'], **found['stats']['generator']}


def vgg19_parameters(path: str) -> dict[str, Any]:
  """VGG19's convolutions from an archive; empty for ''.

  Args:
    path: .npz with `conv1_1.weight` (out, in, rows, columns, as PyTorch lays
      it out) and `conv1_1.bias`, and so on to `conv5_1`.

  Raises:
    UserError: the file cannot be read, or lacks a layer.
  """
  if not path:
    return {}
  like = jax.eval_shape(
    lambda: vgg19.VGG19().init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  )['params']
  try:
    with np.load(path, allow_pickle=False) as archive:
      found = {
        name: {
          'kernel': archive[f'{name}.weight'].transpose(2, 3, 1, 0),
          'bias': archive[f'{name}.bias'],
        }
        for name in like
      }
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'config.fit.synthcp.vgg19 names {path}, which cannot be read as an '
      f'.npz of VGG19 ({error}): it needs conv1_1.weight, conv1_1.bias, ... '
      'to conv5_1.'
    ) from None
  for name, layer in found.items():
    if layer['kernel'].shape != like[name]['kernel'].shape:
      raise UserError(
        f'config.fit.synthcp.vgg19 names {path}, whose {name}.weight has '
        'another shape than VGG19: give that network.'
      )
  return jax.tree.map(lambda x: np.asarray(x, np.float32), found)
