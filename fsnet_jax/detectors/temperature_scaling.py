"""Temperature scaling (Guo et al. 2017): one number fitted after training."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from common_lib.class_table import VOID
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation import outputs

#: Temperatures tried, evenly spaced in their logarithm.
GRID = np.geomspace(0.2, 20.0, 61)


def make_fit_step(
  model: FSNet,
) -> Callable[[Any, Any, Mapping[str, Array]], Array]:
  """Sums over a batch from which `choose` finds the temperature.

  Returns:
    `(params, batch_stats, batch) -> nll`, float32 [t]: for each temperature
    of `GRID` the negative log-likelihood of the labels in nats, summed over
    the labelled pixels.
  """

  def fit_step(params, batch_stats, batch):
    if outputs.LOGITS in batch:
      logits = outputs.output_brought(batch).logits
    else:
      images = batch['image'].astype(jnp.float32)
      logits = model.segment(params, batch_stats, images)[0].logits
    valid = (batch['label'] != VOID) & batch['mask'][:, None, None]
    labels = jnp.where(valid, batch['label'], 0).astype(jnp.int32)
    own = jnp.take_along_axis(logits, labels[..., None], axis=-1)
    gaps = logits - own

    def nll(temperature):
      # ln sum_c exp((l_c - l_label) / T), small where the label wins.
      losses = jax.nn.logsumexp(gaps / temperature, axis=-1)
      return jnp.sum(jnp.where(valid, losses, 0.0))

    grid = jnp.asarray(GRID, jnp.float32)
    return jax.lax.map(nll, grid)

  return fit_step


def choose(nll: np.ndarray) -> float:
  """The temperature of the least negative log-likelihood.

  Args:
    nll: [t] sums for `GRID`, of a whole data set.

  Returns:
    The minimum of the parabola, in ln T, through the best temperature and
    its neighbours; the end of the grid if that is the best; 1 if no pixel is
    labelled.
  """
  nll = np.asarray(nll, np.float64)
  if not np.any(nll):
    return 1.0
  best = int(np.argmin(nll))
  if best in (0, len(GRID) - 1):
    return float(GRID[best])
  low, middle, high = nll[best - 1 : best + 2]
  bend = low - 2 * middle + high
  shift = 0.5 * (low - high) / bend if bend > 0 else 0.0
  step = np.log(GRID[1] / GRID[0])
  return float(GRID[best] * np.exp(shift * step))


class TemperatureScaledMsp:
  """1 - max softmax(logits / T), T fitted on the validation split.

  One T for all pixels: it changes the order of pixels only a little, and the
  calibration much.
  """

  name = 'msp_temperature'
  title = 'MSP, scaled'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = True

  def score(self, forward: ForwardPass):
    """1 - max_c p_c with p = softmax(logits / T)."""
    scaled = forward.segmentation.logits / forward.temperature
    return jax.nn.sigmoid(miss_logit(scaled))

  def probability(self, forward: ForwardPass):
    """The score itself."""
    return self.score(forward)
