"""The program in a process of its own, without the seconds of its imports.

TensorFlow, JAX and orbax take most of what a command of a small run costs. So
one process imports them for all tests of a worker, and every command is a fork
of it: a process like any other, which gets signals, has an environment, ends
with an exit code and takes its time to end. What it does not show are mistakes
of the imports themselves and of another seed of Python's hashes: some tests
start the program anew (`tiny.run_anew`).
"""

import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading

from tests.paths import ROOT

# The last imports TensorFlow, which nothing but writing events needs.
_IMPORTED = (
  'launcher.command',
  'fsnet_jax.cli',
  'segxal_jax.cli',
  'fsnet_jax.training.from_config',
  'fsnet_jax.evaluation.evaluate',
  'fsnet_jax.runtime.distributed',
  'matplotlib.backends.backend_agg',
  'input_pipeline.datasets.streets',
  'clu.metric_writers',
)


class Process:
  """A command that runs; what `subprocess.Popen` is, as far as tests use it.

  Attributes:
    pid: of the process.
    stderr: its text, to read line by line; nothing else may read it then.
    returncode: as of Popen; None until `wait` has returned.
  """

  def __init__(self, pid: int, stdout: int, stderr: int, status: int):
    self.pid = pid
    self.stderr = os.fdopen(stderr)
    self.returncode = None
    self._status = os.fdopen(status)
    self._said = []
    # A pipe that nobody reads would stop the command once it is full.
    self._reader = threading.Thread(target=self._read, args=(stdout,))
    self._reader.start()

  def _read(self, stdout: int) -> None:
    with os.fdopen(stdout) as file:
      self._said.append(file.read())

  def send_signal(self, number: int) -> None:
    os.kill(self.pid, number)

  def wait(self) -> int:
    """Exit code, or the negative number of the signal that ended it."""
    if self.returncode is None:
      self.returncode = int(self._status.read())
      self._status.close()
    return self.returncode

  def communicate(self, timeout: float) -> tuple[str, str]:
    """What is left of both outputs; kills a command that takes longer."""
    timer = threading.Timer(timeout, self.send_signal, [signal.SIGKILL])
    timer.start()
    with self.stderr:
      stderr = self.stderr.read()
    self._reader.join()
    self.wait()
    timer.cancel()
    return self._said[0], stderr


def start(argv: list[str], environ: dict[str, str]) -> Process:
  """Starts the program.

  Args:
    argv: the interpreter, then main.py or `-m` and a module, and their flags.
    environ: the whole environment. Python's own variables change nothing.
  """
  (out, out_end), (err, err_end), (status, status_end) = (
    os.pipe(),
    os.pipe(),
    os.pipe(),
  )
  (server, _), ends = _server(), [out_end, err_end, status_end]
  request = json.dumps([argv[1:], environ]).encode()
  socket.send_fds(server, [request], ends)
  for end in ends:
    os.close(end)
  pid = server.recv(32)
  assert pid, 'the process that imports the program has ended'
  return Process(int(pid), out, err, status)


@functools.cache
def _server() -> tuple[socket.socket, subprocess.Popen]:
  """The one of this process, which ends with it: how it is asked, and itself.

  Whoever forgets a process that runs is warned.
  """
  here, there = socket.socketpair()
  with there:
    process = subprocess.Popen(
      [sys.executable, '-m', __name__, str(there.fileno())],
      cwd=ROOT,
      # Its forks choose the number of devices; the allocator's settings hold
      # from the start of a process, and without them the program restarts.
      env={'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}
      | os.environ
      | {'JAX_PLATFORMS': 'cpu'},
      pass_fds=[there.fileno()],
      stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL,
    )
  return here, process


def _serve(requests: socket.socket) -> None:
  """Forks for each request; returns in the forks."""
  # Nobody waits for the processes that wait for the commands.
  signal.signal(signal.SIGCHLD, signal.SIG_IGN)
  while True:
    message, ends, _, _ = socket.recv_fds(requests, 1 << 20, 3)
    if not message:
      os._exit(0)
    if not os.fork():
      signal.signal(signal.SIGCHLD, signal.SIG_DFL)
      command = os.fork()
      if not command:
        requests.close()
        _become(ends, *json.loads(message))
        return
      requests.send(str(command).encode())
      for end in ends[:2]:
        os.close(end)
      _, status = os.waitpid(command, 0)
      os.write(ends[2], str(os.waitstatus_to_exitcode(status)).encode())
      os._exit(0)
    for end in ends:
      os.close(end)


def _become(ends: list[int], argv: list[str], environ: dict[str, str]) -> None:
  """Makes this process what a shell would have started."""
  for end, number in zip(ends, (1, 2)):
    os.dup2(end, number)
  for end in ends:
    os.close(end)
  sys.argv = argv
  for name in set(os.environ) - environ.keys() - {'GLIBC_TUNABLES'}:
    del os.environ[name]
  os.environ |= environ
  # JAX has read the environment already.
  import jax

  devices = int(environ.get('JAX_NUM_CPU_DEVICES', '1'))
  jax.config.update('jax_num_cpu_devices', devices)


if __name__ == '__main__':
  gc.set_threshold(20_000, 10, 10)  # As tests/conftest.py does.
  for module in _IMPORTED:
    importlib.import_module(module)
  # What is imported stays: no fork's collector looks at it, which would also
  # make a copy of each page that it is on.
  gc.freeze()
  _serve(socket.socket(fileno=int(sys.argv[1])))
  if sys.argv[0] == '-m':
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
  else:
    from launcher.main import main

    main()
