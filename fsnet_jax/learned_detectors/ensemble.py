"""Deep ensemble: further networks S, trained from other seeds."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.builders.fits import EnsembleOptions, FitOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.detectors.entropy import entropy
from fsnet_jax.learned_detectors.base import Loaded, Setting
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.layers.initializers import host_shapes

# From the run's seed to that of member 1, 2, ...: runs with neighbouring
# seeds must not share members.
_SEED_STRIDE = 1000


class Ensemble:
  """The frozen S and `config.fit.ensemble.members` - 1 others like it.

  Lakshminarayanan et al. 2017. The prediction that is judged is that of the
  frozen S, as for every other detector.
  """

  name = 'ensemble'
  needs_predictions = False

  def check(self, options: FitOptions[EnsembleOptions]) -> None:
    """Raises UserError for an ensemble of the frozen S alone."""
    members = options.own.members
    if members < 2:
      raise UserError(
        f'config.fit.ensemble.members is {members}: an ensemble has at least '
        '2, the frozen S among them.'
      )

  def train(self, setting: Setting[EnsembleOptions], folder: Path) -> Cost:
    """Trains the other members; see `FittedDetector`."""
    options, images = setting.options, 0
    for member in range(1, options.own.members):
      seed = options.seed + _SEED_STRIDE * member
      images += setting.train_another(folder / f'member{member}', seed=seed)
    return Cost(options.own.members - 1, images=images)

  def load(self, options: FitOptions[EnsembleOptions], folder: Path) -> Loaded:
    """Reads the other members; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import frozen_segmentation

    network = options.segmentation()
    images = jax.ShapeDtypeStruct((1, *options.image_size, 3), jnp.float32)
    _, like = host_shapes(network, images)
    variables = {
      f'member{member}': frozen_segmentation.stored(
        folder / f'member{member}', like
      )
      for member in range(1, options.own.members)
    }

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      logits = [forward.segmentation.logits] + [
        network.apply(own, forward.images).logits for own in variables.values()
      ]
      mean = entropy_of_mean(logits)
      own = sum((entropy(one) for one in logits), jnp.zeros_like(mean))
      # What the members disagree about; rounding must not make it negative.
      information = jnp.maximum(mean - own / len(logits), 0.0)
      return jnp.stack([mean, information], axis=-1)

    return Loaded(variables, outputs)


def entropy_of_mean(
  logits: list[Float[Array, 'b h w c']],
) -> Float[Array, 'b h w']:
  """Entropy, in nats, of the mean of the members' softmax; in [0, ln c].

  Args:
    logits: of each member.
  """
  total = jnp.asarray(sum(jax.nn.softmax(one, axis=-1) for one in logits))
  mean = total / len(logits)
  first = jnp.argmax(mean, axis=-1, keepdims=True)
  others = jnp.where(jnp.arange(mean.shape[-1]) == first, 0.0, mean)
  # The largest probability is 1 less the others: near 1 its own logarithm
  # would have steps of 6e-8, as much as the entropy of a sure pixel.
  rest = jnp.sum(others, axis=-1)
  logs = jnp.log(jnp.where(others > 0, others, 1.0))
  return -jnp.sum(others * logs, axis=-1) - (1 - rest) * jnp.log1p(-rest)
