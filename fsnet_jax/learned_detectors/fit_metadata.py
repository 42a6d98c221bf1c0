"""What a fit's folder says about itself: `fit.json`."""

import json
import math
import os
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib import json_values
from common_lib.errors import UserError
from common_lib.files import read_json_object, write_text
from common_lib.foreign import quoted
from fsnet_jax.config import fields
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.workdir import flatten, forget, has_results

FILE = 'fit.json'
# In a fit's folder by default, with trainings of its own and a description.
FAILURE_DATA = 'failure_data'
# No config nests deeper.
_DEEPEST = 16
# What a fit depends on; that S is the same is seen from its fingerprint.
FIXED = fields.DATA | fields.PHASE1 | fields.FIT


def _relevant(
  section: str, config: dict[str, Any], fixed: fields.Stage
) -> dict[str, Any]:
  """The fields that the fit with a section of `config.fit` depends on."""

  def matters(key: str) -> bool:
    if key.startswith('fit.') and key.count('.') > 1:
      return key.startswith(f'fit.{section}.')
    return not fields.may_differ(key, fixed)

  return {k: v for k, v in flatten(config).items() if matters(k)}


def claim(
  folder: Path,
  name: str,
  section: str,
  config: ConfigDict,
  fingerprint: str,
  fixed: fields.Stage = FIXED,
) -> None:
  """Puts down what a folder holds, or checks that it holds just this.

  Args:
    folder: of the fit; made if missing.
    name: of the detector.
    section: of its options in `config.fit`.
    config: the run's.
    fingerprint: of the frozen S.
    fixed: what its fields decide beside those of the section.

  Raises:
    UserError: the folder holds another fit, or cannot be written.
  """
  present = _described(name, config, fingerprint)
  path = folder / FILE
  try:
    folder.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
      if path.exists() and _is_nobodys(folder, section, present, fixed):
        forget(path)
        forget(folder / 'seconds.json')
      if not path.exists():
        write_text(path, json.dumps(present, indent=2) + '\n')
  except OSError as error:
    raise UserError(
      f'{folder} cannot be written ({error.strerror}): choose another folder '
      'for the fit.'
    ) from None
  barrier('fit description')
  _refuse_another(folder, present, section, fixed)


def check(folder: Path, name: str, section: str, config: ConfigDict) -> None:
  """As `claim`, before S is read: changes nothing.

  Args:
    folder: of the fit, which need not be there.
    name: of the detector.
    section: of its options in `config.fit`.
    config: the run's.

  Raises:
    UserError: the folder holds another fit.
  """
  if (folder / FILE).exists() and has_results(folder, besides=FAILURE_DATA):
    fingerprint = read(folder)['segmentation']
    _refuse_another(folder, _described(name, config, fingerprint), section)


def _described(
  name: str, config: ConfigDict, fingerprint: str
) -> dict[str, Any]:
  """What `fit.json` holds."""
  return {
    'detector': name,
    'segmentation': fingerprint,
    'config': json.loads(json.dumps(config.to_dict())),
  }


def _refuse_another(
  folder: Path,
  present: dict[str, Any],
  section: str,
  fixed: fields.Stage = FIXED,
) -> None:
  """Raises UserError unless a folder's fit is the one that is described."""
  problem = _difference(read(folder), present, section, fixed)
  if problem:
    raise UserError(f'{folder} holds a fit {problem}.')


def _is_nobodys(
  folder: Path, section: str, present: dict[str, Any], fixed: fields.Stage
) -> bool:
  """Whether a folder is of another fit, which has saved nothing."""
  if has_results(folder, besides=FAILURE_DATA):
    return False
  return bool(_difference(read(folder), present, section, fixed))


def _difference(
  stored: dict[str, Any],
  present: dict[str, Any],
  section: str,
  fixed: fields.Stage,
) -> str:
  """What of a fit's description is another one's, in words; '' if nothing."""
  for key in ('detector', 'segmentation'):
    if stored[key] != present[key]:
      what = 'S' if key == 'segmentation' else key
      return (
        f'with another {what} ({stored[key]}, now {present[key]}): choose '
        'another folder'
      )
  old, new = (
    _relevant(section, stored['config'], fixed),
    _relevant(section, present['config'], fixed),
  )
  for key in sorted(old.keys() | new.keys()):
    if old.get(key) != new.get(key):
      return (
        f'whose {key} was {old.get(key)!r} and is now {new.get(key)!r}: choose '
        'another folder or the same config'
      )
  return ''


def read(folder: Path) -> dict[str, Any]:
  """The description: `detector`, `segmentation` and `config`.

  Raises:
    UserError: the folder holds no fit, or its description is damaged.
  """
  path = folder / FILE
  if not os.path.exists(path):  # Whatever the reason.
    raise UserError(
      f'{folder} holds no fitted detector: make one with '
      '--config=configs/fit_detector.py (docs/guide/detectors.md).'
    )
  what, fix = 'the description of a fit', 'fit again in another folder'
  stored = read_json_object(path, what=what, fix=fix)
  try:
    json_values.text(stored.get('detector'), 'detector')
    json_values.text(stored.get('segmentation'), 'segmentation')
    _check_config(stored.get('config'), 'config')
  except json_values.BadValue as error:
    raise UserError(
      f'{path}, {what}, cannot be used ({quoted(error)}): {fix}.'
    ) from None
  return stored


def _check_config(value: Any, where: str, depth: int = 0) -> None:
  """Raises BadValue unless this is a config as JSON stores it."""
  if depth == 0 and not isinstance(value, dict):
    raise json_values.BadValue(f'{where} is no object')
  if depth > _DEEPEST:
    raise json_values.BadValue(f'{where} is nested too deep')
  if isinstance(value, dict):
    for key, entry in value.items():
      # As a `ConfigDict` refuses them.
      if not key or '.' in key or key.startswith('__'):
        shown = json_values.shown(key)
        raise json_values.BadValue(f'{where} has the field {shown}')
      _check_config(entry, f'{where}.{key}', depth + 1)
  elif isinstance(value, list):
    for entry in value:
      _check_config(entry, where, depth + 1)
  elif isinstance(value, int | float) and not isinstance(value, bool):
    json_values.number(value, where, -math.inf)
