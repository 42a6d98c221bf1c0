"""Goes on where another run ended phase 1, with another F or another loss.

Phase 1 trains S alone, so every variant of F can share one phase 1: a run
that continues from it is bit-identical to one that trained it itself.
"""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.files import read_json_object
from fsnet_jax.builders import networks, optimization
from fsnet_jax.builders.training import training_options
from fsnet_jax.config import fields, resolution, run_paths
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.workdir import flatten
from fsnet_jax.steps.train_step import TrainState
from fsnet_jax.training import states

# What must be as it was in that run: what it began with is its own affair.
_FIXED = fields.DATA | fields.PHASE1
# What is read of its config at all, and what of that must be there.
_READ = _FIXED | fields.START | fields.PHASE2
_NEEDED = ('failure.decoder', 'init.phase1', 'switch', 'phase2_steps')


def stored_config(folder: Path) -> dict[str, Any]:
  """The config of the run that `config.init.phase1` names.

  Args:
    folder: of that run.

  Returns:
    As it was stored, nested, with the runs that it names located; a field of
    training holds what its row allows.

  Raises:
    UserError: it is missing or damaged.
  """
  path = folder / 'config.json'
  fix = 'give the --workdir of a run that has finished phase 1'
  try:
    stored = read_json_object(path, what='the config of a run', fix=fix)
    for name, row in fields.COMMON.items():
      value = resolution.get(stored, name)
      if value is not None and row.decides & _READ:
        resolution.read(name, row.kind, value)
  except UserError as error:
    raise UserError(
      f'config.init.phase1 names {folder}, which holds no run of this program '
      f'that can be read: {error}'
    ) from None
  for name in _NEEDED:
    if resolution.get(stored, name) is None:
      raise UserError(
        f'config.init.phase1 names {folder}, whose config.json has no {name}: '
        f'{fix}.'
      )
  return run_paths.located_values(stored, folder)


def check(config: ConfigDict) -> None:
  """Raises UserError unless the run named by `config.init.phase1` fits."""
  if not config.init.phase1:
    return
  folder = Path(config.init.phase1)
  stored = flatten(stored_config(folder))
  present = flatten(json.loads(json.dumps(config.to_dict())))
  for key in sorted(stored.keys() | present.keys()):
    same = stored.get(key) == present.get(key)
    if not same and not fields.may_differ(key, _FIXED):
      raise UserError(
        f'config.init.phase1 names {folder}, whose {key} was '
        f'{stored.get(key)!r} and is now {present.get(key)!r}: phase 1 can be '
        'shared only where nothing that it depends on has changed.'
      )


def continue_from(
  config: ConfigDict, state: TrainState, iterator: Any, mesh: Mesh
) -> TrainState:
  """The fresh `state` with S, its optimiser and its data as they were.

  Args:
    config: of this run; `init.phase1` is the workdir of the other one.
    state: of this run, before its first step; F's part is kept.
    iterator: training iterator, set in place to where phase 1 left it.
    mesh: of this run.

  Raises:
    UserError: if the other run has no checkpoint at the end of phase 1.
  """
  say(f'phase 1 is that of {config.init.phase1}')
  check(config)
  folder = Path(config.init.phase1)
  other = copy.deepcopy(config).unlock()
  other.failure = ConfigDict(stored_config(folder)['failure'])
  checkpoints = Checkpoints(folder, read_only=True)
  try:
    if checkpoints.latest_step() != config.phase1_steps:
      raise UserError(
        f'config.init.phase1 names {folder}, whose last checkpoint is of step '
        f'{checkpoints.latest_step()}: it must be the end of phase 1, step '
        f'{config.phase1_steps}.'
      )
    like = _state_like(other, mesh)
    end = checkpoints.restore(config.phase1_steps, like, iterator).state
  finally:
    checkpoints.close()
  return dataclasses.replace(
    state,
    step=end.step,
    dropout_key=end.dropout_key,
    params=state.params | {'segmentation': end.params['segmentation']},
    batch_stats=_with(state.batch_stats, end.batch_stats),
    opt_state=_optimizer_of_s(state.opt_state, end.opt_state),
  )


def _state_like(config: ConfigDict, mesh: Mesh) -> TrainState:
  """The form of the other run's state, to restore into."""
  return states.abstract(
    training_options(config),
    networks.model(config),
    optimization.optimizer(config),
    mesh,
  )


def _with(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
  """Own statistics of F, the other's of S; S may have none."""
  return own | {k: v for k, v in other.items() if k == 'segmentation'}


def _optimizer_of_s(own: Any, other: Any) -> Any:
  """Optimiser state with S's moments from the other run.

  F's own moments stay; only the count of steps that its mask has seen is the
  other's, as if this run had been through phase 1 itself.
  """
  inner = dict(own.inner_states)
  # The trees differ in the empty places of F's parameters alone.
  inner['segmentation'] = jax.tree.unflatten(
    jax.tree.structure(inner['segmentation']),
    jax.tree.leaves(other.inner_states['segmentation']),
  )
  mask = inner['failure'].inner_state
  seen = other.inner_states['failure'].inner_state.step
  inner['failure'] = inner['failure']._replace(
    inner_state=mask._replace(step=seen)
  )
  return own._replace(inner_states=inner)
