"""Joins the processes of a cluster into one run."""

import os

import jax
import numpy as np

from common_lib.errors import UserError


def _cluster_detected() -> bool:
  """True where `jax.distributed.initialize()` finds its peers by itself."""
  slurm = int(os.environ.get('SLURM_NTASKS', '1')) > 1
  open_mpi = int(os.environ.get('OMPI_COMM_WORLD_SIZE', '1')) > 1
  tpu_pod = (
    ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')
    or 'MEGASCALE_COORDINATOR_ADDRESS' in os.environ
  )
  return (slurm and 'SLURM_PROCID' in os.environ) or open_mpi or tpu_pod


def initialize(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
  """Initialises `jax.distributed` where there is more than one process.

  Call it before anything else touches a device. Explicit values win; else a
  TPU pod, SLURM or Open MPI is detected from the environment; else this is a
  run of one process and nothing happens.

  Args:
    coordinator: `host:port` of process 0.
    num_processes: how many processes make up the run.
    process_id: number of this one, from 0.

  Raises:
    UserError: if only some of the three are given, or one is out of range.
  """
  given = (coordinator, num_processes, process_id)
  if any(value is not None for value in given):
    if any(value is None for value in given):
      raise UserError(
        'A multi-process run needs all of --coordinator_address, '
        '--num_processes and --process_id: give the missing ones.'
      )
    if not 0 <= process_id < num_processes:
      raise UserError(
        f'--process_id is {process_id}: it counts from 0 to '
        f'--num_processes - 1 = {num_processes - 1}.'
      )
    jax.distributed.initialize(coordinator, num_processes, process_id)
  elif _cluster_detected():
    jax.distributed.initialize()


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
