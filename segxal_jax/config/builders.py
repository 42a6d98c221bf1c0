"""From a config to the objects of the loop."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.builders import data_sources
from fsnet_jax.builders.classes import class_table
from input_pipeline.datasets import open_source
from input_pipeline.datasets.base import DataRequest, Source
from segxal_jax import acquisition, depth, oracles
from segxal_jax.config import own_learner, unlabelled_pool
from segxal_jax.depth.cache import cached
from segxal_jax.explanation import proximity
from segxal_jax.explanation.gradcam import default_layers
from segxal_jax.explanation.gradcam.core import CamOptions
from segxal_jax.explanation.step import TRUE_ERROR, ExplainOptions
from segxal_jax.oracles import simulated_clicks
from segxal_jax.pool import stratified_folds
from segxal_jax.pool.sources import Subset
from segxal_jax.pool.streaming import View
from segxal_jax.queries import region_selectors, regions
from segxal_jax.uncertainty.gradient_embedding import (
  GradientOptions,
  classifier,
)


def _training_split(config: ConfigDict) -> Source:
  """All of the training split, with depth if the provider needs it."""
  return _split(config, config.data.train_split)


def _request(config: ConfigDict) -> DataRequest:
  data = config.data
  counts = {'train': data.num_train, 'validation': data.num_validation}
  return DataRequest(
    image_size=tuple(config.image_size),
    root=data.root,
    cache_dir=data_sources.cache_dir(config),
    on_error=data.on_error,
    num_examples={split: n for split, n in counts.items() if n},
    depth=depth.create(config.depth).needs_dataset_depth,
    classes=class_table(config),
    split=config.data.split,
  )


def _split(config: ConfigDict, split: str) -> Source:
  separator = '' if split.startswith(':') else '/'
  return open_source(f'{config.data.name}{separator}{split}', _request(config))


def pool_source(config: ConfigDict) -> Source:
  """The pool: the training split, less what is set aside.

  That is `pool.holdout` images for validation, and one of `pool.folds` folds
  of the rest. Of a folder with images that have no label, the labelled images
  of the split and then those.

  Raises:
    UserError: as `fsnet_jax.builders.data_sources.source`, no depth in the
      data set, or a seed set that does not fill a batch.
  """
  return pool_and_fold(config)[0]


def pool_and_fold(config: ConfigDict) -> tuple[Source, Source | None]:
  """`pool_source`, and the fold that is tested on if there are folds.

  Raises:
    UserError: as `pool_source`, or more folds than images.
  """
  partly = unlabelled_pool.opened(config, _request(config))
  if partly is not None:
    _check_batch(config, partly.num_labelled)
    return partly, None
  source, fold = _training_split(config), None
  if config.pool.holdout:
    source = Subset(source, _shuffled(len(source))[config.pool.holdout :])
  if not len(source):
    raise UserError(
      f'config.pool.holdout is {config.pool.holdout}: no image is left for '
      'the pool.'
    )
  if config.pool.folds:
    source, fold = _divided(
      source,
      config.pool.folds,
      config.pool.fold,
      class_table(config).num_classes,
    )
  _check_batch(config, num_initial(config, len(source)))
  return source, fold


def _check_batch(config: ConfigDict, seed_images: int) -> None:
  """Raises UserError for a seed set that does not fill a batch."""
  if own_learner.is_command(config):
    return
  if seed_images < config.batch_size:
    raise UserError(
      f'config.batch_size is {config.batch_size}, more than the '
      f'{seed_images} images of the seed set: lower it or raise '
      'config.pool.num_initial.'
    )


def _divided(
  source: Source, count: int, number: int, num_classes: int
) -> tuple[Source, Source]:
  """All folds but one, and that one; reads every label."""
  if count > len(source):
    raise UserError(
      f'config.pool.folds is {count}, more than the {len(source)} images of '
      'the pool.'
    )
  maps = (np.asarray(source[index]['label']) for index in range(len(source)))
  mine = stratified_folds.of_pool(maps, count, num_classes) == number
  return (
    Subset(source, np.flatnonzero(~mine).tolist()),
    Subset(source, np.flatnonzero(mine).tolist()),
  )


def test_source(config: ConfigDict, spec: str) -> Source:
  """A data set of `eval.datasets`, with depth if it has that to be measured by.

  Raises:
    UserError: as `fsnet_jax.builders.data_sources.source`.
  """
  return data_sources.source(config, spec, depth=config.eval.near_m > 0)


def validation_source(config: ConfigDict) -> Source | None:
  """What is set aside of the training split, or `data.validation_split`."""
  if config.pool.holdout:
    source = _training_split(config)
    return Subset(source, _shuffled(len(source))[: config.pool.holdout])
  return data_sources.validation_source(config)


def weighing_source(config: ConfigDict) -> Source:
  """`validation_source`, with depth if the provider needs it."""
  if config.pool.holdout:
    source = validation_source(config)
    assert source is not None  # It is part of the training split.
    return source
  return _split(config, config.data.validation_split)


def _shuffled(size: int) -> list[int]:
  """An order that is the same in every run, as in DEAL's code."""
  order = list(range(size))
  random.Random(100).shuffle(order)
  return order


def num_initial(config: ConfigDict, pool_size: int) -> int:
  """Images of the seed set: a count if the config gives one, or a share."""
  return _count(config.pool.num_initial, config.pool.initial_percent, pool_size)


def num_query(config: ConfigDict, pool_size: int) -> int:
  """Images that a cycle queries."""
  return _count(config.pool.num_query, config.pool.query_percent, pool_size)


def _count(number: int, percent: float, size: int) -> int:
  return min(size, number or max(1, round(percent / 100 * size)))


def explain_options(config: ConfigDict) -> ExplainOptions:
  """How images are explained."""
  network = config.segmentation
  layer, crop = default_layers.tap(
    network.name, config.cam.layer, network.padding
  )
  classes = tuple(config.cam.classes)
  if config.cam.target == 'classes' and not classes:
    classes = tuple(range(class_table(config).num_classes))
  return ExplainOptions(
    layer=layer,
    cam=CamOptions(
      method=config.cam.method,
      classes=classes if config.cam.target == 'classes' else (),
      z=config.cam.z,
      crop=crop,
      classifier=default_layers.classifier(network.name, layer),
    ),
    near_target=config.cam.near_target,
    alpha=config.eem.alpha,
    beta=config.eem.beta,
    gamma=config.eem.gamma,
    near_weight=config.eem.near_weight,
    patch_entropy=config.eem.patch_entropy,
    top_share=config.acquisition.top_share,
    members=config.acquisition.members,
    dropout=config.acquisition.dropout,
    window=config.acquisition.window,
    levels=config.acquisition.deal_levels,
    gradient=_gradient_options(config),
  )


def _gradient_options(config: ConfigDict) -> GradientOptions | None:
  """Of the strategies whose vectors are gradients."""
  strategy = acquisition.create(config.acquisition.strategy)
  if (
    not strategy.needs_embedding
    or strategy.requirements.embedding != 'gradient'
  ):
    return None
  return GradientOptions(
    classifier=classifier(config.segmentation.name, config.segmentation.head),
    dims=config.acquisition.gradient_dims,
  )


def region_options(config: ConfigDict) -> regions.RegionOptions:
  """How images are cut into regions."""
  options = config.regions
  return regions.RegionOptions(
    kind=options.kind,
    num_segments=options.num_segments,
    compactness=options.compactness,
    patch=options.patch,
    count=options.count,
  )


def region_selector(config: ConfigDict) -> region_selectors.RegionSelector:
  """What selects regions within the images of a query.

  Raises:
    UserError: the oracle cannot label single pixels.
  """
  options = config.acquisition
  granularity = acquisition.create(options.strategy).requirements.granularity
  if granularity == 'regions':
    return region_selectors.RankedRegions(region_options(config))
  if granularity == TRUE_ERROR:
    return region_selectors.RankedRegions(region_options(config), TRUE_ERROR)
  if config.oracle.kind != 'simulated_human':
    raise UserError(
      f'config.acquisition.strategy={options.strategy} queries {granularity}, '
      f'which config.oracle.kind={config.oracle.kind} cannot label: set it to '
      'simulated_human.'
    )
  if granularity == 'pixels':
    return region_selectors.Pixels(options.pixels, options.pixel_share)
  if granularity == 'windows':
    return region_selectors.Windows(config.regions.count, options.window)
  if granularity == 'cells':
    return region_selectors.Cells(config.regions.count, options.cell)
  raise ValueError(f'unknown query granularity {granularity!r}')


def oracle(config: ConfigDict, folder: Path | None = None) -> oracles.Oracle:
  """Who answers the queries of the config's strategy.

  Args:
    config: of the run.
    folder: of what the oracle must remember; None only checks the options.

  Returns:
    The oracle that `config.oracle` names, or, where single pixels are
    queried, the same simulated person with a label for exactly those.

  Raises:
    UserError: there is no such oracle, or it cannot work like this.
  """
  named = oracles.create(
    config.oracle, config.seed, folder, class_table(config)
  )
  if region_selector(config).exact:
    return simulated_clicks.SparseHuman.create(config.oracle, config.seed)
  return named


def usable(config: ConfigDict) -> np.ndarray:
  """bool [h w]: False on the rows at the bottom that show the own vehicle."""
  height, width = config.image_size
  mask = np.ones((height, width), bool)
  mask[height - round(config.depth.ego_share * height) :] = False
  return mask


def pool_view(config: ConfigDict) -> View:
  """Scene -> image, proximity, attention and usable pixels.

  Attention ('near') is what the depth-informed image is multiplied by. Whoever
  selects by true errors sees the label, too.
  """
  options = config.depth
  folder = Path(data_sources.cache_dir(config)) / 'depth'
  provider = cached(depth.create(options), folder)
  mask = usable(config)
  with_label = config.acquisition.strategy == TRUE_ERROR

  def view(scene: Mapping[str, Any]) -> dict[str, np.ndarray]:
    near = proximity.proximity(
      provider(scene),
      mask,
      inverse=provider.inverse,
      percentiles=tuple(options.percentiles),
    )
    truth = {'label': np.asarray(scene['label'])} if with_label else {}
    return truth | {
      'image': scene['image'],
      'proximity': near,
      'near': proximity.near_field(near, options.threshold),
      'usable': mask,
    }

  return view
