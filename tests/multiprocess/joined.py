"""Two processes of one run, joined on loopback."""

import socket

from tests.e2e import forks, tiny


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def start(
  argv: list[str], *own: list[str], devices: int = 1
) -> list[forks.Process]:
  """Starts a command on two processes.

  Args:
    argv: of both.
    *own: what only the first one, and only the second one, has besides.
    devices: of each process.
  """
  port = _free_port()
  return [
    forks.start(
      [
        *argv,
        *(own[index] if own else ()),
        f'--coordinator_address=127.0.0.1:{port}',
        '--num_processes=2',
        f'--process_id={index}',
      ],
      tiny.environment(devices),
    )
    for index in range(2)
  ]


def finish(processes: list[forks.Process]) -> list[tuple[int, str, str]]:
  """Exit code and output of each."""
  outputs = [process.communicate(900) for process in processes]
  return [
    (process.returncode, out, err)
    for process, (out, err) in zip(processes, outputs)
  ]
