"""A run's networks as a monitor has them, on the devices of its process."""

import jaxtyping
import numpy as np
import pytest

from fsnet_jax.config import config_file, resolution
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_shape_checks():
  """A restored state is a tree of other leaves while it is read."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def test_dropout_draws_the_same_for_an_image_wherever_it_is(finished):
  """What is said of it depends neither on its batch nor on its process."""
  config = resolution.resolved(config_file.load(f'stored_run:{finished[0]}'))
  config.eval.dropout_samples = 2
  backend = CheckpointBackend(config, finished[0], 'mc_dropout')
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (3, 32, 64, 3), np.uint8)
  first, turned = backend.scores(images), backend.scores(images[::-1])
  np.testing.assert_allclose(first.score, turned.score[::-1], atol=1e-5)
  plain = CheckpointBackend(config, finished[0], 'msp').scores(images)
  assert np.abs(first.score - plain.score).max() > 1e-3
