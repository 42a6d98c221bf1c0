"""From a config to a segmentation network from elsewhere, and its outputs.

Such a network runs on the host, before the compiled programs. What is here is
the same for a network of this package, where it does nothing.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from common_lib import class_table_file
from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.builders.cache_folder import cache_dir
from fsnet_jax.builders.evaluation import looks_at_mirrored
from fsnet_jax.config import names
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.models.segmentation.external import ExternalSegmentation
from input_pipeline import external
from input_pipeline.external import ensemble, stage
from input_pipeline.external.cache import Cache
from input_pipeline.sources import Source

AnyNetwork = (
  external.OnnxNetwork | external.LogitsFolder | external.PythonNetwork
)
# Values of `config.segmentation.name`.
NAMES = names.ELSEWHERE
# Below `data.cache_dir`.
_CACHE = 'outputs'


def is_external(config: ConfigDict) -> bool:
  """Whether S is a network from elsewhere."""
  return config.segmentation.name in NAMES


def network(config: ConfigDict) -> AnyNetwork:
  """The network itself; opened once a process.

  Raises:
    UserError: it cannot be opened, or gives no logits of these classes.
  """
  options = config.segmentation
  path = options.path
  return _opened(
    options.name,
    path,
    config.data.classes,
    options.threads,
    options.provider,
    tuple(config.image_size),
    _stamp(path),
  )


def _stamp(path: str) -> tuple[int, int]:
  """Tells a file from what replaces it."""
  try:
    stat = expanded(path).stat()
  except (OSError, ValueError):
    return 0, 0
  return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=8)
def _opened(
  name: str,
  path: str,
  classes: str,
  threads: int,
  provider: str,
  image_size: tuple[int, int],
  stamp: tuple[int, int],
) -> AnyNetwork:
  del stamp
  return external.open_network(
    name,
    path,
    class_table_file.from_text(classes),
    threads=threads,
    provider=provider,
    image_size=image_size,
  )


def module(config: ConfigDict) -> ExternalSegmentation:
  """What stands for the network in the compiled programs."""
  found = network(config)
  size = tuple(config.image_size)
  return ExternalSegmentation(
    num_classes=found.classes.num_classes,
    fingerprint=found.fingerprint(),
    feature_channels=found.feature_channels,
    feature_size=found.feature_size(size)
    or outputs.grid_without_features(size),
  )


def scenes(config: ConfigDict, source: Source, spec: str) -> Source:
  """A source whose scenes have stored logits, where S is stored logits.

  Args:
    config: of the run.
    source: the scenes.
    spec: that they were opened by.

  Raises:
    UserError: the images are changed ones, of which there are none.
  """
  if not is_external(config):
    return source
  found = network(config)
  if found.takes_any_image:
    return source
  if '@' in spec:
    raise UserError(
      f"config.segmentation.name='logits' knows the images as they are, and "
      f'{spec} are changed ones: leave it out, or give the network as onnx or '
      'python.'
    )
  assert isinstance(found, external.LogitsFolder)
  return stage.WithLogits(source, found, exact=_is_exact(config))


def also(config: ConfigDict) -> tuple[str, ...]:
  """Further arrays of a scene that batches must have."""
  if not is_external(config) or network(config).takes_any_image:
    return ()
  return (outputs.LOGITS,)


def members(config: ConfigDict) -> tuple[AnyNetwork, ...]:
  """The other networks of an ensemble, `config.segmentation.members`.

  Raises:
    UserError: as `network`, of one of them.
  """
  options = config.segmentation
  return tuple(
    _opened(
      options.name,
      path.strip(),
      config.data.classes,
      options.threads,
      options.provider,
      tuple(config.image_size),
      _stamp(path.strip()),
    )
    for path in options.members.split(',')
    if path.strip()
  )


def evaluation_batches(config: ConfigDict, iterator: Any, flip: bool) -> Any:
  """As `batches`, with what the members of an ensemble disagree about."""
  whole = batches(config, iterator, flip)
  if not (is_external(config) and config.segmentation.members):
    return whole
  return ensemble.WithEnsemble(whole, members(config))


def batches(
  config: ConfigDict, iterator: Any, flip: bool, stored: bool = True
) -> Any:
  """Batches with the outputs of the network.

  Args:
    config: of the run.
    iterator: of `input_pipeline.loader`.
    flip: whether the mirrored images are wanted too.
    stored: whether the images are those of the data set, which come again;
      outputs of changed ones are not worth keeping.

  Returns:
    An iterator with the same methods; the same one for a network of this
    package.
  """
  if not is_external(config):
    return iterator
  found = network(config)
  if not found.takes_any_image:
    return iterator
  return stage.with_outputs(
    iterator,
    found,
    flip=flip,
    cache=_cache(config) if stored else None,
    exact=_is_exact(config),
  )


def _is_exact(config: ConfigDict) -> bool:
  """Whether outputs are as the network gave them, not as they are kept."""
  return config.segmentation.cache == 'off'


def _cache(config: ConfigDict) -> Cache | None:
  """Where outputs are kept; None where they are computed each time."""
  if _is_exact(config):
    return None
  folder = Path(cache_dir(config))
  return Cache(folder / _CACHE, network(config).fingerprint())


def check(config: ConfigDict) -> None:
  """What a network from elsewhere cannot do, before anything is trained.

  Raises:
    UserError: for the first mistake found.
  """
  if not is_external(config):
    return
  found = network(config)
  for member in members(config):
    if not member.takes_any_image:
      raise UserError(
        'config.segmentation.members are stored logits, and an ensemble is run '
        'on the images: give the networks as onnx or python.'
      )
  if 'seg_features' in config.failure.inputs and not found.feature_channels:
    raise UserError(
      "config.failure.inputs has 'seg_features', but the network gives none: "
      'leave it out, or name an inner tensor in `outputs.features` of its '
      'model.json.'
    )
  samples = config.fit.pixel.dropout_samples
  if samples:
    raise UserError(
      f'config.fit.pixel.dropout_samples is {samples}, but a network from '
      'elsewhere is run without dropout: set it to 0.'
    )
  if found.takes_any_image:
    return
  if config.failure.mix != 'clean':
    raise UserError(
      f'config.failure.mix is {config.failure.mix!r}, but stored logits are of '
      "the images as they are: set it to 'clean', or give the network as onnx "
      'or python.'
    )
  if looks_at_mirrored(config):
    raise UserError(
      'config.fit.pixel.flip needs the network on mirrored images, which '
      'stored logits are not: set it to False, or give the network as onnx or '
      'python.'
    )


def check_same(config: ConfigDict, params: Mapping[str, Any]) -> None:
  """Raises UserError unless stored parameters are of this network.

  Args:
    config: of the run.
    params: of S, from a checkpoint.
  """
  if not is_external(config):
    return
  stored = bytes(np.asarray(params['sha256'], np.uint8)).hex()
  found = network(config).fingerprint()
  if stored != found:
    raise UserError(
      f'config.segmentation.path={config.segmentation.path} is not the network '
      f'that this run was fitted over (SHA-256 {stored[:12]}, now '
      f'{found[:12]}): give that one, or choose another --workdir.'
    )
