"""The failure data set: predictions by networks that have not seen the image.

For each of k contiguous folds of the training images, an S like the frozen
one is trained on the other folds and predicts the fold. What it says is kept
as float16 logits, [h w c] an image in a file of its own. The greatest logit
of a pixel is taken off before, so its own is 0 and those near it keep their
differences down to 6e-8: the predicted class survives the rounding.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.files import read_json_object, write_text
from common_lib.foreign import quoted
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.config import fields
from fsnet_jax.learned_detectors import cost, frozen_segmentation
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.layers.initializers import host_shapes
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.runtime.workdir import flatten, forget, has_results
from input_pipeline.datasets.contiguous_folds import Fold, bounds
from input_pipeline.sources import Source

_DESCRIPTION = 'failure_data.json'
# What the networks and their predictions depend on.
_FIXED = fields.DATA | fields.START | fields.PHASE1


class FailureScenes:
  """Training scenes with the predictions of `build`; a source itself."""

  def __init__(self, source: Source, folder: Path):
    """Joins them.

    Args:
      source: the training images, as `build` had them.
      folder: of `build`.
    """
    self._source = source
    self._folder = folder

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    scene = self._source[index]
    path = _logits_file(self._folder, index)
    return {**scene, 'logits': _read(path, scene['label'].shape)}


def compact(logits: np.ndarray) -> np.ndarray:
  """Logits as they are kept: less their maximum, in float16.

  Args:
    logits: [... c].

  Returns:
    [... c], at most 0; softmax and argmax are those of `logits`.
  """
  shifted = logits - logits.max(-1, keepdims=True)
  return np.maximum(shifted, -60_000).astype(np.float16)


def build_failure_data(config: ConfigDict, folder: Path) -> Cost:
  """Trains the networks of all folds and keeps what they predict.

  Args:
    config: the run's; `init.phase1` names the S to be like.
    folder: made if missing; several detectors may share it.

  Returns:
    What it cost, over all commands.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the same call goes on.
    UserError: the folder holds predictions of other networks.
  """
  folds = config.fit.num_folds
  length = len(data_sources.training_source(config))
  bounds(length, 0, folds)
  folder.mkdir(parents=True, exist_ok=True)
  _claim(config, folder)
  finished = cost.read(folder)
  if finished is not None:
    return finished
  images = 0
  with cost.running(folder) as watch:
    for fold in range(folds):
      images += _one_fold(config, folder, fold)
    barrier('failure data')
    total = Cost(folds, watch.seconds, images)
    total.write(folder)
  return total


def _one_fold(config: ConfigDict, folder: Path, fold: int) -> int:
  """One network and its predictions; images that it was trained on."""
  home = folder / f'fold{fold}'
  say(f'failure data: fold {fold + 1} of {config.fit.num_folds}')
  images = frozen_segmentation.train_like_s(config, home, fit__hold_out=fold)
  _predict(config, folder, fold, home)
  return images


def _predict(config: ConfigDict, folder: Path, fold: int, home: Path) -> None:
  """Predicts a fold, all of it where one of its files is missing."""
  source = data_sources.training_source(config)
  first, end = bounds(len(source), fold, config.fit.num_folds)
  files = [_logits_file(folder, index) for index in range(first, end)]
  complete = all(file.exists() for file in files)
  # Nobody writes before everybody has looked, so that all decide alike.
  barrier('failure data of a fold')
  if complete:
    return
  files[0].parent.mkdir(exist_ok=True)
  mesh = mesh_lib.make_mesh()
  network = networks.segmentation(config)
  shape = jax.ShapeDtypeStruct((1, *config.image_size, 3), jnp.float32)
  _, like = host_shapes(network, shape)
  variables = frozen_segmentation.stored(home, like)
  variables = mesh_lib.put_replicated(variables, mesh)
  predict = jax.jit(
    lambda variables, images: (
      network.apply(variables, images.astype(jnp.float32)).logits
    ),
    out_shardings=mesh_lib.batch_sharding(mesh),
  )
  doing = f'while predicting fold {fold + 1}'
  with StopRequest(doing, has_work=False) as stop:
    held_out = Fold(source, fold, config.fit.num_folds)
    for batch in data_sources.evaluation_batches(config, held_out):
      images = mesh_lib.put_batch({'image': batch['image']}, mesh)['image']
      logits = mesh_lib.local_rows(predict(variables, images))
      for row, index in enumerate(batch['index']):
        if batch['mask'][row]:
          _write(files[int(index)], compact(logits[row]))
      if stop.requested_anywhere():
        raise Interrupted(
          f'Interrupted by {stop.signal_name} {doing}: run the same command '
          'again to continue.'
        )


def _logits_file(folder: Path, index: int) -> Path:
  return folder / 'logits' / f'{index:06d}.npy'


def _read(path: Path, size: tuple[int, ...]) -> np.ndarray:
  """The logits of an image of `size`; UserError where they are damaged."""
  try:
    with path.open('rb') as file:  # np.load leaves a damaged one open
      logits = np.load(file, allow_pickle=False)
    if logits.dtype != np.float16 or logits.shape[:-1] != size:
      raise ValueError('it is of another type or size')
    return logits
  except (OSError, ValueError, TypeError, EOFError, MemoryError) as error:
    raise UserError(
      f'{path}, predictions of the failure data, cannot be read '
      f'({quoted(error, 100)}): delete it and cost.json above its folder, and '
      'its fold is predicted again.'
    ) from None


def _write(path: Path, logits: np.ndarray) -> None:
  """A reader sees the whole file or none."""
  # One process predicts an image, so what a kill leaves is written over.
  scratch = path.with_name(f'.{path.name}.part')
  with scratch.open('wb') as file:
    np.save(file, logits)
  scratch.replace(path)


def _relevant(config: Mapping[str, Any]) -> dict[str, Any]:
  return {k: v for k, v in config.items() if not fields.may_differ(k, _FIXED)}


def _claim(config: ConfigDict, folder: Path) -> None:
  """Puts down whose predictions these are, or checks that they are ours."""
  mine = json.loads(json.dumps(frozen_segmentation.like_s(config).to_dict()))
  present = _relevant(flatten(mine))
  present |= {'fit.num_folds': config.fit.num_folds}
  path = folder / _DESCRIPTION
  if jax.process_index() == 0:
    # What is of other networks, none of which was saved, is nobody's.
    if not has_results(folder):
      forget(path)
    if not path.exists():
      write_text(path, json.dumps(present, indent=2) + '\n')
  barrier('failure data description')
  stored = read_json_object(
    path,
    what='the description of failure data',
    fix='choose another config.fit.failure_data',
  )
  stored = _relevant(stored) | {'fit.num_folds': stored.get('fit.num_folds')}
  for key in sorted(stored.keys() | present.keys()):
    if stored.get(key) != present.get(key):
      raise UserError(
        f'{folder} holds the failure data of another S, whose {key} was '
        f'{stored.get(key)!r} and is now {present.get(key)!r}: choose another '
        'config.fit.failure_data.'
      )
