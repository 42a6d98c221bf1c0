"""The train stage of a network that a user's own command trains.

The command gets what is labelled so far as a `folder` data set and writes an
ONNX file; what it writes is tried before it counts. `trained.json` then holds
the file's mark, and a run that is started again does not train it twice.
"""

import dataclasses
from pathlib import Path

import jax.numpy as jnp

from common_lib import checksums
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted
from input_pipeline.external import ExternalNetwork
from segxal_jax.config import own_learner
from segxal_jax.loop.context import Run
from segxal_jax.loop.predictor import Elsewhere
from segxal_jax.loop.state import LoopState
from segxal_jax.loop.training_command import process
from segxal_jax.pool import labelled_folder
from segxal_jax.pool.sources import labelled_source

_DONE = 'trained.json'
_DESCRIPTION = 'model.json'
_POOL = 'pool'
_SHOWN_LINES = 5
_LONGEST_LINE = 200


def train(run: Run, state: LoopState) -> LoopState:
  """Runs the command, unless the cycle's network is there already.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM, which the command got too.
    UserError: the command failed, or what it wrote is no network of these
      classes.
  """
  if own_learner.is_given(run.config, state.cycle):
    say(
      f'cycle {state.cycle}  train  {run.config.segmentation.path} as it is: '
      'the command trains from cycle 2 on'
    )
    network = _tried(run, state.cycle)
  else:
    network = _done(run, state.cycle) or _trained(run, state.cycle)
  mark = jnp.array(list(bytes.fromhex(network.fingerprint())), jnp.float32)
  params = {**state.train.params, 'segmentation': {'sha256': mark}}
  trained = dataclasses.replace(
    state.train, step=jnp.ones((), jnp.int32), params=params
  )
  trained = mesh_lib.put_replicated(trained, run.mesh)
  return state.then('train', train=trained).then('predict')


def _tried(run: Run, cycle: int) -> ExternalNetwork:
  """The network of a cycle, after it has run on an image of the pool.

  Raises:
    UserError: it cannot be opened or run, or gives no logits of these classes.
  """
  assert isinstance(run.predictor, Elsewhere)  # Of each run with a command.
  network = run.predictor.open(cycle)
  network(run.pool[0]['image'][None])
  return network


def _done(run: Run, cycle: int) -> ExternalNetwork | None:
  """The network that the command has written in an earlier start."""
  marker = run.folder(cycle) / _DONE
  if not marker.exists():
    return None
  fix = 'delete it, and the command of this cycle runs again'
  stored = checksums.read_json(marker, what='the mark of a network', fix=fix)
  try:
    network = _tried(run, cycle)
  except UserError as error:
    problem = quoted(error, 300)
  else:
    if stored.get('sha256') == network.fingerprint():
      say(f'cycle {cycle}  train  the command has run already')
      return network
    problem = f'{own_learner.written(run.workdir, cycle)} was changed'
  say(f'cycle {cycle}  train  the command runs again: {problem}')
  return None


def _trained(run: Run, cycle: int) -> ExternalNetwork:
  """Runs the command and marks what it has written."""
  folder, model = run.folder(cycle), own_learner.written(run.workdir, cycle)
  # What an earlier start left must not pass for what this one writes.
  for name in (_DONE, model.name, _DESCRIPTION):
    (folder / name).unlink(missing_ok=True)
  count = _write_pool(run, cycle)
  words = own_learner.arguments(
    run.config.learner.command,
    {
      'pool': str((folder / _POOL).absolute()),
      'model': str(model.absolute()),
      'cycle': str(cycle),
    },
  )
  say(f'cycle {cycle}  train  {count} labelled images: {" ".join(words)}')
  ended = process.run(words, lambda line: say(f'  command | {line}'))
  _check_end(run, cycle, ended)
  _check_written(model, ended)
  network = _tried(run, cycle)
  checksums.write_json(folder / _DONE, {'sha256': network.fingerprint()})
  return network


def _write_pool(run: Run, cycle: int) -> int:
  """Writes the labelled images of a cycle; how many there are."""
  source = labelled_source(run.pool, run.ledger, cycle)
  if not len(source):
    raise UserError(
      f'Cycle {cycle} has no labelled image to train on, because no answer was '
      "accepted: begin in another --workdir with config.selection.rule='all'."
    )
  labelled_folder.write(
    source,
    run.folder(cycle) / _POOL,
    run.classes,
    lambda: run.check_stop('writing the labelled images'),
  )
  return len(source)


def _check_end(run: Run, cycle: int, ended: process.Ended) -> None:
  """Raises unless the command ended well."""
  if not ended.code:
    return
  if run.stop.requested:
    raise Interrupted(
      f'Interrupted by {run.stop.signal_name} while the command of cycle '
      f'{cycle} was training: run the same command again, which begins its '
      'training anew.'
    )
  raise UserError(
    f'config.learner.command ended with {ended.how} in cycle {cycle}'
    f'{_last_words(ended)}: correct what it runs, or the field, and run the '
    'same command again.'
  )


def _check_written(model: Path, ended: process.Ended) -> None:
  if not model.is_file():
    raise UserError(
      f'config.learner.command ended well but wrote no {model}'
      f'{_last_words(ended)}: let it write the ONNX file that {{model}} names.'
    )


def _last_words(ended: process.Ended) -> str:
  """The end of what the command said, in brackets."""
  lines = [line for line in ended.lines if line.strip()][-_SHOWN_LINES:]
  shown = ' / '.join(quoted(line.strip(), _LONGEST_LINE) for line in lines)
  return f' ({shown})' if shown else ''
