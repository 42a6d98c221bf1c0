"""From a config to a pool of which most images have no label (`folder`)."""

from ml_collections import ConfigDict

from common_lib.errors import UserError
from input_pipeline.datasets import folder, open_source
from input_pipeline.datasets.base import DataRequest
from segxal_jax import oracles
from segxal_jax.config import own_learner
from segxal_jax.explanation.step import TRUE_ERROR
from segxal_jax.pool.sources import LabelledFirst


def opened(config: ConfigDict, request: DataRequest) -> LabelledFirst | None:
  """The labelled images of the training split, then those without a label.

  Args:
    config: of the run.
    request: of its data set.

  Returns:
    None where the data set has a label for each image, so that there is
    nothing to add: its labels then serve as the ground truth of a simulation.

  Raises:
    UserError: the config asks for labels that there are not, or as
      `input_pipeline.datasets.open_source`.
  """
  variant, _, split = config.data.train_split.partition(':')
  if config.data.name != 'folder' or variant:
    return None
  labelled, unlabelled = folder.counted(split, request)
  if not unlabelled:
    return None
  _check(config, unlabelled)
  if not labelled and own_learner.begins_with(config):
    return LabelledFirst(None, open_source('folder/unlabelled', request))
  return LabelledFirst(
    open_source(f'folder:{split}', request),
    open_source('folder/unlabelled', request),
  )


def _check(config: ConfigDict, unlabelled: int) -> None:
  """Raises UserError for what needs the labels that are missing."""
  without = f'but {unlabelled} images of {config.data.root} have no label'
  if oracles.ORACLES[config.oracle.kind].needs_truth:
    raise UserError(
      f'config.oracle.kind is {config.oracle.kind!r}, which answers from label '
      f"files, {without}: set it to 'label_studio'."
    )
  if config.acquisition.strategy == TRUE_ERROR:
    raise UserError(
      f'config.acquisition.strategy is {TRUE_ERROR!r}, which is for '
      f'comparisons on labelled data, {without}: choose another one.'
    )
  for name in ('holdout', 'folds'):
    if config.pool[name]:
      raise UserError(
        f'config.pool.{name} is {config.pool[name]} and sets labelled images '
        f'of the pool aside, {without}: leave it 0, and name labelled images '
        'of a split of their own in config.data.validation_split.'
      )
  if config.pool.num_initial:
    raise UserError(
      f'config.pool.num_initial is {config.pool.num_initial}, {without}: the '
      'seed set is all that is labelled; leave it 0.'
    )
