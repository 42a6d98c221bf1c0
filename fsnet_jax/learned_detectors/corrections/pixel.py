"""The per-pixel correction: what kind of pixel, in what kind of image."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from common_lib.class_table import VOID
from common_lib.errors import UserError
from fsnet_jax.builders.fits import FitOptions, PixelOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.base import Batch, Loaded, Setting
from fsnet_jax.learned_detectors.corrections import update
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.failure import pixel_grid, pixel_maps
from fsnet_jax.models.failure.pixel_inference import centred, corrections
from fsnet_jax.models.failure.pixel_net import PixelFailureNet
from fsnet_jax.steps.losses import failure_loss

# Makes another key of that of a step, beside the two that it is split into.
_MASKS = 2


class PixelCorrection:
  """`PixelFailureNet` over the maps of single pixels (`config.fit.pixel`)."""

  name = 'pixel'
  needs_predictions = False
  phase3 = True

  def check(self, options: FitOptions[PixelOptions]) -> None:
    """Whether S has the dropout that the networks are to see."""
    samples = options.own.dropout_samples
    problem = mc_dropout.problem(options.segmentation()) if samples else None
    if problem:
      raise UserError(
        f'config.fit.pixel.dropout_samples is {samples}, but {problem}; 0 does '
        'without.'
      )

  def train(self, setting: Setting[PixelOptions], folder: Path) -> Cost:
    """Trains the network; see `FittedDetector`."""
    initial = initial_variables(setting.options, setting.network.num_classes)
    return update.train(
      setting,
      'pixel failure network',
      initial,
      _loss(setting),
      folder,
      flip=setting.options.own.flip,
    )

  def load(self, options: FitOptions[PixelOptions], folder: Path) -> Loaded:
    """Reads the network; its outputs are corrections to MSP's log-odds."""
    from fsnet_jax.learned_detectors import fit_loop

    classes = options.num_classes
    like = like_of(options, classes)
    network, share = _network(options, classes), options.own.centering
    flip, stride = options.own.flip, options.own.stride
    samples = options.own.dropout_samples

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      maps = pixel_maps.pixel_maps(
        forward.images,
        forward.segmentation.logits,
        forward.flip_logits if flip else None,
        stride,
        forward.dropout_uncertainty if samples else None,
      )
      own = {
        'params': variables['params'],
        'batch_stats': variables['stats']['batch_stats'],
      }
      found = corrections(network, own, maps)
      valid = jnp.ones(maps.first.shape)
      found = centred(found, maps.first, valid, classes, share)
      if stride == 1:
        return found
      first = jnp.argmax(forward.segmentation.logits, axis=-1)
      return pixel_grid.carried(found, first)

    return Loaded(
      fit_loop.load(folder, like),
      outputs,
      uses_flip=flip,
      dropout_samples=samples,
    )


def _network(
  options: FitOptions[PixelOptions], num_classes: int
) -> PixelFailureNet:
  own = options.own
  hidden = (own.units, own.units)
  return PixelFailureNet(num_classes, hidden, colorless=own.colorless)


def initial_variables(
  options: FitOptions[PixelOptions], num_classes: int
) -> tuple[Any, Any]:
  """Parameters and statistics before the first step, NumPy arrays."""
  draw = jax.jit(_network(options, num_classes).init)
  fresh = draw(jax.random.key(options.seed), _one_pixel(options))
  return _with_errors(jax.tree.map(np.asarray, fresh))


def like_of(
  options: FitOptions[PixelOptions], num_classes: int
) -> dict[str, Any]:
  """The form of what a fit keeps; nothing is drawn or compiled."""
  fresh = jax.eval_shape(
    lambda: _network(options, num_classes).init(
      jax.random.key(0), _one_pixel(options)
    )
  )
  params, stats = _with_errors(fresh)
  return {'params': params, 'stats': stats}


def _one_pixel(options: FitOptions[PixelOptions]) -> pixel_maps.PixelMaps:
  """What the network is initialised by."""
  count = pixel_maps.NUM_SCALARS
  if options.own.flip:
    count += pixel_maps.NUM_FLIP
  if options.own.dropout_samples:
    count += pixel_maps.NUM_DROPOUT
  pixel = jnp.zeros((1,), jnp.int32)
  return pixel_maps.PixelMaps(jnp.zeros((1, count)), pixel, pixel, pixel * 0.0)


def _with_errors(fresh: Any) -> tuple[Any, Any]:
  """The network's variables and how many of its pixels are misclassified."""
  errors = {'rate': np.float32(0), 'batches': np.float32(0)}
  return fresh['params'], {
    'batch_stats': fresh['batch_stats'],
    'errors': errors,
  }


def _running_rate(errors: Any, rate: Array, count: Array) -> dict[str, Array]:
  """The mean over batches so far; one without labels does not count."""
  batches = errors['batches'] + (count > 0)
  share = jnp.where(count > 0, 1 / jnp.maximum(batches, 1.0), 0.0)
  mean = errors['rate'] + share * (rate - errors['rate'])
  return {'rate': mean, 'batches': batches}


def balance_offset(stats: Any, beta_range: tuple[float, float]) -> Array:
  """What the joint phase's balanced loss adds to the log-odds of P(wrong).

  Wrong pixels weigh b / (1 - b) of correct ones there, b the share of correct
  pixels (paper eq. 4), so that its least value is at log-odds that are larger
  by ln(b / (1 - b)).

  Args:
    stats: of the fit of `PixelCorrection`.
    beta_range: `config.loss.beta_range`, that b is clipped to.
  """
  correct = jnp.clip(1 - stats['errors']['rate'], *beta_range)
  return jnp.log(correct) - jnp.log1p(-correct)


def _maps(
  options: PixelOptions, s: Any, variables: Any, batch: Batch, key: Array
) -> pixel_maps.PixelMaps:
  """The maps of a training batch; `key` is that of the step."""
  flipped = uncertainty = None
  if options.flip:
    flipped = update.flip_logits(s, variables, batch)
  if options.dropout_samples:
    masks = jax.random.fold_in(key, _MASKS)
    uncertainty = update.dropout_uncertainty(
      s, variables, batch, masks, options.dropout_samples
    )
  logits = update.frozen_output(s, variables, batch).logits
  images = batch['image'].astype(jnp.float32)
  return pixel_maps.pixel_maps(images, logits, flipped, uncertainty=uncertainty)


def _loss(setting: Setting[PixelOptions]) -> update.Loss:
  s, options = setting.network, setting.options.own
  network = _network(setting.options, s.num_classes)

  def loss_fn(params, stats, variables, batch, key):
    everywhere = _maps(options, s, variables, batch, key)
    # A sample: neighbours say the same, and the maps of all pixels of a batch
    # would fill the memory at full size.
    count = batch['label'][0].size
    drawn, dropped = jax.random.split(key)
    shape = len(batch['label']), options.pixels
    index = jax.random.randint(drawn, shape, 0, count)
    maps = everywhere.at(index)
    labels = batch['label'].reshape(shape[0], -1)
    labels = jnp.take_along_axis(labels, index, axis=1)
    known = labels != VOID
    valid = known.astype(jnp.float32)
    own = {'params': params, 'batch_stats': stats['batch_stats']}
    found, updated = network.apply(
      own,
      maps,
      valid,
      train=True,
      rngs={'dropout': dropped},
      mutable=['batch_stats'],
      method='members',
    )
    wrong = maps.first != labels
    # Each learns for itself: trained as one, both would lean on the colour.
    losses = [
      failure_loss(
        maps.miss_logit
        + centred(
          found[..., member],
          maps.first,
          valid,
          s.num_classes,
          options.centering,
        ),
        wrong,
        known,
        'bce',
      )
      for member in range(found.shape[-1])
    ]
    loss = jnp.mean(jnp.stack(losses))
    count = jnp.sum(valid)
    rate = jnp.sum(wrong * valid) / jnp.maximum(count, 1.0)
    errors = _running_rate(stats['errors'], rate, count)
    return loss, ({**updated, 'errors': errors}, {'loss': loss})

  return loss_fn
