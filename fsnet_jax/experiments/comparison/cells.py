"""What a comparison trains: a few runs for each seed, each in its folder.

  seed<n>/phase1          S alone, shared by all that follows
  seed<n>/fsnet           FSNet's joint phase, which goes on from there
  seed<n>/failure_data    predictions of the k-fold networks, if one needs them
  seed<n>/fitted/<name>   a detector that learns, over the S of `fsnet`, frozen
  ablation/seed<n>/<name> a variant of FSNet (Table IV), from that phase 1 too

So all methods judge one S: the one that FSNet ends with. FSNet gets no errors
to find that others do not have, and the others get the S that was trained
longest. Each folder is a run of its own, finished once it has a cost.json; a
stopped one goes on where it was.
"""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.detectors import DETECTORS, fitted_name
from fsnet_jax.learned_detectors import cost
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.runtime.checkpointing import newest_is_damaged
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.trainer import Trainer


def seed_folder(workdir: Path, seed: int) -> Path:
  """Where everything of a seed is; absolute, for configs hold it."""
  return workdir.absolute() / f'seed{seed}'


def detectors_of(config: Any) -> tuple[str, ...]:
  """All detectors of a comparison: those named, and those of each fit."""
  names = tuple(config.eval.detectors)
  own = (
    name
    for key in config.compare.fitted
    for name, detector in DETECTORS.items()
    if fitted_name(detector) == key and name not in names
  )
  return (*names, *own)


def joint_config(config: Any, seed: int, folder: Path) -> ConfigDict:
  """The run of FSNet in one seed's folder; a plain run of task `fsnet`.

  Args:
    config: of the comparison.
    seed: of the cell.
    folder: `seed_folder`.
  """
  cell = copy.deepcopy(ConfigDict(config)).unlock()
  cell.eval.detectors = detectors_of(config)
  for name in config.compare.fitted:
    cell.eval.fitted[name] = str(folder / 'fitted' / name)
  del cell['compare']
  cell.task = 'fsnet'
  cell.seed = seed
  cell.init.phase1 = str(folder / 'phase1')
  return cell.lock()


def alone_config(config: Any, seed: int, folder: Path) -> ConfigDict:
  """Phase 1 of that run: S trained by itself, judged by MSP."""
  cell = copy.deepcopy(joint_config(config, seed, folder)).unlock()
  cell.init.phase1 = config.init.phase1
  cell.phase2_steps = 0
  cell.eval.detectors = ('msp',)
  return cell.lock()


def variants_config(config: Any) -> ConfigDict:
  """What the variants of FSNet have in common.

  F is the paper's in them, not a correction to MSP's log-odds, which would
  hide what its inputs are worth; a variant may turn that on.

  Args:
    config: of the comparison.
  """
  base = copy.deepcopy(ConfigDict(config)).unlock()
  del base['compare']
  base.task = 'fsnet'
  base.failure.msp_residual = False
  base.eval.detectors = ('fsnet', 'msp')
  return base.lock()


def fit_config(config: Any, seed: int, folder: Path) -> ConfigDict:
  """What the detectors that learn are fitted with."""
  cell = copy.deepcopy(joint_config(config, seed, folder)).unlock()
  cell.init.phase1 = str(folder / 'fsnet')
  if not cell.fit.failure_data:
    cell.fit.failure_data = str(folder / 'failure_data')
  return cell.lock()


def train(config: Any, seed: int, workdir: Path) -> None:
  """Trains what one seed still lacks.

  Args:
    config: of the comparison, checked.
    seed: of the cells.
    workdir: of the comparison.

  Raises:
    Interrupted: stopped; the same call goes on.
    UserError: for anything the user must change.
  """
  folder = seed_folder(workdir, seed)
  steps = config.phase1_steps * config.batch_size
  _train_run(alone_config(config, seed, folder), folder / 'phase1', 1, steps)
  steps = config.phase2_steps * config.batch_size
  _train_run(joint_config(config, seed, folder), folder / 'fsnet', 0, steps)
  for name in config.compare.fitted:
    target = folder / 'fitted' / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if cost.read(target) is None:
      say(f'compare: seed {seed}, fitting {name}')
    with _named(seed, f'fitting {name}'):
      learned_detectors.fit(name, fit_config(config, seed, folder), target)


def _train_run(cell: Any, folder: Path, trainings: int, images: int) -> None:
  """One run of the trainer, timed over all commands."""
  if cost.read(folder) is not None and not newest_is_damaged(folder):
    return
  say(f'compare: seed {cell.seed}, {folder.name}')
  with _named(cell.seed, folder.name), open_workdir(folder, cell):
    with cost.running(folder) as watch:
      Trainer(cell, folder).run()
    Cost(trainings, watch.seconds, images).write(folder)


@contextlib.contextmanager
def _named(seed: int, what: str) -> Iterator[None]:
  """Says in which cell a mistake, or a training that failed, was found."""
  try:
    yield
  except UserError as error:
    raise UserError(
      f'Seed {seed}, {what}: {error} To have the other seeds without it, leave '
      'it out of config.compare.seeds.'
    ) from error


def costs(config: Any, seed: int, workdir: Path) -> dict[str, Cost]:
  """What one seed's trainings cost.

  Args:
    config: of the comparison.
    seed: of the cells.
    workdir: of the comparison.

  Returns:
    `segmentation`: S itself, which all methods need; `fsnet`: the joint
    phase; and each detector that learns, with the failure data set as if it
    had been the only one to need it.
  """
  folder = seed_folder(workdir, seed)
  places = {'segmentation': folder / 'phase1', 'fsnet': folder / 'fsnet'}
  places |= {name: folder / 'fitted' / name for name in config.compare.fitted}
  found = {name: cost.read(place) for name, place in places.items()}
  return {name: value for name, value in found.items() if value is not None}
