"""From a config to the data that it describes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from fsnet_jax.builders import external
from fsnet_jax.builders.cache_folder import cache_dir
from fsnet_jax.builders.classes import class_table
from fsnet_jax.detectors import use_temperature
from input_pipeline import transforms
from input_pipeline.datasets import dataset_of, has_depth, open_source
from input_pipeline.datasets.base import DataRequest, Source
from input_pipeline.datasets.contiguous_folds import WithoutFold
from input_pipeline.datasets.subset import EvenSubset
from input_pipeline.loader import eval_loader, train_loader


def source(config: ConfigDict, spec: str, depth: bool = False) -> Source:
  """Opens (and, the first time, prepares) a data set that is evaluated.

  Args:
    config: the run's config. `eval.roots` says where its data sets lie; that
      of the run itself lies in `data.root` where it names none for it.
      `eval.resize` says how images reach its size.
    spec: `<dataset>[/<variant>][:<split>][@<corruption>]`.
    depth: whether scenes are to carry depth, where the data set has it.

  Raises:
    UserError: for an unknown name, a missing folder or a damaged file.
  """
  name = dataset_of(spec)
  own = config.data.root if name == config.data.name else ''
  root = config.eval.roots.get(name, '') or own
  found = _open(config, spec, root, config.eval.resize, depth)
  return external.scenes(config, found, spec)


def _open(
  config: ConfigDict, spec: str, root: str, resize: str, depth: bool = False
) -> Source:
  counts = {
    'train': config.data.num_train,
    'validation': config.data.num_validation,
    'val': config.data.num_validation,  # as files' data sets call it
    'test': config.data.num_test,
  }
  # The protocol's own: another data set is evaluated on all that it has.
  own = dataset_of(spec) == config.data.name
  if not _names_split(spec):
    # A sequence to test on may lie in the official training split.
    del counts['train']
  request = DataRequest(
    image_size=tuple(config.image_size),
    root=root,
    cache_dir=cache_dir(config),
    on_error=config.data.on_error,
    num_examples={split: n for split, n in counts.items() if n and own},
    resize=resize,
    classes=class_table(config),
    split=config.data.split,
  )
  if depth and has_depth(spec, request):
    request = dataclasses.replace(request, depth=True)
  return open_source(spec, request)


def _names_split(spec: str) -> bool:
  """Whether `<dataset>[/<variant>][:<split>][@<corruption>]` has a split."""
  return ':' in spec.partition('@')[0]


def _own(config: ConfigDict, split: str) -> Source:
  """A split of the run's own data set, given as `variant:split` or `:split`.

  What is trained and validated on is always squeezed.
  """
  separator = '' if split.startswith(':') else '/'
  root = config.data.root or config.eval.roots.get(config.data.name, '')
  spec = f'{config.data.name}{separator}{split}'
  return external.scenes(config, _open(config, spec, root, 'squeeze'), spec)


def training_source(config: ConfigDict) -> Source:
  """The images that S is trained on, in their order."""
  data = _own(config, config.data.train_split)
  if config.data.train_fraction < 1:
    data = EvenSubset(data, config.data.train_fraction)
  if config.fit.hold_out >= 0:
    data = WithoutFold(data, config.fit.hold_out, config.fit.num_folds)
  return data


def training_batches(config: ConfigDict):
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


def validation_source(config: ConfigDict) -> Source | None:
  """The validation split, or None if the config names none."""
  if not config.data.validation_split:
    return None
  return _own(config, config.data.validation_split)


def images_in_common(config: ConfigDict, spec: str) -> int:
  """How many images of a data set the validation split holds too.

  What is fitted or chosen on these has seen what it is judged on.

  Args:
    config: the run's config.
    spec: as `source` takes it; corrupted images count as what they were.

  Raises:
    UserError: as `source`.
  """
  if dataset_of(spec) != config.data.name:
    return 0
  validation = validation_source(config)
  if validation is None:
    return 0
  evaluated = source(config, spec.partition('@')[0])
  known = {scene['id'] for scene in validation}
  return sum(scene['id'] in known for scene in evaluated)


def evaluation_batches(
  config: ConfigDict,
  data: Source,
  flip: bool = False,
  arrays: Sequence[str] = (),
):
  """One padded pass over `data`, the same number of batches everywhere.

  Args:
    config: of the run.
    data: the images.
    flip: whether S is to see the mirrored images too; of a network of this
      package that is part of the compiled program.
    arrays: further ones of a scene that batches are to have.
  """
  batches = eval_loader(
    data,
    batch_size=config.eval.batch_size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    num_workers=config.data.num_workers,
    also=(*external.also(config), *arrays),
  )
  return external.evaluation_batches(config, batches, flip)


def open_all(config: ConfigDict, training: bool = True) -> None:
  """Opens every data set the command needs, so that a mistake shows at once.

  Args:
    config: of the command.
    training: whether it trains; an evaluation needs the validation images
      only if a detector's temperature is fitted on them.

  Raises:
    UserError: as `source`.
  """
  if training:
    transforms.resolve(config.data.augment)
    _own(config, config.data.train_split)
  if training or use_temperature(config.eval.detectors):
    validation_source(config)
  for spec in config.eval.datasets:
    source(config, spec)


class RunData:
  """The data that a config describes, opened when they are asked for.

  What is below the builders has this in the config's place.
  """

  def __init__(self, config: ConfigDict):
    """Takes the run's config, of which it opens nothing yet."""
    self._config = config

  def source(self, spec: str) -> Source:
    """See the function of that name."""
    return source(self._config, spec)

  def training_source(self) -> Source:
    """See the function of that name."""
    return training_source(self._config)

  def training_batches(self) -> Any:
    """See the function of that name."""
    return training_batches(self._config)

  def validation_source(self) -> Source | None:
    """See the function of that name."""
    return validation_source(self._config)

  def evaluation_batches(self, data: Source, flip: bool = False) -> Any:
    """See the function of that name."""
    return evaluation_batches(self._config, data, flip)
