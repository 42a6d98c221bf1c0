"""What an evaluation pass sums over the batches of one data set."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from common_lib.errors import UserError
from fsnet_jax.builders.evaluation import EvaluationOptions
from fsnet_jax.metrics.details import Details
from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.segmentation import SegmentationMetrics


class DatasetSums:
  """Sums of the evaluation step's counts, and the metrics they give."""

  def __init__(
    self,
    detectors: Collection[str],
    names: Sequence[str],
    options: EvaluationOptions,
  ):
    """Begins with no image.

    Args:
      detectors: names of those that are evaluated.
      names: of the classes.
      options: of the evaluation.
    """
    self._names = names
    self._segmentation = SegmentationMetrics.empty(len(names))
    self._failure = {
      name: FailureHistogram.empty(len(names), options.exact_pixels)
      for name in detectors
    }
    self._details = {
      name: Details.empty(len(names))
      for name in (detectors if options.details else ())
    }

  def add(self, counts: Mapping[str, Any]) -> None:
    """Adds the counts of a batch, of `eval_step.make_eval_step`."""
    self._segmentation = self._segmentation.add(counts['confusion'])
    for name, histogram in self._failure.items():
      self._failure[name] = histogram.add(counts['failure'][name])
    for name, details in self._details.items():
      self._details[name] = details.add(counts['details'][name])

  def metrics(self, dataset: str, num_images: int) -> dict[str, Any]:
    """The entry of the data set in `metrics.json`, without differences.

    Args:
      dataset: how a mistake calls it.
      num_images: that were added.

    Raises:
      UserError: for a detector whose scores are no finite numbers.
    """
    values = self._segmentation.compute(self._names)
    return {
      'images': num_images,
      'pixels': values.pop('pixels'),
      'segmentation': values,
      'failure': {
        name: self._detector_metrics(name, dataset) for name in self._failure
      },
    }

  def _detector_metrics(self, name: str, dataset: str) -> dict[str, Any]:
    try:
      found = self._failure[name].compute(self._names)
    except ValueError as error:
      raise UserError(
        f'Detector {name!r} on {dataset}: {error}: correct it, or leave it '
        'out of config.eval.detectors (in a comparison, its fit out of '
        'config.compare.fitted).'
      ) from error
    if name in self._details:
      found |= self._details[name].compute(self._names)
    return found
