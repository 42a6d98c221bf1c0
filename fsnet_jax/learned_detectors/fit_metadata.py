"""What a fit's folder says about itself: `fit.json`."""

import json
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.files import write_text
from fsnet_jax.config import fields
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.workdir import flatten

_FILE = 'fit.json'
# What a fit depends on; that S is the same is seen from its fingerprint.
_FIXED = fields.DATA | fields.PHASE1 | fields.FIT


def _relevant(section: str, config: dict[str, Any]) -> dict[str, Any]:
  """The fields that the fit with a section of `config.fit` depends on."""

  def matters(key: str) -> bool:
    if key.startswith('fit.') and key.count('.') > 1:
      return key.startswith(f'fit.{section}.')
    return not fields.may_differ(key, _FIXED)

  return {k: v for k, v in flatten(config).items() if matters(k)}


def claim(
  folder: Path, name: str, section: str, config: Any, fingerprint: str
) -> None:
  """Puts down what a folder holds, or checks that it holds just this.

  Args:
    folder: of the fit; made if missing.
    name: of the detector.
    section: of its options in `config.fit`.
    config: the run's.
    fingerprint: of the frozen S.

  Raises:
    UserError: the folder holds another fit, or cannot be written.
  """
  present = {
    'detector': name,
    'segmentation': fingerprint,
    'config': json.loads(json.dumps(config.to_dict())),
  }
  path = folder / _FILE
  try:
    folder.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0 and not path.exists():
      write_text(path, json.dumps(present, indent=2) + '\n')
  except OSError as error:
    raise UserError(
      f'{folder} cannot be written ({error.strerror}): choose another folder '
      'for the fit.'
    ) from None
  barrier('fit description')
  stored = read(folder)
  for key in ('detector', 'segmentation'):
    if stored[key] != present[key]:
      what = 'S' if key == 'segmentation' else key
      raise UserError(
        f'{folder} holds a fit with another {what} ({stored[key]}, now '
        f'{present[key]}): choose another folder.'
      )
  old, new = (
    _relevant(section, stored['config']),
    _relevant(section, present['config']),
  )
  for key in sorted(old.keys() | new.keys()):
    if old.get(key) != new.get(key):
      raise UserError(
        f'{folder} holds a fit whose {key} was {old.get(key)!r} and is now '
        f'{new.get(key)!r}: choose another folder or the same config.'
      )


def read(folder: Path) -> dict[str, Any]:
  """The description: `detector`, `segmentation` and `config`.

  Raises:
    UserError: the folder holds no fit.
  """
  try:
    stored = json.loads((folder / _FILE).read_text())
    return {**stored, 'config': ConfigDict(stored['config']).to_dict()}
  except (OSError, ValueError, KeyError, TypeError):
    raise UserError(
      f'{folder} holds no fitted detector: make one with '
      '--config=configs/fit_detector.py (docs/guide/detectors.md).'
    ) from None
