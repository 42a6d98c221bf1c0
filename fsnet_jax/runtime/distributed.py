"""Joins the processes of a cluster into one run."""

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import logging

from common_lib import interrupts
from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime.cluster import coordinator, lost_peers
from fsnet_jax.runtime.cluster.description import Cluster, described

# How long the first process waits for the last one, and they for it. Jobs of
# a queue start minutes apart.
_PATIENCE_SECS = 300
# How long a process that ends early waits for the others to do so too.
_GOODBYE_SECS = 5.0
_USER_ERROR = 2


def exit_code(
  work: Callable[[], None],
  address: str | None,
  num_processes: int | None,
  process_id: int | None,
) -> int:
  """Joins the other processes, works, and says how that ended.

  Args:
    work: what the command does, after which nothing is left to do.
    address: `host:port` of process 0.
    num_processes: how many processes make up the run.
    process_id: number of this one, from 0.

  Returns:
    0 done, 2 something for the user to change, 75 saved. Where the work fails
    because another process is gone, this one ends with 75 and a sentence.
  """
  code = 0
  try:
    initialize(address, num_processes, process_id)
    with lost_peers.noticed():
      work()
  except UserError as error:
    print(f'error: {error}', file=sys.stderr, flush=True)
    code = _USER_ERROR
  except interrupts.Interrupted as stopped:
    print(stopped, file=sys.stderr, flush=True)
    code = interrupts.CONTINUE
  except Exception:
    if not jax.distributed.is_initialized():
      raise
    # The others must not wait for a process that waits for them.
    traceback.print_exc()
    code = 1
  interrupts.finished()
  if code and jax.distributed.is_initialized():
    _say_goodbye(code)
  return code


def initialize(
  address: str | None,
  num_processes: int | None,
  process_id: int | None,
  patience_secs: int = _PATIENCE_SECS,
) -> None:
  """Initialises `jax.distributed` where there is more than one process.

  Call it before anything else touches a device. Explicit values win; else a
  TPU pod, SLURM or Open MPI is detected from the environment; else this is a
  run of one process and nothing happens.

  Args:
    address: `host:port` of process 0.
    num_processes: how many processes make up the run.
    process_id: number of this one, from 0.
    patience_secs: how long to wait for all of them.

  Raises:
    UserError: only some of the three are given, one is out of range, the
      environment's values make no sense, or not all processes came.
  """
  cluster = described(address, num_processes, process_id)
  if cluster is None:
    return
  # We stop at signals ourselves; the service would take SIGTERM from us.
  jax.config.update('jax_enable_preemption_service', False)
  # What it says of connecting is said here.
  logging.set_verbosity(logging.WARNING)
  if cluster.address is None:
    _join_as_detected(patience_secs)
  else:
    _join(cluster, patience_secs)
  interrupts.join()
  interrupts.take_signals()


def _join(cluster: Cluster, patience_secs: int) -> None:
  """Joins processes that all know the address of the first."""
  say(
    f'process {cluster.process_id}: waiting for {cluster.num_processes} '
    f'processes at {cluster.address}, up to {patience_secs} s'
  )
  began = time.monotonic()
  if cluster.process_id == 0:
    coordinator.check_free(cluster)
  else:
    coordinator.wait(cluster, float(patience_secs))
  left = max(1, round(patience_secs - (time.monotonic() - began)))
  try:
    with lost_peers.watched():
      jax.distributed.initialize(
        cluster.address,
        cluster.num_processes,
        cluster.process_id,
        initialization_timeout=left,
      )
  # Of jaxlib: whatever its version raises for a time that is over.
  except (RuntimeError, ValueError, TypeError) as error:
    raise UserError(
      f'Not all of {cluster.num_processes} processes joined at '
      f'{cluster.address} within {patience_secs} s{lost_peers.reason(error)}: '
      'start every one of them with the same address and number of processes, '
      'and each with a number of its own.'
    ) from None


def _join_as_detected(patience_secs: int) -> None:
  """Joins the hosts of a TPU pod, which ask its metadata for each other."""
  say(f'waiting for the other hosts of the pod, up to {patience_secs} s')
  try:
    with lost_peers.watched():
      jax.distributed.initialize(initialization_timeout=patience_secs)
  except (RuntimeError, ValueError, TypeError, KeyError) as error:
    raise UserError(
      f'The hosts of this TPU pod did not join{lost_peers.reason(error)}: '
      'start the command on all of them, or give --coordinator_address, '
      '--num_processes and --process_id.'
    ) from None


def barrier(name: str) -> None:
  """Waits until every process is here; nothing with one process."""
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices(name)


def anywhere(flag: bool) -> bool:
  """True on all processes as soon as it is true on one; a collective."""
  if jax.process_count() == 1:
    return flag
  from jax.experimental import multihost_utils

  return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def exchanged(value: Any) -> list[Any]:
  """What every process brings, by its number; a collective.

  Args:
    value: of this process, made of what JSON has; floats stay what they are.
  """
  if jax.process_count() == 1:
    return [value]
  from jax.experimental import multihost_utils

  own = np.frombuffer(json.dumps(value).encode(), np.uint8)
  lengths = multihost_utils.process_allgather(np.array([own.size], np.int32))
  padded = np.zeros(lengths.max(), np.uint8)
  padded[: own.size] = own
  every = multihost_utils.process_allgather(padded)
  return [
    json.loads(row[:length].tobytes())
    for row, length in zip(every, lengths.ravel(), strict=True)
  ]


def _say_goodbye(code: int) -> None:
  """Ends the process if the others do not end with it.

  A mistake or a signal may reach one process alone. The others then wait for
  it in the middle of their work, and it for them at its end; once it is gone
  they notice.
  """
  if not lost_peers.all_end(_GOODBYE_SECS):
    interrupts.leave('', code)
