"""VAAL: which images look least like the labelled ones (Sinha et al., 2019).

An autoencoder of all images is trained so that a judge cannot tell the codes
of labelled images from those of unlabelled ones; what the judge still finds
unlabelled is queried. S plays no part. The authors' code for segmentation
was never published: this is their classification code on shrunken images.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from common_lib import random_streams
from common_lib.console import say
from fsnet_jax.models.layers import initializers
from fsnet_jax.models.network import output_of
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.training import loop
from segxal_jax.acquisition import Acquisition
from segxal_jax.loop.auxiliary_models.vaal_networks import (
  Decoder,
  Encoder,
  Judge,
)
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState

Batch = Mapping[str, np.ndarray]


@flax.struct.dataclass
class VaalState:
  """All that its training changes.

  Attributes:
    params: by network: 'encoder', 'decoder' and 'judge'.
    stats: batch statistics of 'encoder' and 'decoder'.
    coder_opt: optimiser's state of encoder and decoder.
    judge_opt: optimiser's state of the judge.
  """

  params: Any
  stats: Any
  coder_opt: Any
  judge_opt: Any


class Vaal:
  """The three networks and their training step."""

  def __init__(
    self,
    side: int,
    latent: int,
    width: float,
    learning_rate: float,
    jit: Callable[[Any], Any] = jax.jit,
  ):
    """Describes the networks.

    Args:
      side: of the images, a multiple of 16.
      latent: dimensions of the code.
      width: multiplier of the autoencoder's channels.
      learning_rate: of all three.
      jit: compiles the two updates.
    """
    self._side, self._latent = side, latent
    self._coder_step = jit(self._coder_update)
    self._judge_step = jit(self._judge_update)
    self._encoder = Encoder(latent, width)
    self._decoder = Decoder(side, width)
    self._judge = Judge()
    self._optimizer = optax.adam(learning_rate)

  def init(self, seed: int) -> VaalState:
    """A fresh state, NumPy arrays and zeros, deterministic by `seed`."""
    shape = (1, self._side, self._side, 3)
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    code = jax.ShapeDtypeStruct((1, self._latent), jnp.float32)
    networks = {
      'encoder': initializers.host_init(self._encoder, seed, image),
      'decoder': initializers.host_init(self._decoder, seed, code),
      'judge': initializers.host_init(self._judge, seed, code),
    }
    params = {name: tree['params'] for name, tree in networks.items()}
    return VaalState(
      params=params,
      stats={n: networks[n]['batch_stats'] for n in ('encoder', 'decoder')},
      coder_opt=self._optimizer.init(_coder(params)),
      judge_opt=self._optimizer.init(params['judge']),
    )

  def shrink(self, images: UInt8[Array, 'b h w 3']) -> Float[Array, 'b s s 3']:
    """Squares of the side, 0..1; the aspect is not kept."""
    size = (images.shape[0], self._side, self._side, 3)
    scaled = images.astype(jnp.float32) / 255
    return jax.image.resize(scaled, size, 'linear', antialias=True)

  def train_step(
    self, state: VaalState, batch: Batch, key: Any
  ) -> tuple[VaalState, dict[str, Array]]:
    """Two updates of the autoencoder and one of the judge, as the authors'.

    Compiled by itself: each of the two programs is compiled once.

    Args:
      state: before.
      batch: `labelled` and `unlabelled`, uint8 [b h w 3] each.
      key: PRNG key.

    Returns:
      The state after, and the last losses of both.
    """
    images = np.concatenate([batch['labelled'], batch['unlabelled']])
    labelled = np.arange(len(images)) < len(batch['labelled'])
    once, again = jax.random.split(key)
    state, _ = self._coder_step(state, images, once)
    state, coder = self._coder_step(state, images, again)
    state, judge = self._judge_step(state, images, labelled)
    return state, {'loss_coder': coder, 'loss_judge': judge}

  def novelty(self, state: VaalState, images: Array) -> Float[Array, ' b']:
    """1 - D: the probability of being unlabelled, by the judge."""
    (mean, _), _ = self._encode(state, state.params, self.shrink(images), False)
    logits = output_of(self._judge, {'params': state.params['judge']}, mean)
    return jax.nn.sigmoid(-logits)

  def coder_loss(
    self, state: VaalState, coder: Any, images: Array, key: Any
  ) -> tuple[Array, Any]:
    """ELBO of the images and the judge's verdict; new batch statistics.

    Both terms of the ELBO are sums over an image, here over its numbers. In
    the authors' code the error is a mean and the divergence a sum, which
    leaves a code of nothing. The verdict counts each half once, as theirs.
    """
    params = {**state.params, **coder}
    (mean, log_variance), encoder = self._encode(state, params, images, True)
    noise = jax.random.normal(key, mean.shape)
    code = mean + noise * jnp.exp(0.5 * log_variance)
    variables = {
      'params': params['decoder'],
      'batch_stats': state.stats['decoder'],
    }
    decoded, updated = self._decoder.apply(
      variables, code, train=True, mutable=['batch_stats']
    )
    numbers = images.size / images.shape[0]
    error = jnp.mean(jnp.sum((decoded - images) ** 2, axis=(1, 2, 3)))
    divergence = 0.5 * jnp.mean(
      jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, axis=1)
    )
    logits = output_of(self._judge, {'params': params['judge']}, mean)
    fooled = 2 * jnp.mean(-jax.nn.log_sigmoid(logits))
    stats = {'encoder': encoder, 'decoder': updated['batch_stats']}
    return (error + divergence) / numbers + fooled, stats

  def _encode(self, state, params, images, train) -> tuple[Any, Any]:
    variables = {
      'params': params['encoder'],
      'batch_stats': state.stats['encoder'],
    }
    if not train:
      return self._encoder.apply(variables, images), None
    codes, updated = self._encoder.apply(
      variables, images, train=True, mutable=['batch_stats']
    )
    return codes, updated['batch_stats']

  def _coder_update(self, state, images, key) -> tuple[VaalState, Array]:
    coder = _coder(state.params)
    (loss, stats), gradient = jax.value_and_grad(
      self.coder_loss, argnums=1, has_aux=True
    )(state, coder, self.shrink(images), key)
    updates, opt = self._optimizer.update(gradient, state.coder_opt, coder)
    coder = optax.apply_updates(coder, updates)
    # optax gives back the kind of tree that it was given.
    # pyrefly: ignore[invalid-argument]
    params = {**state.params, **coder}
    return state.replace(params=params, stats=stats, coder_opt=opt), loss

  def _judge_update(self, state, images, labelled) -> tuple[VaalState, Array]:
    shrunk = self.shrink(images)
    (mean, _), _ = self._encode(state, state.params, shrunk, True)
    mean = jax.lax.stop_gradient(mean)

    def loss(judge):
      logits = output_of(self._judge, {'params': judge}, mean)
      right = jnp.where(labelled, logits, -logits)
      # Each half once, as the authors have it.
      return 2 * jnp.mean(-jax.nn.log_sigmoid(right))

    judge = state.params['judge']
    value, gradient = jax.value_and_grad(loss)(judge)
    updates, opt = self._optimizer.update(gradient, state.judge_opt, judge)
    judge = optax.apply_updates(judge, updates)
    params = {**state.params, 'judge': judge}
    return state.replace(params=params, judge_opt=opt), value


class _Vaal(loop.Training[VaalState]):
  """The training of the three networks."""

  progress = 'training VAAL'
  of = ' of VAAL'
  title = 'VAAL, '
  fix = 'lower config.acquisition.vaal_learning_rate'

  def __init__(self, networks: Vaal, key: Any, steps: int, cycle: int):
    self._networks, self._key = networks, key
    self._steps = self.log_every = steps
    self.within = f' of cycle {cycle}'

  def total(self, state: VaalState) -> int:
    return self._steps

  def update(self, step: int, state: VaalState, batch: Any) -> loop.Update:
    key = jax.random.fold_in(self._key, step)
    return lambda state, batch: self._networks.train_step(state, batch, key)


def scorer(
  run: Run, state: LoopState, strategy: Acquisition
) -> Callable[[Any, Any], dict[str, Any]]:
  """Trains the networks and returns what scores a batch with them.

  Every process does the same work on the same images: the networks are small
  beside S.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the training starts anew.
  """
  options = run.config.acquisition
  networks = run.compiled(
    'vaal',
    lambda: Vaal(
      options.vaal_side,
      options.vaal_latent,
      run.config.width,
      options.vaal_learning_rate,
    ),
  )
  trained = networks.init(
    random_streams.derived(run.config.seed, 'vaal', state.cycle)
  )
  key = jax.random.key(
    random_streams.derived(run.config.seed, 'vaal', state.cycle, 1)
  )
  say(f'cycle {state.cycle}  explain  training VAAL')
  training = _Vaal(networks, key, options.vaal_steps, state.cycle)
  batches = (_batch(run, state.cycle, step) for step in itertools.count())
  trained = loop.run(training, trained, 0, batches, None, run.stop)
  trained = mesh_lib.put_replicated(jax.device_get(trained), run.mesh)
  name = strategy.needs[0]
  novelty = run.compiled(
    'novelty',
    lambda: jax.jit(
      networks.novelty, out_shardings=mesh_lib.batch_sharding(run.mesh)
    ),
  )

  def score(batch, key):
    del key
    return {name: novelty(trained, batch['image'])}

  return score


def _batch(run: Run, cycle: int, step: int) -> dict[str, np.ndarray]:
  """Images of both kinds, drawn with replacement."""
  known = run.ledger.labelled(cycle)
  kinds = {
    'labelled': np.array(sorted(known), np.int64),
    'unlabelled': np.setdiff1d(np.arange(len(run.pool)), sorted(known)),
  }
  rng = random_streams.generator(run.config.seed, 'vaal_batches', cycle, step)
  count = run.config.acquisition.vaal_batch_size
  return {
    kind: np.stack(
      [run.pool[int(index)]['image'] for index in rng.choice(indices, count)]
    )
    for kind, indices in kinds.items()
  }


def _coder(params: Any) -> dict[str, Any]:
  """The parameters of the autoencoder."""
  return {name: params[name] for name in ('encoder', 'decoder')}
