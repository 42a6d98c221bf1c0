"""A real Label Studio server on loopback, in a folder of its own."""

import dataclasses
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.paths import ROOT

VENV = Path(os.environ.get('LABEL_STUDIO_VENV', ROOT / '.venv-label-studio'))
# An empty database with every migration done; saves half a minute.
TEMPLATE = VENV / 'template'
# A first start on a busy machine was seen to take 84 s.
_PATIENCE_SECS = 180
EMAIL = 'annotator@example.com'


def free_port() -> int:
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


@dataclasses.dataclass
class Server:
  """Starts, stops, kills and asks one server.

  Attributes:
    folder: of its database and log.
    port: the same after a restart.
    token: a legacy token of its only user.
    password: of that user.
  """

  folder: Path
  port: int = dataclasses.field(default_factory=free_port)
  token: str = dataclasses.field(default_factory=lambda: secrets.token_hex(20))
  password: str = dataclasses.field(
    default_factory=lambda: secrets.token_hex(8)
  )
  process: subprocess.Popen | None = None

  def __post_init__(self):
    data = self.folder / 'data'
    if not data.exists():
      shutil.copytree(TEMPLATE, data)

  @property
  def url(self) -> str:
    return f'http://127.0.0.1:{self.port}'

  def _environment(self) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != 'CI'}
    return kept | {
      'HOME': str(self.folder),
      'LABEL_STUDIO_BASE_DATA_DIR': str(self.folder / 'data'),
      'LABEL_STUDIO_USERNAME': EMAIL,
      'LABEL_STUDIO_PASSWORD': self.password,
      'LABEL_STUDIO_USER_TOKEN': self.token,
      'LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN': 'true',
      'LABEL_STUDIO_COLLECT_ANALYTICS': 'false',
      'LABEL_STUDIO_LATEST_VERSION_CHECK': 'false',
      'LABEL_STUDIO_FEATURE_FLAGS_OFFLINE': 'true',
      'LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK': 'true',
      'SENTRY_DSN': '',
      'FRONTEND_SENTRY_DSN': '',
    }

  def start(self) -> None:
    command = [
      str(VENV / 'bin' / 'label-studio'),
      'start',
      '--no-browser',
      '--internal-host=127.0.0.1',
      f'--port={self.port}',
      f'--data-dir={self.folder / "data"}',
    ]
    with (self.folder / 'server.log').open('ab') as log:
      self.process = subprocess.Popen(
        command,
        env=self._environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
      )
    until = time.monotonic() + _PATIENCE_SECS
    while not self._answers():
      said = (self.folder / 'server.log').read_text(errors='replace')[-3000:]
      assert self.process.poll() is None, said
      assert time.monotonic() < until, said
      time.sleep(0.2)

  def _answers(self) -> bool:
    """Whether it is up, and is ours: a busy port would be another's."""
    try:
      return self.ask('GET', '/api/current-user/whoami')['email'] == EMAIL
    except OSError:
      return False

  def end(self, number: signal.Signals = signal.SIGTERM) -> None:
    if self.process is not None and self.process.poll() is None:
      self.process.send_signal(number)
      self.process.wait(timeout=30)

  def ask(self, method: str, path: str, body=None):
    """The parsed answer; an OSError where there is none."""
    request = urllib.request.Request(
      self.url + path,
      None if body is None else json.dumps(body).encode(),
      {
        'Authorization': f'Token {self.token}',
        'Content-Type': 'application/json',
      },
      method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as response:
      content = response.read()
    return json.loads(content) if content else None

  def tasks(self, project: int) -> list[dict]:
    """All tasks of a project, whole, in the order of their numbers."""
    reply = self.ask(
      'GET', f'/api/tasks?project={project}&fields=all&page_size=1000'
    )
    return sorted(reply['tasks'], key=lambda task: task['id'])

  def annotate(self, task: int, result, **fields) -> int:
    """Submits an annotation as an annotator's browser does."""
    body = {'result': result, 'lead_time': 2.5} | fields
    return self.ask('POST', f'/api/tasks/{task}/annotations/', body)['id']
