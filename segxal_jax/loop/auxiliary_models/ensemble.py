"""A committee of networks that share nothing but the data (Seung et al., 1992).

The members beside S itself are trained as S is, by the same compiled step,
from other initial weights and on other batches. Each is written when it is
done, so that an interrupted cycle resumes with the next one.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from common_lib import files
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.npz import read_npz
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.training import loop
from segxal_jax.acquisition import Acquisition
from segxal_jax.explanation.error_mask import image_score
from segxal_jax.explanation.step import logits_fn, variables_of
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState
from segxal_jax.uncertainty import committee

FOLDER = 'ensemble'


def scorer(
  run: Run, state: LoopState, strategy: Acquisition
) -> Callable[[Any, Any], dict[str, Any]]:
  """Trains the members and returns what scores a batch with them.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; finished members are kept.
    UserError: a member's loss is no longer finite.
  """
  own = variables_of(state.train.params, state.train.batch_stats)
  others = [
    mesh_lib.put_replicated(_member(run, state.cycle, number, own), run.mesh)
    for number in range(1, run.config.acquisition.ensemble)
  ]
  step = run.compiled('ensemble', lambda: _make_step(run, strategy.needs))

  def score(batch, key):
    del key
    return step([own, *others], batch['image'], batch['usable'])

  return score


def _make_step(run: Run, needs: tuple[str, ...]) -> Any:
  top_share = run.config.acquisition.top_share
  apply = logits_fn(run.model)

  def step(members, images, usable):
    images = images.astype(jnp.float32)
    logits = jnp.stack([apply(member, images) for member in members])
    return {
      name: image_score(committee.MEASURES[name](logits), usable, top_share)
      for name in needs
    }

  return jax.jit(step, out_shardings=mesh_lib.batch_sharding(run.mesh))


def _member(run: Run, cycle: int, number: int, like: Any) -> Any:
  """Variables of a member as NumPy arrays, trained or read.

  Raises:
    UserError: the file of a trained one is damaged.
  """
  folder = run.folder(cycle) / FOLDER
  folder.mkdir(exist_ok=True)
  path = folder / f'{number}.npz'
  if not path.exists():
    variables = _train(run, cycle, number)
    if jax.process_index() == 0:
      _write(path, variables)
    barrier('ensemble')
  return _read(path, like)


class _Member(loop.Training[Any]):
  """A training of S from other weights, in another order of the images."""

  progress = 'training the committee'

  def __init__(self, run: Run, cycle: int, number: int):
    self._run = run
    self.title = f'member {number + 1}, '
    self.of = f' of member {number + 1}'
    self.within = f' of cycle {cycle}'
    self.log_every = run.lengths.of(cycle)
    self._cycle = cycle

  def total(self, state: Any) -> int:
    return self._run.lengths.of(self._cycle)

  def update(self, step: int, state: Any, batch: Any) -> loop.Update:
    return self._run.train_step(self._cycle, step)


def _train(run: Run, cycle: int, number: int) -> Any:
  """Variables of S after a training of its own."""
  networks = run.fresh_networks(None, cycle, number)
  batches = run.member_batches(cycle, number)
  members = run.config.acquisition.ensemble
  say(f'cycle {cycle}  explain  training member {number + 1} of {members}')
  try:
    member = _Member(run, cycle, number)
    networks = loop.run(member, networks, 0, batches, run.mesh, run.stop)
  finally:
    batches.close()
  return jax.device_get(variables_of(networks.params, networks.batch_stats))


def _write(path: Path, variables: Any) -> None:
  content = io.BytesIO()
  # No array is named allow_pickle; no empty nodes without `keep_empty_nodes`.
  # pyrefly: ignore[bad-argument-type]
  np.savez(content, **flax.traverse_util.flatten_dict(variables, sep='/'))
  files.write_bytes(path, content.getvalue())


def _read(path: Path, like: Any) -> Any:
  """A member's variables, with the names and shapes of those of `like`."""
  what = 'a member of the committee'
  fix = 'delete it: the member is then trained again'
  flat = read_npz(path, what=what, fix=fix)
  expected = flax.traverse_util.flatten_dict(like, sep='/')
  for name in sorted(expected.keys() | flat.keys()):
    # No empty nodes without `keep_empty_nodes`.
    # pyrefly: ignore[no-matching-overload]
    shapes = [np.shape(a[name]) for a in (expected, flat) if name in a]
    if len(shapes) < 2 or shapes[0] != shapes[1]:
      raise UserError(
        f'{path}, {what}, is damaged ({name} does not fit the network): {fix}.'
      )
  # A network without batch norm has no statistics to write.
  return {'batch_stats': {}} | flax.traverse_util.unflatten_dict(flat, sep='/')
