"""From a config to the data that it describes."""

import os
from typing import Any

import jax

from input_pipeline import transforms
from input_pipeline.datasets import dataset_of, open_source
from input_pipeline.datasets.base import DataRequest, Source
from input_pipeline.datasets.contiguous_folds import WithoutFold
from input_pipeline.datasets.subset import EvenSubset
from input_pipeline.loader import eval_loader, train_loader


def _cache_dir(config: Any) -> str:
  """Where prepared copies are kept, by TFDS's own convention."""
  default = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')
  return config.data.cache_dir or default


def source(config: Any, spec: str) -> Source:
  """Opens (and, the first time, prepares) a data set to evaluate on.

  Args:
    config: the run's config; `eval.resize` says how images reach its size.
    spec: `<dataset>[/<variant>][:<split>][@<corruption>]`.

  Raises:
    UserError: for an unknown name, a missing folder or a damaged file.
  """
  return _open(config, spec, config.eval.resize)


def _open(config: Any, spec: str, resize: str) -> Source:
  """As `source`; what is trained and validated on is always squeezed."""
  name = dataset_of(spec)
  own = name == config.data.name
  root = config.data.root if own else ''
  counts = {
    'train': config.data.num_train,
    'validation': config.data.num_validation,
    'val': config.data.num_validation,  # as files' data sets call it
    'test': config.data.num_test,
  }
  request = DataRequest(
    image_size=tuple(config.image_size),
    root=root or config.eval.roots.get(name, ''),
    cache_dir=_cache_dir(config),
    on_error=config.data.on_error,
    # The protocol's own: another data set is evaluated on all that it has.
    num_examples={split: n for split, n in counts.items() if n and own},
    resize=resize,
  )
  return open_source(spec, request)


def _own(config: Any, split: str) -> Source:
  """`variant:split` or `:split` of the run's own data set."""
  separator = '' if split.startswith(':') else '/'
  return _open(config, f'{config.data.name}{separator}{split}', 'squeeze')


def training_source(config: Any) -> Source:
  """The images that S is trained on, in their order."""
  data = _own(config, config.data.train_split)
  if config.data.train_fraction < 1:
    data = EvenSubset(data, config.data.train_fraction)
  if config.fit.hold_out >= 0:
    data = WithoutFold(data, config.fit.hold_out, config.fit.num_folds)
  return data


def training_batches(config: Any):
  """Endless, checkpointable iterator over this process's share."""
  return train_loader(
    training_source(config),
    batch_size=config.batch_size,
    seed=config.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    augment=transforms.resolve(config.data.augment),
    num_workers=config.data.num_workers,
  )


def validation_source(config: Any) -> Source | None:
  """The validation split, or None if the config names none."""
  if not config.data.validation_split:
    return None
  return _own(config, config.data.validation_split)


def images_in_common(config: Any, spec: str) -> int:
  """How many images of a data set the validation split holds too.

  What is fitted or chosen on these has seen what it is judged on.

  Args:
    config: the run's config.
    spec: as `source` takes it; corrupted images count as what they were.

  Raises:
    UserError: as `source`.
  """
  validation = validation_source(config)
  if validation is None or dataset_of(spec) != config.data.name:
    return 0
  evaluated = source(config, spec.partition('@')[0])
  known = {scene['id'] for scene in validation}
  return sum(scene['id'] in known for scene in evaluated)


def evaluation_batches(config: Any, data: Source):
  """One padded pass over `data`, the same number of batches everywhere."""
  return eval_loader(
    data,
    batch_size=config.eval.batch_size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    num_workers=config.data.num_workers,
  )


def open_all(config: Any) -> None:
  """Opens every data set the run needs, so that a mistake shows at once.

  Raises:
    UserError: as `source`.
  """
  transforms.resolve(config.data.augment)
  _own(config, config.data.train_split)
  validation_source(config)
  for spec in config.eval.datasets:
    source(config, spec)
