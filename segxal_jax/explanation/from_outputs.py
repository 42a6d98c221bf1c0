"""The compiled pass over pool images where the network runs elsewhere.

As `step`, of a batch that brings what the network says of its images:

  s_logits: float32 [b h w c].
  s_features: float32 [b fh fw k], where the network gives any.
  near_logits, near_features: the same of the depth-informed images, where the
    error mask has a Grad-CAM.

Grad-CAM has a closed form where the logits are one 1x1 convolution of the
features (`gradcam.last_layer`). Of a network whose convolution is not known the
error mask has the proximity itself in the place of PAE, the Grad-CAM of what is
near: where the image is near, whatever the network looks at.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.segmentation.outputs import FEATURES, LOGITS
from segxal_jax.explanation.error_mask import (
  by_cost,
  explainable_error_mask,
  image_score,
)
from segxal_jax.explanation.gradcam import core
from segxal_jax.explanation.step import (
  UNCERTAINTY,
  ExplainOptions,
  of_logits,
  weighted_mask,
)
from segxal_jax.uncertainty import pixelwise
from segxal_jax.uncertainty.image_scores import IMAGE_SCORES
from segxal_jax.uncertainty.ripu import ripu

NEAR_LOGITS, NEAR_FEATURES = 'near_logits', 'near_features'
PROXIMITY = 'proximity'
# Of the parameters: [k c], the weights of the convolution, where it is known.
CLASSIFIER = 'classifier'
# All that `make_score_step` can compute.
SCORES = (*UNCERTAINTY, *IMAGE_SCORES, 'ripu', 'eem')

Batch = Mapping[str, Array]


def _cam(
  params: Mapping[str, Any],
  options: ExplainOptions,
  logits: Float[Array, 'b h w c'],
  features: Float[Array, 'b fh fw k'],
  mask: Array | None = None,
) -> Float[Array, 'b h w']:
  kernel = params[CLASSIFIER][None, None]
  classes = options.cam.classes
  return core.classifier_cam(logits, features, kernel, mask, classes)


def _mask(
  params: Mapping[str, Any], options: ExplainOptions, batch: Batch
) -> dict[str, Array]:
  """The error mask and its parts, [b h w] each."""
  logits = batch[LOGITS]
  maps = {'entropy': pixelwise.entropy(logits)}
  if options.patch_entropy:
    maps['entropy'] = pixelwise.patch_histogram_entropy(
      jnp.argmax(logits, -1), logits.shape[-1], options.patch_entropy
    )
  if CLASSIFIER in params:
    counted = (batch['near'] > 0) & batch['usable']
    maps['pae'] = _cam(
      params,
      options,
      batch[NEAR_LOGITS],
      batch[NEAR_FEATURES],
      counted if options.near_target else None,
    )
  else:
    maps['pae'] = batch[PROXIMITY]
  if 'weights' in batch:
    mask = weighted_mask(maps, batch['weights'])
  else:
    mask = explainable_error_mask(
      maps['pae'], maps['entropy'], options.alpha, options.beta
    )
  return maps | {'eem': by_cost(mask, batch['near'], options.near_weight)}


def make_score_step(
  options: ExplainOptions, scores: tuple[str, ...], embedding: bool
) -> Callable[[Any, Any, Batch, Any], dict[str, Array]]:
  """As `step.make_score_step`, of what a batch brings.

  Args:
    options: see `ExplainOptions`.
    scores: what a strategy needs, of `SCORES`.
    embedding: whether the mean of the features is wanted.

  Returns:
    `(params, batch_stats, batch, key) -> values`; params hold `classifier`
    where there is one, and of the rest nothing is used.
  """

  def score_step(params, batch_stats, batch, key):
    del batch_stats, key
    logits, values, maps = batch[LOGITS], {}, {}
    if embedding:
      values['embedding'] = jnp.mean(batch[FEATURES], axis=(1, 2))
    for name in scores:
      if name in UNCERTAINTY:
        maps[name] = UNCERTAINTY[name](logits)
    if 'ripu' in scores:
      maps['ripu'] = ripu(logits, options.window)
    if 'eem' in scores:
      maps['eem'] = _mask(params, options, batch)['eem']
    for name, value in maps.items():
      values[name] = image_score(value, batch['usable'], options.top_share)
    for name in IMAGE_SCORES.keys() & set(scores):
      values[name] = IMAGE_SCORES[name](logits, batch['usable'])
    return values

  return score_step


def make_maps_step(
  options: ExplainOptions, guide: str = 'eem'
) -> Callable[[Any, Any, Batch], dict[str, Array]]:
  """As `step.make_maps_step`, of what a batch brings.

  Args:
    options: see `ExplainOptions`.
    guide: the map that ranks regions.

  Returns:
    `(params, batch_stats, batch) -> maps`; there is no `cam` without a
    classifier.
  """

  def maps_step(params, batch_stats, batch):
    del batch_stats
    logits = batch[LOGITS]
    maps = _mask(params, options, batch)
    if CLASSIFIER in params:
      maps['cam'] = _cam(params, options, logits, batch[FEATURES])
    return maps | of_logits(logits, guide, options.window)

  return maps_step
