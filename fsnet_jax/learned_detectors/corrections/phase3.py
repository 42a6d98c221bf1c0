"""Phase 3: the failure network is trained over S as it stays.

The joint phase trains F on an S that still moves and drops units; the networks
of phase 3 learn from the outputs that will be watched. What `fsnet` is then is
MSP's log-odds and a mean of their corrections, the joint F's among them, since
unlike networks are wrong in unlike places.
"""

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.builders.evaluation import FailureOptions, failure_options
from fsnet_jax.config import run_paths
from fsnet_jax.learned_detectors import cost, fit_metadata
from fsnet_jax.learned_detectors.base import FittedDetector, Loaded
from fsnet_jax.learned_detectors.corrections.conv import ConvCorrection
from fsnet_jax.learned_detectors.corrections.pixel import PixelCorrection
from fsnet_jax.learned_detectors.cost import Cost

# In a run's folder.
FOLDER = 'phase3'
PARTS: Mapping[str, FittedDetector] = {
  part.name: part for part in (PixelCorrection(), ConvCorrection())
}
# By `config.failure.preset`: the parts of F and what each counts, those that
# were not trained being left out. Both convolutional ones are of one form and
# count as one network together.
_PRESETS: Mapping[str, Mapping[str, float]] = {
  'robust': {'pixel': 1.0, 'joint': 0.5, 'conv': 0.5},
  'light': {'pixel': 1.0},
  'paper': {'joint': 1.0},
}


def parts_of(options: FailureOptions) -> tuple[str, ...]:
  """The parts that phase 3 trains, by the preset; none without phase 3."""
  if not options.has_phase3:
    return ()
  return tuple(n for n in _PRESETS[options.preset] if n in PARTS)


def weights_of(options: FailureOptions) -> dict[str, float]:
  """What each part counts in F: sum 1, or empty if none is trained.

  Without the networks of phase 3, F is the joint phase's whatever the preset.
  """
  joint = ('joint',) if options.has_joint else ()
  trained = {*parts_of(options), *joint}
  wanted = _PRESETS[options.preset]
  found = {n: weight for n, weight in wanted.items() if n in trained}
  if wanted.keys() & PARTS.keys() and not found.keys() & PARTS.keys():
    found = dict.fromkeys(joint, 1.0)
  if 'pixel' in found and options.has_colorless:
    found['pixel'] *= 2
  # Without the joint F, one of each kind.
  if 'joint' in wanted and 'joint' not in found:
    found = dict.fromkeys(found, 1.0)
  total = sum(found.values())
  return {name: weight / total for name, weight in found.items()}


def folder_of(workdir: Path, part: str) -> Path:
  """Where a run keeps a part."""
  return workdir / FOLDER / part


def run(config: ConfigDict, workdir: Path) -> Cost:
  """Trains what a run's F still lacks.

  Args:
    config: of the run, whose S in `workdir` is finished.
    workdir: of the run, which the caller has claimed.

  Returns:
    What it cost over all commands; nothing if there is no phase 3.

  Raises:
    Interrupted: stopped; the same call goes on.
    UserError: for anything the user must change.
  """
  from fsnet_jax.learned_detectors import fit

  total = Cost()
  for part in parts_of(failure_options(config)):
    target = folder_of(workdir, part)
    total += fit(part, _over(config, part), target)
  return total


def _over(config: ConfigDict, part: str) -> ConfigDict:
  """The config of the fit of a part over the S of its run."""
  other = copy.deepcopy(config).unlock()
  other.init.phase1 = run_paths.link(PurePath(), PurePath(FOLDER, part))
  return other.lock()


def check(preset: str, workdir: Path, parts: Iterable[str]) -> None:
  """Raises UserError unless a run has these parts, finished."""
  for part in parts:
    folder = folder_of(workdir, part)
    if not (folder / fit_metadata.FILE).exists() or cost.read(folder) is None:
      raise UserError(
        f'--workdir={workdir} has no {part} failure network (phase 3), which '
        f'config.failure.preset={preset!r} needs: run its '
        "training again, or evaluate with --config.failure.preset='paper'."
      )


def load(workdir: Path, parts: Iterable[str]) -> dict[str, Loaded]:
  """The parts of a run's F.

  Raises:
    UserError: one is damaged.
  """
  from fsnet_jax.learned_detectors import load as load_fit

  return {part: load_fit(part, folder_of(workdir, part)) for part in parts}
