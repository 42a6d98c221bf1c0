"""The frozen S that every detector is fitted to, and more networks like it."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.builders import external, networks
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.training import phase1_reuse
from fsnet_jax.weights import initial


def check(config: ConfigDict) -> None:
  """Raises UserError unless `config.init.phase1` names a fitting run."""
  if not config.init.phase1:
    raise UserError(
      'config.init.phase1 is empty: give the --workdir of a run whose S is '
      'trained, for detectors are fitted over a frozen S.'
    )
  phase1_reuse.check(config)
  begun = init_options(config).over_run(config.init.phase1)
  initial.check(begun, networks.model(config))
  _check_finished(Path(config.init.phase1))


def _check_finished(folder: Path) -> None:
  """Raises UserError if a run stands in the middle of a phase."""
  stored = phase1_reuse.stored_config(folder)
  if stored['switch'] != 'steps':
    return  # Only its own data know when it ends.
  first, step = stored['phase1_steps'], last_step(folder)
  if step not in (first, first + stored['phase2_steps']):
    raise UserError(
      f'config.init.phase1 names {folder}, which has reached step {step} of '
      f'{first + stored["phase2_steps"]}: run its command again first, for a '
      'detector is fitted over an S that no longer changes.'
    )


def load(config: ConfigDict) -> tuple[SegmentationNetwork, dict[str, Any]]:
  """S as it ended in the run that `config.init.phase1` names.

  Args:
    config: checked by `check`. If that run has gone on to phase 2, S is what
      phase 2 left.

  Returns:
    The network and its variables, NumPy arrays.
  """
  network = networks.segmentation(config)
  images = jax.ShapeDtypeStruct((1, *config.image_size, 3), jnp.float32)
  fresh = host_init(network, 0, images)
  params, stats, _ = initial.load(
    init_options(config).over_run(config.init.phase1),
    {'segmentation': fresh['params']},
    {'segmentation': fresh.get('batch_stats', {})},
  )
  external.check_same(config, params['segmentation'])
  return network, variables_of_s(params, stats)


def last_step(folder: Path) -> int:
  """Step of the newest checkpoint of a run; -1 if it has none."""
  return max(checkpoint_folders.steps(folder), default=-1)


def stored(folder: Path, like: dict[str, Any]) -> dict[str, Any]:
  """S's variables in the newest checkpoint of a run.

  Args:
    folder: of the run.
    like: variables of such a network.

  Returns:
    NumPy arrays in the structure of `like`.

  Raises:
    UserError: there is no such checkpoint, or it is of another network.
  """
  from fsnet_jax.runtime import weights_store

  wanted = {name: {'segmentation': tree} for name, tree in like.items()}
  path = checkpoint_folders.checkpoint(folder, last_step(folder))
  try:
    found = weights_store.load_arrays(path / 'state', wanted)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{path} is damaged or holds another network ({quoted(error, 200)}): run '
      'the command that trained it again, which goes on from the checkpoint '
      'before it, or fit again in another folder.'
    ) from error
  return {name: tree['segmentation'] for name, tree in found.items()}


def variables_of_s(params: Any, batch_stats: Any) -> dict[str, Any]:
  """S's variables out of the trees of S and F.

  Args:
    params: with the key 'segmentation'.
    batch_stats: likewise; S may have none.
  """
  return {
    'params': params['segmentation'],
    'batch_stats': batch_stats.get('segmentation', {}),
  }


def fingerprint(variables: Any) -> str:
  """Sixteen digits that two networks share if they are equal to the bit."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
    digest.update('/'.join(str(entry.key) for entry in path).encode())
    digest.update(np.ascontiguousarray(np.asarray(leaf)).tobytes())
  return digest.hexdigest()[:16]


def like_s(config: ConfigDict, **changes: Any) -> ConfigDict:
  """The config of another S, trained as the frozen one was.

  Args:
    config: the run's.
    **changes: dotted fields, with two underscores for the dot.

  Returns:
    A config of phase 1 alone; it begins with what the frozen S began with.
    Where that went on in phase 2, it has as many steps in all.
  """
  other = copy.deepcopy(config).unlock()
  folder, seen = config.init.phase1, set()
  while folder and folder not in seen:
    seen.add(folder)
    stored = phase1_reuse.stored_config(Path(folder))
    other.init = ConfigDict(stored['init'])
    folder = stored['init']['phase1']
  other.init.phase1 = ''
  other.fit.failure_data = ''  # where what is learnt from this lies
  other.task = 'fsnet'
  other.phase2_steps = 0
  if config.switch == 'steps':
    steps = last_step(Path(config.init.phase1))
    other.phase1_steps = max(config.phase1_steps, steps)
  for path, value in changes.items():
    *parents, leaf = path.split('__')
    node = other
    for parent in parents:
      node = node[parent]
    node[leaf] = value
  return other.lock()


def train_like_s(config: ConfigDict, folder: Path, **changes: Any) -> int:
  """Trains another S, or goes on with it.

  Args:
    config: the run's.
    folder: of the training; claimed meanwhile.
    **changes: as `like_s` takes them.

  Returns:
    The number of images that it was trained on, over all commands.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the same call goes on.
  """
  # Slow to import.
  from fsnet_jax.runtime.workdir import open_workdir
  from fsnet_jax.training.from_config import trainer

  mine = like_s(config, **changes)
  with open_workdir(folder, mine):
    trainer(mine, folder).run()
  return last_step(folder) * mine.batch_size
