"""The fitted temperature is the one that an optimiser finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from common_lib.class_table import VOID
from fsnet_jax.detectors import temperature_scaling
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.protocol import SegmentationOutput


class Fixed(FSNet):
  """An FSNet whose logits are its parameters."""

  def __init__(self):
    pass

  def segment(self, params, batch_stats, *_, **__):
    return SegmentationOutput(params, None), batch_stats


def _overconfident(true_temperature):
  """Logits and labels drawn from softmax(logits / T)."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(2, 30, 40, 5)) * 3 * true_temperature
  noise = rng.gumbel(size=logits.shape)
  labels = np.argmax(logits / true_temperature + noise, axis=-1)
  labels[0, :3] = VOID
  return logits, labels


def _fit(logits, labels, mask=(True, True)):
  batch = {
    'image': jnp.zeros((*labels.shape, 3), jnp.uint8),
    'label': jnp.asarray(labels, jnp.uint8),
    'mask': jnp.asarray(mask),
  }
  step = jax.jit(temperature_scaling.make_fit_step(Fixed()))
  return np.asarray(step(jnp.asarray(logits, jnp.float32), {}, batch))


@pytest.mark.parametrize('true_temperature', [0.5, 1.0, 3.0])
def test_against_scipy(true_temperature):
  logits, labels = _overconfident(true_temperature)
  valid = labels != VOID

  def nll(log_t):
    log_probs = log_softmax(logits / np.exp(log_t), axis=-1)[valid]
    return -log_probs[np.arange(valid.sum()), labels[valid]].sum()

  expected = np.exp(minimize_scalar(nll, bounds=(-2, 3), method='bounded').x)
  found = _fit(logits, labels)
  assert temperature_scaling.choose(found) == pytest.approx(expected, rel=2e-3)
  for index in (0, 30, 60):
    np.testing.assert_allclose(
      found[index], nll(np.log(temperature_scaling.GRID[index])), rtol=1e-4
    )


def test_padding_images_and_void_do_not_count():
  logits, labels = _overconfident(2.0)
  alone = _fit(logits[:1], labels[:1], (True,))
  np.testing.assert_allclose(_fit(logits, labels, (True, False)), alone)
  nothing = _fit(logits, np.full_like(labels, VOID))
  assert temperature_scaling.choose(nothing) == 1.0


def test_a_network_that_is_always_right_takes_the_lowest_temperature():
  labels = np.zeros((1, 2, 2), int)
  logits = np.zeros((1, 2, 2, 3))
  logits[..., 0] = 1.0
  found = _fit(logits, labels, (True,))
  assert temperature_scaling.choose(found) == pytest.approx(
    temperature_scaling.GRID[0]
  )
