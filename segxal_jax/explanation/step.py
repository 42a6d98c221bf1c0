"""The compiled pass over pool images: maps, and the numbers they give.

One forward pass of the image and, where the error mask is needed, one of the
depth-informed image with the backward pass of its Grad-CAM. What is not needed
is not computed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.fsnet import FSNet
from segxal_jax.explanation.error_mask import (
  by_cost,
  explainable_error_mask,
  image_score,
)
from segxal_jax.explanation.gradcam import core
from segxal_jax.uncertainty import committee, gradient_embedding, pixelwise
from segxal_jax.uncertainty.deal_difficulty import levels_entropy
from segxal_jax.uncertainty.gradient_embedding import GradientOptions
from segxal_jax.uncertainty.image_scores import IMAGE_SCORES, true_error
from segxal_jax.uncertainty.ripu import ripu

# Maps of the logits, by their names.
UNCERTAINTY = {
  'entropy': pixelwise.entropy,
  'margin': pixelwise.margin,
  'least_confidence': pixelwise.least_confidence,
}
# The score, and the map, of who sees the ground truth.
TRUE_ERROR = 'true_error'
# What the error mask is a weighted mean of.
PARTS = ('pae', 'entropy', 'failure')

Batch = Mapping[str, Array]


@dataclasses.dataclass(frozen=True)
class ExplainOptions:
  """How images are explained and scored.

  Attributes:
    layer: whose activation Grad-CAM weights; see `gradcam.grad_cam`.
    cam: how its map is formed.
    near_target: whether only pixels of the near field count in its target.
    alpha: weight of PAE in the error mask.
    beta: weight of the entropy.
    gamma: weight of FSNet's failure score.
    near_weight: see `error_mask.by_cost`.
    patch_entropy: side of a patch of the authors' histogram entropy, which
      then takes the place of the pixels' entropy in the mask; 0 = off.
    top_share: of `image_score`.
    members: of the dropout committee.
    dropout: rate of its dropout.
    window: radius of RIPU's windows.
    levels: of DEAL's difficulty entropy.
    gradient: of BADGE's vectors; None for the mean of the layer's activation.
  """

  layer: str
  cam: core.CamOptions = core.CamOptions()
  near_target: bool = False
  alpha: float = 0.5
  beta: float = 0.5
  gamma: float = 0.0
  near_weight: float = 0.0
  patch_entropy: int = 0
  top_share: float = 1.0
  members: int = 10
  dropout: float = 0.2
  window: int = 1
  levels: int = 8
  gradient: GradientOptions | None = None


def variables_of(params: Any, batch_stats: Any) -> dict[str, Any]:
  """S's variables among those of both networks."""
  return {
    'params': params['segmentation'],
    'batch_stats': batch_stats['segmentation'],
  }


def logits_fn(model: FSNet) -> Callable[..., Array]:
  """(variables, images, rngs=None) -> logits of S in evaluation mode."""

  def apply(variables, images, rngs=None):
    output = model.segmentation.apply(variables, images, train=False, rngs=rngs)
    return output.logits

  return apply


def _mask(
  model: FSNet, options: ExplainOptions, params, batch_stats, batch, logits
) -> dict[str, Array]:
  """The error mask and its parts, [b h w] each."""
  images = batch['image'].astype(jnp.float32)
  near = batch['near']
  maps = {'entropy': pixelwise.entropy(logits)}
  if options.patch_entropy:
    maps['entropy'] = pixelwise.patch_histogram_entropy(
      jnp.argmax(logits, -1), logits.shape[-1], options.patch_entropy
    )
  maps['pae'] = core.grad_cam(
    logits_fn(model),
    variables_of(params, batch_stats),
    images * near[..., None],
    options.layer,
    (near > 0) & batch['usable'] if options.near_target else None,
    options.cam,
  )
  if options.gamma:
    maps['failure'] = _failure(model, params, batch_stats, images)
  if 'weights' in batch:
    mask = weighted_mask(maps, batch['weights'])
  else:
    mask = explainable_error_mask(
      maps['pae'],
      maps['entropy'],
      options.alpha,
      options.beta,
      options.gamma,
      maps.get('failure'),
    )
  return maps | {'eem': by_cost(mask, near, options.near_weight)}


def weighted_mask(
  maps: Mapping[str, Array], weights: Float[Array, 'b k']
) -> Float[Array, 'b h w']:
  """The error mask with weights that are known only when it is computed.

  Args:
    maps: [b h w] each, by a name of `PARTS`; one may be missing.
    weights: of all `PARTS` for each image, not negative; those of the maps
      there are do not sum to 0.

  Returns:
    float32 weighted mean.
  """
  there = [i for i, name in enumerate(PARTS) if name in maps]
  used = weights[:, jnp.array(there)]
  stacked = jnp.stack([maps[PARTS[i]] for i in there], axis=-1)
  total = jnp.einsum('bhwk,bk->bhw', stacked, used)
  return total / jnp.sum(used, axis=-1)[:, None, None]


def _failure(model: FSNet, params, batch_stats, images) -> Array:
  """FSNet's probability that a pixel is wrong."""
  output, _ = model.segment(params, batch_stats, images, train=False)
  logits, _ = model.detect(params, batch_stats, images, output, train=False)
  return jax.nn.sigmoid(logits)


def _score_maps(
  model, options, scores, params, batch_stats, batch, logits, key
) -> dict[str, Array]:
  """The maps [b h w] whose means are needed."""
  images = batch['image'].astype(jnp.float32)
  maps = {
    name: UNCERTAINTY[name](logits) for name in scores if name in UNCERTAINTY
  }
  if 'ripu' in scores:
    maps['ripu'] = ripu(logits, options.window)
  if TRUE_ERROR in scores:
    maps[TRUE_ERROR] = true_error(logits, batch['label'])
  if 'eem' in scores:
    mask = _mask(model, options, params, batch_stats, batch, logits)
    maps['eem'] = mask['eem']
  if 'failure' in scores:
    maps['failure'] = _failure(model, params, batch_stats, images)
  voted = [name for name in scores if name in committee.MEASURES]
  if voted:
    members = committee.member_logits(
      logits_fn(model),
      variables_of(params, batch_stats),
      images,
      key,
      options.members,
      options.dropout,
    )
    maps |= {name: committee.MEASURES[name](members) for name in voted}
  return maps


def make_score_step(
  model: FSNet,
  options: ExplainOptions,
  scores: tuple[str, ...],
  embedding: bool,
) -> Callable[[Any, Any, Batch, Any], dict[str, Array]]:
  """Numbers for each image of a batch, by which a strategy selects.

  Args:
    model: S and, for 'failure', F.
    options: see `ExplainOptions`.
    scores: what a strategy needs: 'entropy', 'margin', 'least_confidence',
      of `committee.MEASURES`, of `IMAGE_SCORES`, 'ripu', 'eem', 'failure',
      'difficulty_entropy' or 'true_error'.
    embedding: whether a vector an image is wanted (see `ExplainOptions`).

  Returns:
    `(params, batch_stats, batch, key) -> values`, to be compiled by the
    caller. The batch holds `image` uint8 [b h w 3], `near` float32 [b h w]
    (attention of the depth-informed image), `usable` bool [b h w] and, where
    they are fitted, `weights` float32 [b k] of `PARTS`, for 'true_error'
    `label` uint8 [b h w]; values hold [b] for each score, and [b k] under
    'embedding'.
  """

  def score_step(params, batch_stats, batch, key):
    images = batch['image'].astype(jnp.float32)
    variables = variables_of(params, batch_stats)
    apply = logits_fn(model)
    values = {}
    if embedding and options.gradient:
      logits = apply(variables, images)
      values['embedding'] = gradient_embedding.embed(
        apply, variables, images, batch['usable'], options.gradient
      )
    elif embedding:
      logits, activation = core.tapped(apply, variables, images, options.layer)
      values['embedding'] = jnp.mean(activation, axis=(1, 2))
    else:
      logits = apply(variables, images)
    maps = _score_maps(
      model, options, scores, params, batch_stats, batch, logits, key
    )
    if 'difficulty_entropy' in scores:
      difficulty = _failure(model, params, batch_stats, images)
      values['difficulty_entropy'] = levels_entropy(
        difficulty, batch['usable'], options.levels
      )
    for name, value in maps.items():
      values[name] = image_score(value, batch['usable'], options.top_share)
    for name in IMAGE_SCORES.keys() & set(scores):
      values[name] = IMAGE_SCORES[name](logits, batch['usable'])
    return values

  return score_step


def make_maps_step(
  model: FSNet, options: ExplainOptions, guide: str = 'eem'
) -> Callable[[Any, Any, Batch], dict[str, Array]]:
  """Everything that a question to an oracle and its picture show.

  Args:
    model: S and, if it has a weight, F.
    options: see `ExplainOptions`.
    guide: the map that ranks regions: 'entropy', 'margin',
      'least_confidence', 'ripu', 'true_error' or 'eem'.

  Returns:
    `(params, batch_stats, batch) -> maps`, all [b h w]: `prediction` uint8,
    `confidence`, `entropy`, `cam` (Grad-CAM of the image as it is), `pae`,
    `eem`, `failure` if it has a weight, and `guide` if it is not `eem`.
  """

  def maps_step(params, batch_stats, batch):
    images = batch['image'].astype(jnp.float32)
    explained = core.explain(
      logits_fn(model),
      variables_of(params, batch_stats),
      images,
      options.layer,
      None,
      options.cam,
    )
    logits = explained.logits
    maps = _mask(model, options, params, batch_stats, batch, logits)
    maps['cam'] = explained.cam
    if guide == TRUE_ERROR:
      maps['guide'] = true_error(logits, batch['label'])
    return maps | of_logits(logits, guide, options.window)

  return maps_step


def of_logits(
  logits: Float[Array, 'b h w c'], guide: str, window: int
) -> dict[str, Array]:
  """The maps that need nothing but the logits.

  Args:
    logits: of S.
    guide: name of the uncertainty that guides regions; '' for none.
    window: of `ripu`.
  """
  maps = {
    'prediction': jnp.argmax(logits, -1).astype(jnp.uint8),
    'confidence': jnp.max(jax.nn.softmax(logits, -1), axis=-1),
  }
  if guide in UNCERTAINTY:
    maps['guide'] = UNCERTAINTY[guide](logits)
  elif guide == 'ripu':
    maps['guide'] = ripu(logits, window)
  return maps
