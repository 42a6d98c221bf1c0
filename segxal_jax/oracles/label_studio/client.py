"""Label Studio's HTTP interface: one call, bounded in time and size.

Plain HTTP rather than the SDK, which brings 70 packages and holds numpy back.
Nothing here tries again by itself: whether that is safe is known to the
caller. What a server answers is foreign: no message shows the token that it
may repeat, nor more than a line of it.
"""

import json
import os
import re
import time
import urllib.parse
import urllib.request
from typing import Any

from common_lib.errors import UserError
from segxal_jax.oracles.label_studio import address
from segxal_jax.oracles.label_studio.redaction import Redaction
from segxal_jax.oracles.label_studio.transport import (
  BadReply,
  Transport,
  Unreachable,
)

URL, TOKEN = address.URL, 'LABEL_STUDIO_API_KEY'
_TOKEN = re.compile(r'[\w.~+/=-]{8,4096}', re.ASCII)
# Of one read or write on the wire, and of a whole exchange.
_SILENCE_SECS = 30.0
_CALL_SECS = 180.0
_REPLY_BYTES = 64 << 20
# Of an access token, which lives for 300 s.
_FRESH_SECS = 200.0
# Answers of a server, or of a gateway before it, that is in trouble.
_TROUBLE = (408, 429)


class Refused(UserError):
  """The server refuses, and would refuse again.

  Attributes:
    status: HTTP status.
  """

  def __init__(self, status: int, message: str):
    super().__init__(message)
    self.status = status


class Client:
  """One server and one user of it.

  Attributes:
    url: of the server.
    redacted: makes foreign text fit for people.
  """

  def __init__(
    self,
    url: str,
    token: str,
    silence_secs: float = _SILENCE_SECS,
    call_secs: float = _CALL_SECS,
    reply_bytes: int = _REPLY_BYTES,
  ):
    """Takes the address of the server and the token.

    Args:
      url: such as http://127.0.0.1:8080.
      token: a personal access token or a legacy token.
      silence_secs: how long the server may send nothing.
      call_secs: how long one exchange may take, headers included.
      reply_bytes: how large an answer may be.

    Raises:
      UserError: either is malformed.
    """
    self.url = address.checked(url)
    self._token = _checked_token(token)
    self.redacted = Redaction()
    self.redacted.hide(self._token)
    if self._token.lower() in self.url.lower():
      raise UserError(f'{URL} holds the token: give the address alone.')
    address.warn_if_open(self.url)
    self._transport = Transport(silence_secs, call_secs, reply_bytes)
    self._access: tuple[str, float] | None = None

  @classmethod
  def from_environment(cls) -> 'Client':
    """The server and user that the environment names.

    Raises:
      UserError: a variable is missing or malformed.
    """
    for name in (URL, TOKEN):
      if not os.environ.get(name, '').strip():
        raise UserError(
          f'The environment variable {name} is not set: the oracle '
          f'label_studio needs {URL} and {TOKEN}, an access token of a user.'
        )
    return cls(os.environ[URL], os.environ[TOKEN])

  def call(
    self, method: str, path: str, body: Any = None, **query: Any
  ) -> tuple[int, Any]:
    """One request.

    Args:
      method: of HTTP.
      path: below the URL, such as /api/projects/.
      body: sent as JSON if not None.
      **query: parameters of the path.

    Returns:
      Status and parsed answer (None if it is empty).

    Raises:
      Unreachable: no answer, or trouble at the server.
      BadReply: an answer that cannot be read.
      Refused: any other status than 2xx.
    """
    if query:
      path = f'{path}?{urllib.parse.urlencode(query)}'
    return self._send(method, path, body, self._authorization())

  def _authorization(self) -> str:
    """The header's value; a personal access token is first exchanged."""
    if self._token.count('.') != 2:
      return f'Token {self._token}'
    if self._access is None or time.monotonic() > self._access[1]:
      until = time.monotonic() + _FRESH_SECS
      _, reply = self._send(
        'POST', '/api/token/refresh/', {'refresh': self._token}, None
      )
      access = reply.get('access') if isinstance(reply, dict) else None
      if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise BadReply('no access token in the answer')
      self.redacted.hide(access)
      self._access = (access, until)
    return f'Bearer {self._access[0]}'

  def _send(
    self, method: str, path: str, body: Any, authorization: str | None
  ) -> tuple[int, Any]:
    headers = {'Accept': 'application/json'}
    if authorization is not None:
      headers['Authorization'] = authorization
    data = None
    if body is not None:
      data = json.dumps(body, allow_nan=False).encode()
      headers['Content-Type'] = 'application/json'
    request = urllib.request.Request(
      self.url + path, data, headers, method=method
    )
    what = f'{method} {path.partition("?")[0]}'
    problem, status, content = '', 0, b''
    try:
      status, content = self._transport.exchange(request)
    except Unreachable as error:
      problem = self.redacted(error)
    # Raised out here: an exception that is shown shows what it came from.
    if problem:
      raise Unreachable(problem)
    if not 200 <= status < 300:
      raise self._failure(status, content, what)
    return status, _parsed(content, what)

  def _failure(self, status: int, content: bytes, what: str) -> Exception:
    """What a status other than 2xx means."""
    if status >= 500 or status in _TROUBLE:
      return Unreachable(f'status {status} for {what}')
    if status in (401, 403):
      return Refused(
        status,
        f'Label Studio at {self.url} refuses the token ({status} for '
        f'{what}): set {TOKEN} to a valid access token of a user who may see '
        'and edit the project.',
      )
    if 300 <= status < 400:
      return Refused(
        status,
        f'{self.url} redirects to another address: set {URL} to the address '
        'that Label Studio itself is at.',
      )
    detail = self.redacted(content.decode('utf-8', 'replace').strip())
    return Refused(
      status,
      f'Label Studio at {self.url} refuses {what} (status {status}: '
      f'{detail or "no reason given"}): check {URL} and that the server is '
      'version 1.23 or newer.',
    )


def _parsed(content: bytes, what: str) -> Any:
  if not content.strip():
    return None
  try:
    return json.loads(content)
  except (ValueError, RecursionError):
    problem = f'the answer to {what} is not JSON'
  raise BadReply(problem)


def _checked_token(token: str) -> str:
  """A token that can stand in a header; what it is is never said."""
  token = token.strip()
  if not _TOKEN.fullmatch(token):
    raise UserError(
      f'{TOKEN} is not an access token: copy one from the account settings of '
      'Label Studio.'
    )
  return token
