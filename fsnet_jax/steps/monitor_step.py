"""The compiled step of a trained pair at work: images in, decisions out."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from fsnet_jax.detectors import FailureDetector, ForwardPass


def make_monitor_step(
  forward_pass: Callable[..., ForwardPass], detector: FailureDetector
) -> Callable[..., dict[str, Any]]:
  """What a monitor says of a batch.

  Args:
    forward_pass: of `eval_step.make_forward_pass`.
    detector: whose score it is.

  Returns:
    A function with the arguments of `forward_pass`. It gives `labels`, uint8
    [b h w]; `score`, float32 [b h w], higher = more likely misclassified; and
    `probability`, float32 [b h w], of a detector whose score has one.
  """

  def monitor_step(*arguments: Any) -> dict[str, Any]:
    forward = forward_pass(*arguments)
    prediction = jnp.argmax(forward.segmentation.logits, axis=-1)
    said: dict[str, Array] = {
      'labels': prediction.astype(jnp.uint8),
      'score': detector.score(forward),
    }
    probability = detector.probability(forward)
    if probability is not None:
      said['probability'] = probability
    return said

  return monitor_step
