"""The evaluation step for labels that are coarser than S's classes.

IDD-Lite says "vehicles" where S says car, truck or bus. S stays as it is, and
so do the scores; only right and wrong are decided by group, and the classes of
the metrics are the groups.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from common_lib.class_table import VOID
from fsnet_jax.detectors import FailureDetector
from fsnet_jax.metrics.failure import FailureCounts
from fsnet_jax.metrics.ranking import NOT_COUNTED, BinCounts
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.steps.eval_step import make_eval_step, segmented


def make_grouped_eval_step(
  model: FSNet,
  detectors: Mapping[str, FailureDetector],
  of_class: Sequence[int],
  **options: Any,
) -> Callable[..., tuple[dict[str, Any], dict[str, Any]]]:
  """As `eval_step.make_eval_step`, with classes joined into groups.

  Args:
    model: both networks.
    detectors: as there.
    of_class: group of each of S's classes, 0..g-1.
    **options: of `make_eval_step`, but `num_classes`.

  Returns:
    A step like the one there. The labels of its batch are classes that stand
    for their groups; a pixel is wrong where the groups differ. The classes of
    `counts` are the g groups, and `maps['prediction']` holds the lowest class
    of the predicted group, as the labels do.
  """
  group = np.asarray(of_class, np.int32)
  stand_ins = np.array(
    [np.flatnonzero(group == g)[0] for g in range(group.max() + 1)]
  )
  step = make_eval_step(model, detectors, num_classes=len(group), **options)

  def eval_step(params, batch_stats, batch, *rest):
    # The same forward pass as in `step`: XLA does it once.
    logits = segmented(model, params, batch_stats, batch).logits
    agreed = _agreed(batch['label'], jnp.argmax(logits, axis=-1), group)
    counts, maps = step(params, batch_stats, batch | {'label': agreed}, *rest)
    member = jnp.asarray(group[:, None] == np.arange(len(stand_ins)))
    member = member.astype(jnp.int32)
    confusion = jnp.einsum(
      'bij,ig,jh->bgh', counts['confusion'], member, member
    )
    failure = {
      name: _grouped(one, member, group)
      for name, one in counts['failure'].items()
    }
    joined = counts | {'confusion': confusion, 'failure': failure}
    if 'details' in counts:
      joined['details'] = {
        name: one.replace(predicted=_joined(one.predicted, member))
        for name, one in counts['details'].items()
      }
    shown = jnp.asarray(stand_ins[group], jnp.uint8)[maps['prediction']]
    return joined, maps | {'prediction': shown}

  return eval_step


def _agreed(label: Array, prediction: Array, of_class: np.ndarray) -> Array:
  """Labels that equal the prediction exactly where the groups agree."""
  groups = jnp.asarray(of_class)
  known = label != VOID
  same = groups[prediction] == groups[jnp.where(known, label, 0)]
  return jnp.where(known & same, prediction.astype(label.dtype), label)


def _grouped(
  counts: FailureCounts, member: Array, of_class: np.ndarray
) -> FailureCounts:
  """The counts of one detector with its classes joined."""
  calibration = counts.calibration
  if calibration is not None:
    gaps = jnp.einsum('kcj,cg->kgj', calibration.gaps, member)
    calibration = calibration.replace(gaps=gaps)
  pixels, bins = counts.pixels, counts.bins
  if pixels is not None:
    codes = pixels.codes
    group = jnp.asarray(of_class)[jnp.minimum(codes >> 1, len(of_class) - 1)]
    joined = (2 * group + (codes & 1)).astype(codes.dtype)
    codes = jnp.where(codes == NOT_COUNTED, codes, joined)
    pixels = pixels.replace(codes=codes, num_groups=member.shape[1])
  if bins is not None:
    bins = _joined(bins, member)
  return dataclasses.replace(
    counts, calibration=calibration, pixels=pixels, bins=bins
  )


def _joined(bins: BinCounts, member: Array) -> BinCounts:
  """Counts by class as counts by group."""
  histogram = jnp.einsum('csn,cg->gsn', bins.histogram, member)
  return dataclasses.replace(bins, histogram=histogram)
