"""Which processes make up the run: from flags, or from who started them."""

import dataclasses
import ipaddress
import os
import re

from common_lib.errors import UserError
from common_lib.foreign import quoted

# Far more than any cluster has; larger numbers are slips of the keyboard.
_MOST_PROCESSES = 1 << 16
_LABEL = r'[A-Za-z0-9_-]{1,63}'
_HOST_NAME = re.compile(rf'(?!-){_LABEL}(?:\.{_LABEL})*\.?')
# Of a job, ports below which no service is expected: as jax chooses them.
_FIRST_PORT = 65535 - (1 << 12) + 1
_FLAGS = ('--coordinator_address', '--num_processes', '--process_id')
# Started by srun, and nobody else sets all of them.
_SLURM = (
  'SLURM_JOB_ID',
  'SLURM_STEP_NODELIST',
  'SLURM_NTASKS',
  'SLURM_PROCID',
  'SLURM_LOCALID',
)
_ORTE_URI = 'OMPI_MCA_orte_hnp_uri'


@dataclasses.dataclass(frozen=True)
class Cluster:
  """The processes of a run, as seen by one of them.

  Attributes:
    address: `host:port` where process 0 listens; None where jax finds it by
      itself (TPU pods).
    num_processes: how many there are.
    process_id: number of this one, from 0.
  """

  address: str | None
  num_processes: int = 0
  process_id: int = 0


def described(
  address: str | None, num_processes: int | None, process_id: int | None
) -> Cluster | None:
  """The processes that flags or the environment describe.

  Args:
    address: `host:port` of process 0, or None.
    num_processes: how many processes make up the run, or None.
    process_id: number of this one, or None.

  Returns:
    None for a run of one process.

  Raises:
    UserError: only some of the three are given, or a value is none that it
      can be.
  """
  given = (address, num_processes, process_id)
  if all(value is None for value in given):
    found = _open_mpi() or _slurm() or _tpu_pod()
  elif None in given:
    missing = [flag for flag, value in zip(_FLAGS, given) if value is None]
    raise UserError(
      f'A multi-process run needs all of {", ".join(_FLAGS)}: give '
      f'{" and ".join(missing)} too.'
    )
  else:
    host_and_port(address, _FLAGS[0])
    found = _checked(address, num_processes, process_id, *_FLAGS[1:])
  if found is not None:
    _check_devices()
  return found


def host_and_port(address: str, name: str) -> tuple[str, int]:
  """Takes an address apart.

  Args:
    address: `host:port`, `1.2.3.4:port` or `[ipv6]:port`.
    name: flag or variable that it comes from.

  Raises:
    UserError: it is no such address.
  """
  host, colon, port = address.rpartition(':')
  if not colon or not host:
    problem = 'has no port' if not colon else 'has no host'
  elif not (port.isascii() and port.isdigit() and 0 < int(port[:9]) < 1 << 16):
    problem = f'has the port {quoted(port, 60)!r}, not one of 1 to 65535'
  elif not _is_host(host):
    problem = f'has the host {quoted(host, 60)!r}, which is no name or address'
  else:
    return host.strip('[]'), int(port)
  raise UserError(
    f'{name} is {quoted(address, 100)!r}, which {problem}: give the host and a '
    'free port of process 0, for example 10.0.0.1:1234.'
  )


def _is_host(host: str) -> bool:
  if host.startswith('['):
    try:
      return host.endswith(']') and bool(ipaddress.IPv6Address(host[1:-1]))
    except ValueError:
      return False
  # Of numbers and dots alone, it is meant as an address.
  if re.fullmatch(r'[\d.]+', host):
    try:
      return bool(ipaddress.IPv4Address(host))
    except ValueError:
      return False
  return len(host) < 254 and _HOST_NAME.fullmatch(host) is not None


def _checked(
  address: str | None,
  num_processes: int,
  process_id: int,
  number_name: str,
  id_name: str,
) -> Cluster:
  if not 1 <= num_processes <= _MOST_PROCESSES:
    raise UserError(
      f'{number_name} is {quoted(num_processes, 30)}: give the number of '
      f'processes of this run, 1 to {_MOST_PROCESSES}.'
    )
  if not 0 <= process_id < num_processes:
    raise UserError(
      f'{id_name} is {quoted(process_id, 30)}: it counts the {num_processes} '
      f'processes ({number_name}) from 0 to {num_processes - 1}.'
    )
  return Cluster(address, num_processes, process_id)


def _whole(name: str) -> int | None:
  """A variable's number, 0 or more; None where it is not set."""
  text = os.environ.get(name, '').strip()
  if not text:
    return None
  if not (text.isascii() and text.isdigit()):
    raise UserError(
      f'The environment variable {name} is {quoted(text, 60)!r}, which is no '
      'whole number: unset it, or start the processes with '
      f'{", ".join(_FLAGS)}.'
    )
  return int(text[:18])


def _slurm() -> Cluster | None:
  tasks = _whole('SLURM_NTASKS') or 1
  number = _whole('SLURM_PROCID')
  if tasks == 1 or number is None:
    return None
  missing = [name for name in _SLURM if not os.environ.get(name)]
  if missing:
    raise UserError(
      f'SLURM_NTASKS is {tasks}, but srun did not start this process '
      f'({" and ".join(missing)} missing): start it with srun, or unset '
      'SLURM_NTASKS for a run of one process.'
    )
  address = _given_address() or _slurm_address()
  return _checked(address, tasks, number, 'SLURM_NTASKS', 'SLURM_PROCID')


def _slurm_address() -> str:
  """A port by the job's number at the first host of the step.

  Lists of hosts are 'node1', 'node1,other', 'node[001-015],other' or
  'node[001,007-015],other'.
  """
  nodes = os.environ['SLURM_STEP_NODELIST']
  found = re.match(r'([^,\[]+)(?:\[([^,\-\]]+))?', nodes)
  host = ''.join(filter(None, found.groups())) if found else ''
  if not _is_host(host):
    raise UserError(
      f'The environment variable SLURM_STEP_NODELIST is {quoted(nodes, 60)!r}, '
      'which names no host: set JAX_COORDINATOR_ADDRESS to host:port of the '
      'first process.'
    )
  return f'{host}:{_port(_whole("SLURM_JOB_ID"))}'


def _open_mpi() -> Cluster | None:
  size = _whole('OMPI_COMM_WORLD_SIZE') or 1
  if size == 1:
    return None
  rank = _whole('OMPI_COMM_WORLD_RANK')
  if rank is None:
    raise UserError(
      f'OMPI_COMM_WORLD_SIZE is {size}, but OMPI_COMM_WORLD_RANK is not set: '
      'start the processes with mpirun, or unset OMPI_COMM_WORLD_SIZE for a '
      'run of one process.'
    )
  address = _given_address() or _open_mpi_address()
  names = ('OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK')
  return _checked(address, size, rank, *names)


def _open_mpi_address() -> str:
  """A port by the job's number at the host of mpirun.

  Its address is '1531576320.0;tcp://10.96.0.1,10.148.0.1:34911' or
  '1314521088.0;tcp6://[fe80::b9b:ac5d,2620:10d::2]:43370'.
  """
  uri = os.environ.get(_ORTE_URI, '')
  found = re.match(r'(\d{1,18})\..*?(?:tcp://([^,:]+)|tcp6://\[([^,\]]+))', uri)
  host = found and (found.group(2) or f'[{found.group(3)}]')
  if not host or not _is_host(host):
    problem = f'is {quoted(uri, 60)!r}' if uri else 'is not set'
    raise UserError(
      f'The environment variable {_ORTE_URI} {problem} (Open MPI 5 does not '
      'set it), so the first process cannot be found: set '
      'JAX_COORDINATOR_ADDRESS to its host:port.'
    )
  # Open MPI counts jobs in steps of 2**12.
  return f'{host}:{_port(int(found.group(1)) >> 12)}'


def _port(job: int) -> int:
  """JAX_COORDINATOR_PORT, or one by which two jobs hardly ever meet."""
  chosen = _whole('JAX_COORDINATOR_PORT')
  if chosen is None:
    return job % (1 << 12) + _FIRST_PORT
  if not 0 < chosen < 1 << 16:
    raise UserError(
      f'The environment variable JAX_COORDINATOR_PORT is {chosen}: give a free '
      'port, 1 to 65535, or unset it.'
    )
  return chosen


def _given_address() -> str | None:
  name = 'JAX_COORDINATOR_ADDRESS'
  address = os.environ.get(name)
  if address:
    host_and_port(address, f'The environment variable {name}')
  return address or None


def _tpu_pod() -> Cluster | None:
  """jax asks the pod's metadata for all else."""
  several_hosts = ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')
  several_pods = 'MEGASCALE_COORDINATOR_ADDRESS' in os.environ
  return Cluster(None) if several_hosts or several_pods else None


def _check_devices() -> None:
  """What jax reads to choose the devices of each process of a host."""
  for name in ('JAX_PARTITION_INDEX', 'JAX_SLICE_INDEX'):
    _whole(name)
  if all(name in os.environ for name in _SLURM):
    _whole('SLURM_LOCALID')
  if _ORTE_URI in os.environ:
    _whole('OMPI_COMM_WORLD_LOCAL_RANK')
  devices = os.environ.get('JAX_LOCAL_DEVICE_IDS', '')
  if devices and not re.fullmatch(r'\s*\d+\s*(,\s*\d+\s*)*', devices):
    raise UserError(
      f'The environment variable JAX_LOCAL_DEVICE_IDS is '
      f'{quoted(devices, 60)!r}: give numbers of devices, as in 0,1.'
    )
