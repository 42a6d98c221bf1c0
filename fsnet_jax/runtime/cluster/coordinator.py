"""Finding process 0, which the others of a run meet at."""

import errno
import os
import socket
import time

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime.cluster.description import Cluster, host_and_port

_PAUSE_SECS = 1.0
_TRY_SECS = 5.0
_TELL_SECS = 30.0


def check_free(cluster: Cluster) -> None:
  """Refuses a port that somebody listens at; jaxlib would crash of it.

  Args:
    cluster: as process 0 sees it.

  Raises:
    UserError: the port is in use, or not for this user.
  """
  if 'JAX_COORDINATOR_BIND_ADDRESS' in os.environ:
    return
  _, port = host_and_port(cluster.address, 'the address')
  family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
  with socket.socket(family) as probe:
    # A run that has just ended does not count.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(('', port))
    except OSError as error:
      if error.errno not in (errno.EADDRINUSE, errno.EACCES):
        return  # What jaxlib makes of it is seen when it listens.
      raise UserError(
        f'Port {port} of {cluster.address}, at which process 0 is to wait for '
        f'the others, cannot be opened ({error.strerror}): give all processes '
        'another --coordinator_address.'
      ) from None


def wait(cluster: Cluster, patience_secs: float) -> None:
  """Returns once process 0 listens.

  Args:
    cluster: as another process sees it.
    patience_secs: how long to wait.

  Raises:
    UserError: it did not come.
  """
  host, port = host_and_port(cluster.address, 'the address')
  began = told = time.monotonic()
  while problem := _problem(host, port):
    now = time.monotonic()
    if now - began >= patience_secs:
      raise UserError(
        f'Process {cluster.process_id} found no process 0 at '
        f'{cluster.address} within {patience_secs:.0f} s ({problem}): check '
        'the address, that process 0 is running, and that its port can be '
        'reached from here.'
      )
    if now - told >= _TELL_SECS:
      told = now
      say(
        f'process {cluster.process_id}: still waiting for process 0 at '
        f'{cluster.address} ({problem}), {now - began:.0f} of '
        f'{patience_secs:.0f} s'
      )
    time.sleep(min(_PAUSE_SECS, patience_secs))


def _problem(host: str, port: int) -> str:
  """Why nobody can be reached there, or '' if somebody listens."""
  try:
    socket.create_connection((host, port), timeout=_TRY_SECS).close()
  except socket.gaierror:
    return 'no host of that name is known here'
  except TimeoutError:
    return 'no answer'
  except UnicodeError:
    return 'no host can have that name'
  except OSError as error:
    return (error.strerror or 'no connection').lower()
  return ''
