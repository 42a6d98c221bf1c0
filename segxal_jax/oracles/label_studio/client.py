"""Label Studio's HTTP interface: one call, bounded in time and size.

Plain HTTP rather than the SDK, which brings 70 packages and holds numpy back.
Nothing here tries again by itself: whether that is safe is known to the
caller.
"""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from common_lib.errors import UserError

URL, TOKEN = 'LABEL_STUDIO_URL', 'LABEL_STUDIO_API_KEY'
# Of one read or write on the wire, and of a whole call.
_SILENCE_SECS = 30.0
_CALL_SECS = 180.0
_REPLY_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
# Of an access token, which lives for 300 s.
_FRESH_SECS = 200.0
# Answers of a server, or of a gateway before it, that is in trouble.
_TROUBLE = (408, 429)


class Unreachable(Exception):
  """No answer, or none that can be used now: it may help to try again."""


class BadReply(Exception):
  """An answer that is not JSON, too large, or not of the expected form."""


class Refused(UserError):
  """The server says no, and would say so again.

  Attributes:
    status: HTTP status.
  """

  def __init__(self, status: int, message: str):
    super().__init__(message)
    self.status = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
  """A redirect would carry the token to another server."""

  def redirect_request(self, *args: Any, **kwargs: Any) -> None:
    """Follows nothing."""
    return None


class Client:
  """One server and one user of it."""

  def __init__(
    self,
    url: str,
    token: str,
    silence_secs: float = _SILENCE_SECS,
    call_secs: float = _CALL_SECS,
    reply_bytes: int = _REPLY_BYTES,
  ):
    """Takes where the server is and who asks.

    Args:
      url: such as http://127.0.0.1:8080.
      token: a personal access token or a legacy token.
      silence_secs: how long the server may say nothing.
      call_secs: how long one call may take.
      reply_bytes: how large an answer may be.

    Raises:
      UserError: either is malformed.
    """
    self.url = _checked_url(url)
    self._token = _checked_token(token)
    self._silence_secs, self._call_secs = silence_secs, call_secs
    self._reply_bytes = reply_bytes
    self._access: tuple[str, float] | None = None
    self._opener = urllib.request.build_opener(_NoRedirect)

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
      if not isinstance(access, str):
        raise BadReply('no access token in the answer')
      self._access = (_checked_token(access), until)
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
    try:
      with self._opener.open(request, timeout=self._silence_secs) as response:
        return response.status, _parsed(self._read(response), what)
    except urllib.error.HTTPError as error:
      with error:
        raise self._failure(error, what) from None
    except (OSError, http.client.HTTPException) as error:
      reason = getattr(error, 'reason', None) or error
      raise Unreachable(f'{type(error).__name__}: {reason}') from None

  def _read(self, response: Any) -> bytes:
    """The body, however slowly it drips and whatever length it claims."""
    until = time.monotonic() + self._call_secs
    parts, size = [], 0
    while part := response.read1(_CHUNK_BYTES):
      parts.append(part)
      size += len(part)
      if size > self._reply_bytes:
        raise BadReply(f'an answer of more than {self._reply_bytes >> 20} MiB')
      if time.monotonic() > until:
        raise Unreachable(f'no whole answer within {self._call_secs:.0f} s')
    if getattr(response, 'length', None):
      raise Unreachable('the answer breaks off')
    return b''.join(parts)

  def _failure(self, error: urllib.error.HTTPError, what: str) -> Exception:
    """What a status other than 2xx means."""
    status = error.code
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
    try:
      detail = ascii(self._read(error)[:300].decode('utf-8', 'replace'))
    except (OSError, http.client.HTTPException, BadReply, Unreachable):
      detail = 'no reason given'
    return Refused(
      status,
      f'Label Studio at {self.url} refuses {what} (status {status}: {detail}): '
      f'check {URL} and that the server is version 1.23 or newer.',
    )


def _parsed(content: bytes, what: str) -> Any:
  if not content.strip():
    return None
  try:
    return json.loads(content)
  except (ValueError, RecursionError):
    raise BadReply(f'the answer to {what} is not JSON') from None


def _checked_url(url: str) -> str:
  url = url.strip().rstrip('/')
  try:
    parts = urllib.parse.urlsplit(url)
    wrong = parts.port == 0 or not parts.hostname
  except ValueError:
    raise UserError(_URL_HELP) from None
  if wrong or parts.scheme not in ('http', 'https'):
    raise UserError(_URL_HELP)
  if parts.username or parts.password or parts.query or parts.fragment:
    raise UserError(_URL_HELP)
  return url


# The value is not repeated: it may hold a password.
_URL_HELP = (
  f'{URL} must be the plain address of the server, such as '
  'http://127.0.0.1:8080, without user, password or query.'
)


def _checked_token(token: str) -> str:
  """A token that can stand in a header; what it is is never said."""
  token = token.strip()
  if not re.fullmatch(r'[\w.~+/=-]{8,4096}', token, re.ASCII):
    raise UserError(
      f'{TOKEN} is not an access token: copy one from the account settings of '
      'Label Studio.'
    )
  return token
