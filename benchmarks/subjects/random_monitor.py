"""A monitor whose networks have random weights, for exports and latencies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from common_lib import class_table
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.monitor.backends import other_sizes


def monitored(
  network: Any, failure: Any, s: Any, f: Any, images: Array
) -> tuple[Array, Array, Array]:
  """Labels, P(wrong) and what is flagged.

  Args:
    network: S.
    failure: F; None for S alone, whose highest logit takes F's place.
    s: variables of S.
    f: variables of F.
    images: uint8 [b h w 3].
  """
  pixels = images.astype(jnp.float32)
  said = network.apply(s, pixels)
  labels = jnp.argmax(said.logits, -1).astype(jnp.uint8)
  if failure is None:
    wrong = jnp.max(said.logits, -1)
  else:
    score = failure.apply(f, pixels, said.logits, said.features)
    wrong = jax.nn.sigmoid(jnp.asarray(score))
  return labels, wrong, wrong > 0.5


class RandomMonitor:
  """What an export takes of a run: see `CheckpointBackend`.

  Attributes:
    segmentation_variables: of S.
    failure_variables: of F; None without it.
  """

  def __init__(self, network: Any, failure: Any, size: tuple[int, int]):
    """Makes the weights.

    Args:
      network: S.
      failure: F; None for S alone, whose highest logit takes F's place.
      size: h and w.
    """
    self.image_size, self.classes = size, class_table.CITYSCAPES
    self.external, self.brings = None, ()
    self.threshold, self.statement, self.detector = None, '', 'fsnet_joint'
    self.reference = None
    self._network, self._failure = network, failure
    image = jnp.zeros((1, *size, 3))
    self.segmentation_variables = host_init(network, 0, image)
    self.failure_variables = None
    if failure is not None:
      said = jax.eval_shape(
        lambda x: network.apply(self.segmentation_variables, x), image
      )
      zeros = [jnp.zeros(one.shape) for one in (said.logits, said.features)]
      self.failure_variables = jax.jit(failure.init)(
        jax.random.key(1), image, *zeros
      )
    self._jitted = jax.jit(self.function())

  @property
  def operations(self) -> float:
    """Of an image, as the program is written, before any compiler."""
    image = jax.ShapeDtypeStruct((1, *self.image_size, 3), np.uint8)
    with conv_forms.use('plain'):
      lowered = jax.jit(self.function()).lower(image)
    counted = lowered.cost_analysis()
    assert counted is not None  # Every back end counts what it is given.
    return float(counted['flops'])

  def function(self) -> Callable[[Any], tuple[Array, Array, Array]]:
    """See `CheckpointBackend`."""

    return functools.partial(
      monitored,
      self._network,
      self._failure,
      self.segmentation_variables,
      self.failure_variables,
    )

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See `CheckpointBackend`."""
    return other_sizes.call(self.networks, images, self.image_size)

  def networks(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a call, of images at the size of the networks."""
    labels, failure, _ = map(np.asarray, self._jitted(images))
    return labels, failure
