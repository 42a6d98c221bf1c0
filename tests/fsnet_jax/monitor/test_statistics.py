"""Five numbers of an image, against what their names say."""

import numpy as np
import pytest

from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.monitor import MonitorResult


def _result(rng, shape, num_classes):
  failure = rng.uniform(size=shape).astype(np.float32)
  return MonitorResult(
    labels=rng.integers(0, num_classes, shape, np.uint8),
    failure=failure,
    flagged=failure > 0.7,
    image_risk=failure.mean(axis=(1, 2)),
  )


@pytest.mark.parametrize('size', [(1, 1), (5, 7), (64, 33)])
def test_random_images(size):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (3, *size, 3), np.uint8)
  result = _result(rng, (3, *size), 4)
  found = statistics.of_images(images, result, 4)
  assert set(found) == set(statistics.NAMES)
  for index in range(3):
    red, green, blue = (images[index, ..., c].mean() for c in range(3))
    luma = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    assert found['brightness'][index] == pytest.approx(luma, rel=1e-12)
    failure = result.failure[index].astype(np.float64)
    assert found['failure_mean'][index] == pytest.approx(failure.mean())
    quantile = np.quantile(failure, 0.9)
    assert found['failure_q90'][index] == pytest.approx(quantile, rel=1e-6)
    flagged = (failure > np.float32(0.7)).mean()
    assert found['flagged_share'][index] == flagged
    shares = np.array([(result.labels[index] == c).mean() for c in range(4)])
    shares = shares[shares > 0]
    entropy = -(shares * np.log(shares)).sum() / np.log(4)
    assert found['label_entropy'][index] == pytest.approx(entropy, abs=1e-12)


@pytest.mark.parametrize('value', [0, 255])
def test_black_and_white(value):
  images = np.full((1, 300, 4, 3), value, np.uint8)
  result = _result(np.random.default_rng(0), (1, 300, 4), 2)
  found = statistics.of_images(images, result, 2)
  assert found['brightness'][0] == pytest.approx(value / 255, abs=1e-12)
