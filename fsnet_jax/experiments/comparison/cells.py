"""What a comparison trains: a few runs for each seed, each in its folder.

  seed<n>/phase1          S alone, shared by all that follows
  seed<n>/fsnet           FSNet's joint phase, which goes on from there, and
                          its phase 3
  seed<n>/failure_data    predictions of the k-fold networks, if one needs them
  seed<n>/fitted/<name>   a detector that learns, over the S of `fsnet`, frozen
  ablation/seed<n>/<name> a variant of FSNet (Table IV), from that phase 1 too

So all methods judge one S: the one that FSNet ends with. FSNet gets no errors
to find that others do not have, and the others get the S that was trained
longest. Each folder is a run of its own, finished once it has a cost.json; a
stopped one goes on where it was.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.config import names, resolution, run_paths
from fsnet_jax.detectors import (
  DETECTORS,
  FailureDetector,
  fitted_name,
  resolve,
)
from fsnet_jax.experiments import grid
from fsnet_jax.learned_detectors import cost
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.runtime import stored_config
from fsnet_jax.runtime.checkpointing import newest_is_damaged
from fsnet_jax.runtime.distributed import anywhere
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.from_config import trainer

ADVICE = (
  'To have the other seeds without it, leave it out of config.compare.seeds.'
)
# In the folder of a seed.
PHASE1, FSNET = PurePosixPath('phase1'), PurePosixPath('fsnet')
_FITTED, _FAILURE_DATA = PurePosixPath('fitted'), PurePosixPath('failure_data')


def seed_folder(seed: int) -> PurePosixPath:
  """Where everything of a seed is, in the workdir of the comparison."""
  return PurePosixPath(f'seed{seed}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(grid.Cell):
  """What one seed trains in one folder.

  Attributes:
    detector: the one that is fitted, over the S of FSNet; '' for a run of the
      trainer.
    trainings_of_s, images: of a run of the trainer, as `Cost` has them.
  """

  detector: str = ''
  trainings_of_s: int = 0
  images: int = 0


def entries_of(config: ConfigDict) -> tuple[str, ...]:
  """`eval.detectors` of a comparison's runs: those named, and of each fit."""
  entries = tuple(config.eval.detectors)
  of_fits = (
    name
    for key in config.compare.fitted
    for name, detector in DETECTORS.items()
    if fitted_name(detector) == key and name not in entries
  )
  return (*entries, *of_fits)


def detectors_of(config: ConfigDict) -> dict[str, FailureDetector]:
  """All detectors of a comparison, by name."""
  return resolve(entries_of(config))


def trains_s(config: ConfigDict) -> bool:
  """Whether S is trained here; one from elsewhere is as it is."""
  return config.segmentation.name not in names.ELSEWHERE


def joint_config(config: ConfigDict, seed: int) -> ConfigDict:
  """The run of FSNet of one seed; a plain run of task `fsnet`.

  Args:
    config: of the comparison.
    seed: of the cell.
  """
  changes = {
    'task': 'fsnet',
    'seed': seed,
    'init.phase1': run_paths.link(PHASE1, FSNET) if trains_s(config) else '',
    'eval.detectors': entries_of(config),
  }
  for name in config.compare.fitted:
    changes[f'eval.fitted.{name}'] = run_paths.link(_FITTED / name, FSNET)
  return grid.derived(config, changes, without=('compare',))


def alone_config(config: ConfigDict, seed: int) -> ConfigDict:
  """Phase 1 of that run: S trained by itself, judged by MSP."""
  changes = {
    'init.phase1': config.init.phase1,
    'phase2_steps': 0,
    'phase3_steps': 0,
    'eval.detectors': ('msp',),
    'eval.fitted': config.eval.fitted,
  }
  return grid.derived(joint_config(config, seed), changes)


def variants_config(config: ConfigDict) -> ConfigDict:
  """What the variants of FSNet have in common.

  F is the paper's in them, not a correction to MSP's log-odds, which would
  hide what its inputs are worth; a variant may turn that on.

  Args:
    config: of the comparison.
  """
  changes = {
    'task': 'fsnet',
    'failure.msp_residual': False,
    'eval.detectors': ('fsnet', 'msp'),
  }
  return grid.derived(config, changes, without=('compare',))


def fit_config(config: ConfigDict, seed: int, name: str) -> ConfigDict:
  """What a detector that learns is fitted with.

  Args:
    config: of the comparison.
    seed: of the cell.
    name: of the detector, whose folder it is.
  """
  folder = _FITTED / name
  changes = {
    'init.phase1': run_paths.link(FSNET, folder),
    'eval.fitted': config.eval.fitted,
  }
  if not config.fit.failure_data:
    changes['fit.failure_data'] = run_paths.link(_FAILURE_DATA, folder)
  return grid.derived(joint_config(config, seed), changes)


def of_seed(config: ConfigDict, seed: int) -> Iterator[Training]:
  """What one seed trains, in that order.

  Args:
    config: of the comparison, checked.
    seed: of the cells.
  """
  home = seed_folder(seed)
  if trains_s(config):
    yield Training(
      title='phase 1',
      number=seed,
      folder=home / PHASE1,
      config=alone_config(config, seed),
      trainings_of_s=1,
      images=config.phase1_steps * config.batch_size,
    )
  yield Training(
    title='FSNet',
    number=seed,
    folder=home / FSNET,
    config=joint_config(config, seed),
    images=config.phase2_steps * config.batch_size,
  )
  for name in config.compare.fitted:
    yield Training(
      title=f'fit of {name}',
      number=seed,
      folder=home / _FITTED / name,
      config=fit_config(config, seed, name),
      detector=name,
    )


def train(config: ConfigDict, seed: int, workdir: Path) -> None:
  """Trains what one seed still lacks.

  Args:
    config: of the comparison, checked.
    seed: of the cells.
    workdir: of the comparison.

  Raises:
    Interrupted: stopped; the same call goes on.
    UserError: for anything the user must change.
  """
  for _ in grid.finish(of_seed(config, seed), workdir, read, make, ADVICE):
    pass


def read(cell: Training, folder: Path) -> Cost | None:
  """What a training cost; None if it is not finished, or damaged."""
  found = cost.read(folder)
  if found is None:
    return None
  if cell.detector:
    # It looks whether the fit is still of this S and of these options.
    return learned_detectors.fit(cell.detector, cell.config, folder)
  if newest_is_damaged(folder):
    return None
  if anywhere(_names_an_absolute_phase1(cell, folder)):
    with open_workdir(folder, cell.config):
      pass  # That stores where phase 1 is from here.
  return found


def _names_an_absolute_phase1(cell: Training, folder: Path) -> bool:
  """Whether an older version stored a path that moving makes a wrong one."""
  try:
    stored = resolution.get(stored_config.read(folder), 'init.phase1')
  except UserError:
    return False
  own = cell.config.init.phase1
  return stored != own and run_paths.same(stored, own)


def make(cell: Training, folder: Path) -> Cost:
  """One training, timed over all commands."""
  if cell.detector:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return learned_detectors.fit(cell.detector, cell.config, folder)
  with open_workdir(folder, cell.config):
    with cost.running(folder) as watch:
      trainer(cell.config, folder).run()
    total = Cost(cell.trainings_of_s, watch.seconds, cell.images)
    total += phase3.run(cell.config, folder)
    total.write(folder)
  return total


def costs(config: ConfigDict, seed: int, workdir: Path) -> dict[str, Cost]:
  """What one seed's trainings cost.

  Args:
    config: of the comparison.
    seed: of the cells.
    workdir: of the comparison.

  Returns:
    `segmentation`: S itself, which all methods need; `fsnet`: the joint
    phase and phase 3; and each detector that learns, with the failure data
    set as if it had been the only one to need it.
  """
  home = workdir / seed_folder(seed)
  places = {'segmentation': home / PHASE1, 'fsnet': home / FSNET}
  places |= {name: home / _FITTED / name for name in config.compare.fitted}
  found = {name: cost.read(place) for name, place in places.items()}
  return {name: value for name, value in found.items() if value is not None}
