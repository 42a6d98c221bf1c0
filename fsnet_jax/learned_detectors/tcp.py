"""TCP: a confidence head that learns the probability of the true class."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.builders.fits import FitOptions, TcpOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors import losses
from fsnet_jax.learned_detectors.base import (
  FitState,
  Loaded,
  OnShiftedImages,
  Setting,
  Variables,
  images_of,
  logits_of,
  valid_pixels,
)
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.baselines import confidnet
from fsnet_jax.models.layers.initializers import (
  host_init,
  host_shapes,
)
from fsnet_jax.models.network import output_of
from fsnet_jax.models.segmentation.external import (
  ExternalSegmentation,
  is_external,
)
from fsnet_jax.models.segmentation.outputs import output_of_batch
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork

# Whose published code scales its images wrongly.
_OF_SYNTHCP = ('fcn8', 'deeplab_v2')


class Tcp:
  """ConfidNet over S, as SynthCP trains it (`config.fit.tcp`).

  With `backbone='tuned'` the head stands on a copy of S that learns with it;
  the copy's classifier gets no gradient. With 'frozen' it stands on S
  itself, which an evaluation runs once for both.
  """

  name = 'tcp'
  section = 'tcp'
  needs_predictions = True

  def check(self, options: FitOptions[TcpOptions]) -> None:
    """Raises UserError for an option that does not exist."""
    own = options.own
    for field, choices in (
      ('backbone', ('tuned', 'frozen')),
      ('input', confidnet.INPUTS),
      ('alignment', confidnet.ALIGNMENTS),
    ):
      value = getattr(own, field)
      if value not in choices:
        raise UserError(
          f'config.fit.tcp.{field} is {value!r}: choose one of '
          f'{", ".join(choices)}.'
        )
    network = options.segmentation()
    if isinstance(network, ExternalSegmentation):
      _check_external(options, network)
    name = options.init.network
    if own.input == 'synthcp' and name not in _OF_SYNTHCP:
      raise UserError(
        "config.fit.tcp.input='synthcp' is for fcn8 and deeplab_v2, whose "
        f"images SynthCP scales wrongly; set it to 'segmentation' for {name}."
      )

  def initial(
    self,
    options: FitOptions[TcpOptions],
    network: SegmentationNetwork,
    s: Variables,
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and statistics before the first step.

    Args:
      options: of the fit.
      network: S.
      s: its variables, which the copy under a tuned head begins with.
    """
    params, stats = {'head': _initial_head(options, network)}, {}
    if options.own.backbone == 'tuned':
      params['backbone'] = s['params']
      stats['backbone'] = s.get('batch_stats', {})
    return params, stats

  def train(self, setting: Setting[TcpOptions], folder: Path) -> Cost:
    """Trains the head; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    options, own = setting.options, setting.options.own
    optimizer = optax.adam(own.learning_rate)
    params, stats = self.initial(options, setting.network, setting.variables)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title='TCP',
        steps=own.steps,
        batch_size=own.batch_size,
        state=fit_loop.new_state(options, params, stats, optimizer),
        step=make_step(options, setting.network, optimizer),
        constants=setting.variables,
        augment=images_of(options),
        predictions=self.needs_predictions,
      ),
      folder,
    )
    return Cost(images=own.steps * own.batch_size)

  def load(self, options: FitOptions[TcpOptions], folder: Path) -> Loaded:
    """Reads the head, and its own copy of S; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop

    network = options.segmentation()
    shapes = _shapes_of_s(options, network)
    params, stats = self.initial(options, network, shapes)
    variables = fit_loop.load(folder, {'params': params, 'stats': stats})
    confidence = make_confidence(options, network)

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      own = {**variables, 's': s}
      features = forward.segmentation.features
      return -confidence(own, forward.images, features, False, None)[0]

    return Loaded(variables, outputs)


def _check_external(
  options: FitOptions[TcpOptions], network: ExternalSegmentation
) -> None:
  """Raises UserError for what TCP cannot do with an S from elsewhere."""
  if options.own.backbone != 'frozen':
    raise UserError(
      f'config.fit.tcp.backbone is {options.own.backbone!r}: an S from '
      "elsewhere cannot be tuned; set it to 'frozen'."
    )
  if not network.feature_channels:
    raise UserError(
      'tcp stands on inner features of S, and this network gives none: name an '
      'inner tensor in `outputs.features` of its model.json, or leave tcp out.'
    )


class TcpAsSynthCp(Tcp):
  """TCP with the two faults of SynthCP's code, else as `config.fit.tcp`.

  Its copy of S sees images 57 times smaller than those that S was trained
  on, and the maps of FCN8's padded image are stretched over the image.
  """

  name = 'tcp_synthcp'

  def check(self, options: FitOptions[TcpOptions]) -> None:
    """Raises UserError for an option or a network that does not exist."""
    if options.init.network not in _OF_SYNTHCP:
      raise UserError(
        'tcp_synthcp is for fcn8 and deeplab_v2, whose images SynthCP scales '
        'wrongly; fit tcp in its place for '
        f'{options.init.network}.'
      )
    super().check(options)


class TcpShift(OnShiftedImages, Tcp):
  """The same, trained on the images that phase 3 learns from."""

  name = 'tcp_shift'


def make_confidence(
  options: FitOptions[TcpOptions], network: SegmentationNetwork
) -> Callable[..., Any]:
  """The head on the backbone that the config gives it.

  Returns:
    `(variables, images, features, train, key) -> (logits [b h w],
    statistics)`; `variables` has 'params', 'stats' and, for a frozen backbone,
    's'; `features` are S's, on which alone the head of an S from elsewhere
    stands.
  """
  chosen = options.own
  head = _head(options, network)
  tuned = chosen.backbone == 'tuned'

  def confidence(
    variables: Any,
    images: Float[Array, 'b h w 3'],
    features: Array,
    train: bool,
    key: Any,
  ) -> tuple[Array, Any]:
    size, stats = images.shape[1:3], variables['stats']
    if chosen.input == 'synthcp':
      images = confidnet.wrongly_scaled(images)
    if tuned:
      own = {
        'params': variables['params']['backbone'],
        'batch_stats': stats['backbone'],
      }
    else:
      own, train = variables['s'], False
    if is_external(network):
      maps = (features,)
    elif train:
      maps, updated = network.apply(
        own,
        images,
        True,
        method=confidnet.confidence_maps,
        rngs={'dropout': key},
        mutable=['batch_stats'],
      )
      stats = {**stats, 'backbone': updated.get('batch_stats', {})}
    else:
      maps = network.apply(own, images, False, method=confidnet.confidence_maps)
    own_head = {'params': variables['params']['head']}
    logits = output_of(head, own_head, maps, size)
    return logits, stats

  return confidence


def make_step(
  options: FitOptions[TcpOptions],
  network: SegmentationNetwork,
  optimizer: optax.GradientTransformation,
) -> Callable[[FitState, Any, Any], tuple[FitState, dict[str, Array]]]:
  """The update of the head, to be compiled by the caller."""
  confidence = make_confidence(options, network)

  def loss_fn(params, state, s, batch):
    valid = valid_pixels(batch)
    logits = logits_of(network, s, batch)
    target = losses.true_class_probability(logits, batch['label'])
    variables = {'params': params, 'stats': state.stats, 's': s}
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    images = batch['image'].astype(jnp.float32)
    features = output_of_batch(network, s, batch).features
    own, stats = confidence(variables, images, features, True, key)
    return losses.tcp_loss(own, target, valid), stats

  def step(state: FitState, s: Any, batch: Any):
    (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(
      state.params, state, s, batch
    )
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      stats=stats,
      opt_state=opt_state,
    )
    return state, {'loss': loss}

  return step


def _head(
  options: FitOptions[TcpOptions], network: SegmentationNetwork
) -> confidnet.ConfidenceHead:
  return confidnet.head_for(
    network,
    options.width,
    options.own.alignment,
    jnp.dtype(options.compute_dtype),
  )


def _shapes_of_s(
  options: FitOptions[TcpOptions], network: SegmentationNetwork
) -> dict[str, Any]:
  """The shapes of S's variables."""
  images = jax.ShapeDtypeStruct((1, *options.image_size, 3), jnp.float32)
  return host_shapes(network, images)[1]


def _initial_head(
  options: FitOptions[TcpOptions], network: SegmentationNetwork
) -> dict[str, Any]:
  """Parameters of a new head."""
  images = jax.ShapeDtypeStruct((1, *options.image_size, 3), jnp.float32)

  def maps_of(key: Any, images: Any) -> Any:
    return network.init_with_output(
      {'params': key}, images, False, method=confidnet.confidence_maps
    )[0]

  key = jax.eval_shape(lambda: jax.random.key(0))
  maps = jax.eval_shape(maps_of, key, images)
  size = options.image_size
  variables = host_init(
    _head(options, network), options.seed, maps, image_size=size
  )
  return variables['params']
