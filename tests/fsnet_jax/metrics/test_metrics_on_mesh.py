"""Counts of a batch split over eight devices are those of one device."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fsnet_jax.metrics.details import detail_counts
from fsnet_jax.metrics.failure import FailureHistogram, failure_counts
from fsnet_jax.metrics.segmentation import confusion_counts

assert jax.device_count() == 8
rng = np.random.default_rng(0)
shape = (16, 12, 10)
labels = rng.integers(0, 5, shape).astype(np.uint8)
labels[rng.random(shape) < 0.1] = 255
predictions = rng.integers(0, 5, shape)
valid = labels != 255
wrong = predictions != labels
score = rng.normal(size=shape).astype(np.float32)
probability = rng.random(shape).astype(np.float32)


def step(labels, predictions, score, probability):
  valid = labels != 255
  wrong = predictions != labels
  return (
    confusion_counts(labels, predictions, valid, 5),
    failure_counts(score, wrong, valid, labels, 5, probability),
    failure_counts(score, wrong, valid, labels, 5, keep_pixels=False),
    detail_counts(score, wrong, valid, predictions, labels % 4, 5),
  )


arrays = labels, predictions, score, probability
single = jax.device_get(jax.jit(step)(*arrays))
mesh = jax.make_mesh((8,), ('data',), axis_types=(AxisType.Auto,))
split = NamedSharding(mesh, PartitionSpec('data'))
whole = NamedSharding(mesh, PartitionSpec())
on_mesh = [jax.device_put(array, split) for array in arrays]
for compiled in (jax.jit(step), jax.jit(step, out_shardings=whole)):
  result = compiled(*on_mesh)
  jax.tree.map(np.testing.assert_array_equal, single, jax.device_get(result))
assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(result))
assert result[0].sum() == valid.sum() == result[2].bins.histogram.sum()

added = FailureHistogram.empty(5).add(result[1]).compute()
updated = FailureHistogram.empty(5).update(
  *(jax.device_put(a, split) for a in (score, wrong, valid, labels)),
  jax.device_put(probability, split),
)
assert added == updated.compute()
print('same on one and on eight devices')
"""


def test_eight_devices_count_what_one_counts():
  environment = os.environ | {
    'JAX_NUM_CPU_DEVICES': '8',
    'JAX_PLATFORMS': 'cpu',
  }
  done = subprocess.run(
    [sys.executable, '-W', 'error', '-c', PROGRAM],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert 'same on one and on eight devices' in done.stdout
