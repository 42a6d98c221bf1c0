"""Logistic regression on MSP's log-odds by predicted class: the free baseline.

Over a network that was trained elsewhere, most of what can be learnt is
systematic: classes that it confuses here. A slope and an offset for each
predicted class and one weight for the row say so in some forty numbers and
cost nothing at run time; a failure network has to beat this.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fsnet_jax.builders.fits import ClassLogisticOptions, FitOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.base import (
  Batch,
  FitState,
  Loaded,
  Setting,
  valid_pixels,
)
from fsnet_jax.learned_detectors.corrections import update
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.steps.losses import failure_loss
from input_pipeline.training_mix import training_mix

# Penalty of a weight's squared distance from what makes the score MSP, against
# the loss summed over pixels: for classes that are never predicted.
_RIDGE = 0.1
_ITERATIONS = 30
# Lengths of a Newton step that are tried.
_LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.01, 0.0)


class ClassLogistic:
  """The regression on the clean training images (`fit.class_logistic`)."""

  name = 'class_logistic'
  section = 'class_logistic'
  needs_predictions = False

  def check(self, options: FitOptions[ClassLogisticOptions]) -> None:
    """Nothing beyond numbers, which the table of fields checks."""

  def train(self, setting: Setting[ClassLogisticOptions], folder: Path) -> Cost:
    """Collects pixels, then solves; see `FittedDetector`."""
    from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

    options, own = setting.options, setting.options.own
    images = own.steps * own.batch_size
    mix = training_mix(own.mix, options.augment)
    fit_loop.run(
      setting,
      fit_loop.Job(
        title=self.name,
        steps=own.steps,
        batch_size=own.batch_size,
        state=FitState(
          step=jnp.zeros((), jnp.int32),
          params=initial_weights(setting.network.num_classes),
          stats=_empty_sample(images * own.pixels),
          opt_state=(),
          key=jax.random.key_data(jax.random.key(options.seed)),
        ),
        step=_make_step(setting),
        constants={'s': setting.variables},
        augment=(mix,),
        predictions=False,
      ),
      folder,
    )
    return Cost(images=images)

  def load(
    self, options: FitOptions[ClassLogisticOptions], folder: Path
  ) -> Loaded:
    """Reads the weights; outputs are log-odds of being misclassified."""
    from fsnet_jax.learned_detectors import fit_loop

    classes = options.num_classes
    like = {'params': initial_weights(classes)}

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      logits = forward.segmentation.logits
      first = jnp.argmax(logits, axis=-1)
      return log_odds(
        variables['params'], miss_logit(logits), first, rows_of(first.shape)
      )

    return Loaded(fit_loop.load(folder, like), outputs)


class ClassLogisticShift(ClassLogistic):
  """The same on the images that the failure networks learn from."""

  name = 'class_logistic_shift'
  # The mix is a field of phase 3.
  phase3 = True


def initial_weights(num_classes: int) -> dict[str, np.ndarray]:
  """Those with which the score is MSP's log-odds."""
  return {
    'slope': np.ones(num_classes, np.float32),
    'offset': np.zeros(num_classes, np.float32),
    'row': np.zeros((), np.float32),
  }


def rows_of(shape: tuple[int, ...]) -> Array:
  """Place of each pixel's row, -1/2 at the top to 1/2: float32 [b h w]."""
  rows = (jnp.arange(shape[1], dtype=jnp.float32) + 0.5) / shape[1] - 0.5
  return jnp.broadcast_to(rows[:, None], shape)


def log_odds(weights: Any, own: Array, first: Array, rows: Array) -> Array:
  """The score.

  Args:
    weights: as `initial_weights`.
    own: `miss_logit` of each pixel.
    first: predicted class.
    rows: of `rows_of`.
  """
  slope, offset = weights['slope'][first], weights['offset'][first]
  return slope * own + offset + weights['row'] * rows


def solve(
  own: Float[Array, ' n'],
  first: Array,
  rows: Float[Array, ' n'],
  wrong: Float[Array, ' n'],
  valid: Float[Array, ' n'],
  num_classes: int,
) -> dict[str, Array]:
  """Weights of the least cross-entropy, by Newton's method.

  Args:
    own: `miss_logit` of each pixel.
    first: int [n], predicted class.
    rows: of `rows_of`.
    wrong: 1 where misclassified, 0 where not.
    valid: 1 on pixels that count.
    num_classes: of S.

  Returns:
    As `initial_weights`.
  """
  classes = jax.nn.one_hot(first, num_classes)
  design = jnp.concatenate(
    [classes * own[:, None], classes, rows[:, None]], axis=1
  )
  start = initial_weights(num_classes)
  prior = jnp.concatenate([start['slope'], start['offset'], start['row'][None]])

  def objective(weights: Array) -> Array:
    scores = design @ weights
    losses = jax.nn.softplus(scores) - wrong * scores
    ridge = _RIDGE / 2 * jnp.sum((weights - prior) ** 2)
    return jnp.sum(valid * losses) + ridge

  def iterate(_: Any, weights: Array) -> Array:
    chances = jax.nn.sigmoid(design @ weights)
    slope = design.T @ (valid * (chances - wrong))
    slope += _RIDGE * (weights - prior)
    spread = valid * chances * (1 - chances)
    bend = (design * spread[:, None]).T @ design
    bend += _RIDGE * jnp.eye(len(prior))
    step = jnp.linalg.solve(bend, slope)
    tried = weights - jnp.asarray(_LENGTHS)[:, None] * step
    values = jax.lax.map(objective, tried)
    # The longest that is no worse, but for rounding: the last is no step.
    return tried[jnp.argmax(values <= values[-1] * (1 + 1e-6))]

  found = jax.lax.fori_loop(0, _ITERATIONS, iterate, prior)
  return {
    'slope': found[:num_classes],
    'offset': found[num_classes:-1],
    'row': found[-1],
  }


def _empty_sample(pixels: int) -> dict[str, np.ndarray]:
  """Room for what the regression needs of each pixel."""
  zeros = np.zeros(pixels, np.float32)
  names = ('own', 'rows', 'wrong', 'valid')
  return {'first': np.zeros(pixels, np.int32)} | dict.fromkeys(names, zeros)


def _make_step(setting: Setting[ClassLogisticOptions]) -> Any:
  """Puts a batch's pixels into the sample; the last step solves."""
  network, options = setting.network, setting.options.own

  def step(state: FitState, constants: Any, batch: Batch):
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    logits = update.frozen_output(network, constants['s'], batch).logits
    first = jnp.argmax(logits, axis=-1)
    pixels = {
      'own': miss_logit(logits),
      'first': first.astype(jnp.int32),
      'rows': rows_of(first.shape),
      'wrong': (first != batch['label']).astype(jnp.float32),
      'valid': valid_pixels(batch).astype(jnp.float32),
    }
    count = first[0].size
    index = jax.random.randint(key, (len(first), options.pixels), 0, count)
    start = state.step * index.size

    def put(sample: Array, values: Array) -> Array:
      flat = values.reshape(len(first), -1)
      drawn = jnp.take_along_axis(flat, index, axis=1).reshape(-1)
      return jax.lax.dynamic_update_slice(sample, drawn, (start,))

    sample = {name: put(state.stats[name], pixels[name]) for name in pixels}
    params = jax.lax.cond(
      state.step + 1 == options.steps,
      lambda: solve(**sample, num_classes=network.num_classes),
      lambda: state.params,
    )
    # MSP's, for the log: what there is to improve on.
    wrong, valid = pixels['wrong'] > 0, pixels['valid'] > 0
    loss = failure_loss(pixels['own'], wrong, valid, 'bce')
    state = dataclasses.replace(
      state, step=state.step + 1, params=params, stats=sample
    )
    return state, {'loss': loss}

  return step
