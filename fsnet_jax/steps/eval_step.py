"""Compiled evaluation steps: pure functions from a batch to sums."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from common_lib.class_table import VOID
from fsnet_jax.detectors import FailureDetector, ForwardPass
from fsnet_jax.metrics.details import detail_counts
from fsnet_jax.metrics.failure import failure_counts
from fsnet_jax.metrics.segmentation import confusion_counts
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.steps.losses import failure_target

Batch = Mapping[str, Array]


@dataclasses.dataclass(frozen=True)
class DropoutSampling:
  """Of Monte-Carlo dropout: the number of passes and the seed of masks."""

  samples: int = 50
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class FailureMean:
  """What F is: MSP's log-odds and a mean of corrections to them.

  Attributes:
    weights: by name of a part, `joint` (the joint phase's F) or a correction
      of phase 3; their sum is 1.
    corrections: by name, `(variables, variables of S, forward) -> [b h w]` of
      every part of phase 3 that is looked at, with a weight or without.
    joint: whether the joint phase's F is looked at.
    joint_offset: `variables -> scalar` that is taken from its log-odds in the
      mean, so that this is no mean of unlike things; None for 0.
  """

  weights: Mapping[str, float] = dataclasses.field(
    default_factory=lambda: {'joint': 1.0}
  )
  corrections: Mapping[str, Callable[..., Array]] = dataclasses.field(
    default_factory=dict
  )
  joint: bool = True
  joint_offset: Callable[[Mapping[str, Any]], Array] | None = None


def segmented(
  model: FSNet, params, batch_stats, batch: Batch
) -> SegmentationOutput:
  """S of a batch in evaluation mode: run here, or brought by the batch."""
  if outputs.LOGITS in batch:
    return outputs.output_brought(batch)
  images = batch['image'].astype(jnp.float32)
  return model.segment(params, batch_stats, images, train=False)[0]


def _forward(model: FSNet, params, batch_stats, batch: Batch) -> ForwardPass:
  """Both networks in evaluation mode."""
  images = batch['image'].astype(jnp.float32)
  output = segmented(model, params, batch_stats, batch)
  failure_logits, _ = model.detect(
    params, batch_stats, images, output, train=False
  )
  return ForwardPass(images, output, failure_logits)


def _segmented(
  model: FSNet, params, batch_stats, batch: Batch, flip: bool
) -> ForwardPass:
  """S alone, in evaluation mode: of the images and of their mirror images."""
  images = batch['image'].astype(jnp.float32)
  output = segmented(model, params, batch_stats, batch)
  flipped = None
  if flip and outputs.FLIP_LOGITS in batch:
    flipped = batch[outputs.FLIP_LOGITS].astype(jnp.float32)
  elif flip:
    mirrored = images[:, :, ::-1]
    found, _ = model.segment(params, batch_stats, mirrored, train=False)
    flipped = found.logits[:, :, ::-1]
  nothing = jnp.zeros(images.shape[:3])
  return ForwardPass(images, output, nothing, flip_logits=flipped)


def _with_failure(
  model: FSNet,
  params,
  batch_stats,
  forward: ForwardPass,
  failure: FailureMean,
  variables: Mapping[str, Any],
) -> ForwardPass:
  """The pass with all parts of F and their mean."""
  own = miss_logit(forward.segmentation.logits)
  parts = {}
  if failure.joint:
    parts['joint'], _ = model.detect(
      params, batch_stats, forward.images, forward.segmentation, train=False
    )
  for name, correction in failure.corrections.items():
    s = _variables_of_s(params, batch_stats)
    parts[name] = own + correction(variables[name], s, forward)
  mean = sum(
    (weight * parts[name] for name, weight in failure.weights.items()),
    start=jnp.zeros_like(own),
  )
  if failure.joint_offset is not None and len(failure.weights) > 1:
    offset = failure.joint_offset(variables)
    mean = mean - failure.weights.get('joint', 0.0) * offset
  return dataclasses.replace(forward, failure_logits=mean, failure_parts=parts)


def _variables_of_s(params, batch_stats) -> dict[str, Any]:
  """S's, as its module takes them."""
  return {
    'params': params['segmentation'],
    'batch_stats': batch_stats['segmentation'],
  }


def _dropout_logits(
  model: FSNet, params, batch_stats, batch: Batch, dropout: DropoutSampling
) -> Array:
  """S's logits averaged over passes with dropout."""
  return mc_dropout.mean_logits(
    model.segmentation,
    _variables_of_s(params, batch_stats),
    batch['image'].astype(jnp.float32),
    batch['index'],
    seed=dropout.seed,
    samples=dropout.samples,
  )


def _dropout_uncertainty(
  model: FSNet, params, batch_stats, batch: Batch, dropout: DropoutSampling
) -> Array:
  """What S's passes with dropout disagree about."""
  return mc_dropout.uncertainty(
    model.segmentation,
    _variables_of_s(params, batch_stats),
    batch['image'].astype(jnp.float32),
    batch['index'],
    key=jax.random.key(dropout.seed),
    samples=dropout.samples,
  )


def _valid(batch: Batch) -> Array:
  """True on pixels that count: not void, and not of a padding image."""
  return (batch['label'] != VOID) & batch['mask'][:, None, None]


def make_validation_step(
  model: FSNet, *, phase: int
) -> Callable[[Any, Any, Batch], dict[str, Array]]:
  """Sums from which `validation_losses` makes the losses of a data set.

  Sums, not means, so that a short last batch weighs what it should and the
  balance of L2 is that of the whole set.
  """

  def validation_step(params, batch_stats, batch):
    valid, score = _valid(batch), None
    if phase == 1:
      logits = segmented(model, params, batch_stats, batch).logits
    else:
      forward = _forward(model, params, batch_stats, batch)
      logits, score = forward.segmentation.logits, forward.failure_logits
    labels = jnp.where(valid, batch['label'], 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    wrong = failure_target(logits, labels) & valid
    sums = {
      'segmentation': jnp.sum(jnp.where(valid, losses, 0.0)),
      'valid': jnp.sum(valid),
      'wrong': jnp.sum(wrong),
    }
    if score is not None:
      sums['missed'] = -jnp.sum(
        jnp.where(wrong, jax.nn.log_sigmoid(score), 0.0)
      )
      sums['alarms'] = -jnp.sum(
        jnp.where(valid & ~wrong, jax.nn.log_sigmoid(-score), 0.0)
      )
    return sums

  return validation_step


def validation_losses(sums: Mapping[str, float]) -> dict[str, float]:
  """L1 and, in the joint phase, balanced L2 of a whole data set.

  Args:
    sums: totals over the set of what the validation step returned.

  Returns:
    `loss_segmentation` (nats), `error_rate`, and where known `loss_failure`
    (the balanced form of `losses.failure_loss` whatever the training uses,
    so that runs compare).
  """
  valid = max(sums['valid'], 1)
  result = {
    'loss_segmentation': sums['segmentation'] / valid,
    'error_rate': sums['wrong'] / valid,
  }
  if 'missed' in sums:
    wrong_share = sums['wrong'] / valid
    result['loss_failure'] = (
      (1 - wrong_share) * sums['missed'] + wrong_share * sums['alarms']
    ) / valid
  return result


def make_eval_step(
  model: FSNet,
  detectors: Mapping[str, FailureDetector],
  *,
  num_classes: int,
  keep_pixels: bool = True,
  dropout: DropoutSampling = DropoutSampling(),
  fitted: Mapping[str, Callable[..., Array]] | None = None,
  failure: FailureMean = FailureMean(),
  flip: bool = False,
  uncertainty: DropoutSampling | None = None,
) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
  """Everything the report needs of a batch, from one forward pass.

  Args:
    model: both networks.
    detectors: by name, as `detectors.resolve` finds them.
    num_classes: classes of S.
    keep_pixels: see `metrics.failure.failure_counts`.
    dropout: for the detectors that need passes with dropout; such a batch
      has `index`, int [b], beside the rest.
    fitted: by name, `(variables, variables of S, forward) -> [b h w]`, what
      fills `ForwardPass.fitted`.
    failure: what F is.
    flip: whether something needs the logits of the mirrored images.
    uncertainty: of the passes that a network of phase 3 looks at; such a
      batch has `index`, too. None where none does.

  Returns:
    `(params, batch_stats, batch, temperature=1, fitted_variables={}) ->
    (counts, maps)`, `fitted_variables` by name as `fitted` and as
    `failure.corrections`. `counts` are sums over the batch, to be
    replicated over devices: `confusion` int32 [b c c], `failure`, a dict
    of `FailureCounts`, and, for a batch that has `region` of
    `regions.region_codes`, `details`, a dict of `DetailCounts`. `maps` stay
    split like the batch: `prediction` uint8 [b h w], `valid` bool [b h w],
    and by detector `score` float32 [b h w].
  """
  sampled = any(one.uses_dropout_samples for one in detectors.values())
  forward_pass = make_forward_pass(
    model,
    dropout=dropout if sampled else None,
    fitted=fitted,
    failure=failure,
    flip=flip,
    uncertainty=uncertainty,
  )

  def eval_step(
    params, batch_stats, batch, temperature=1.0, fitted_variables=None
  ):
    forward = forward_pass(
      params, batch_stats, batch, temperature, fitted_variables
    )
    return _counts_and_maps(forward, batch, detectors, num_classes, keep_pixels)

  return eval_step


def make_forward_pass(
  model: FSNet,
  *,
  dropout: DropoutSampling | None = None,
  fitted: Mapping[str, Callable[..., Array]] | None = None,
  failure: FailureMean = FailureMean(),
  flip: bool = False,
  uncertainty: DropoutSampling | None = None,
) -> Callable[..., ForwardPass]:
  """All that detectors look at, of a batch.

  Args:
    model: both networks.
    dropout: of passes with dropout; None where nobody needs them.
    fitted: as `make_eval_step` takes it.
    failure: what F is.
    flip: whether something needs the logits of the mirrored images.
    uncertainty: as `make_eval_step` takes it.

  Returns:
    `(params, batch_stats, batch, temperature=1, fitted_variables={}) ->
    ForwardPass`, to be traced into a step.
  """

  def forward_pass(
    params, batch_stats, batch, temperature=1.0, fitted_variables=None
  ):
    own = fitted_variables or {}
    forward = _segmented(model, params, batch_stats, batch, flip)
    forward = dataclasses.replace(forward, temperature=temperature)
    if uncertainty is not None:
      found = _dropout_uncertainty(
        model, params, batch_stats, batch, uncertainty
      )
      forward = dataclasses.replace(forward, dropout_uncertainty=found)
    forward = _with_failure(model, params, batch_stats, forward, failure, own)
    if dropout is not None:
      mean = _dropout_logits(model, params, batch_stats, batch, dropout)
      forward = dataclasses.replace(forward, dropout_logits=mean)
    if fitted:
      s = _variables_of_s(params, batch_stats)
      said = {
        name: score(own[name], s, forward) for name, score in fitted.items()
      }
      forward = dataclasses.replace(forward, fitted=said)
    if outputs.ENSEMBLE in batch:
      said = {**forward.fitted, 'ensemble': batch[outputs.ENSEMBLE]}
      forward = dataclasses.replace(forward, fitted=said)
    return forward

  return forward_pass


def _counts_and_maps(
  forward: ForwardPass,
  batch: Batch,
  detectors: Mapping[str, FailureDetector],
  num_classes: int,
  keep_pixels: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
  """What `make_eval_step` promises, from all that the networks said."""
  valid, labels = _valid(batch), batch['label']
  prediction = jnp.argmax(forward.segmentation.logits, axis=-1)
  wrong = prediction != labels
  counts: dict[str, Any] = {
    'confusion': confusion_counts(labels, prediction, valid, num_classes),
    'failure': {},
  }
  maps = {
    'prediction': prediction.astype(jnp.uint8),
    'valid': valid,
    'score': {},
  }
  for name, detector in detectors.items():
    score = detector.score(forward)
    probability = detector.probability(forward)
    counts['failure'][name] = failure_counts(
      score, wrong, valid, labels, num_classes, probability, keep_pixels
    )
    if 'region' in batch:
      counts.setdefault('details', {})[name] = detail_counts(
        score, wrong, valid, prediction, batch['region'], num_classes
      )
    maps['score'][name] = score
  return counts, maps
