"""One HTTP exchange, bounded in time and size, headers included.

A timeout of a socket is that of one read: a server that sends a byte now and
then holds a call for ever. Here a timer ends the connection once a call's time
is over, whatever the call is at: the TLS handshake, the headers or the body.
"""

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

_CHUNK_BYTES = 1 << 16
# Of a reply with the reason of a refusal.
_REASON_BYTES = 1 << 13


class Unreachable(Exception):
  """No answer, or none that can be used now: it may help to try again."""


class BadReply(Exception):
  """An answer that is not JSON, too large, or not of the expected form."""


class Transport:
  """Sends requests and reads answers.

  Attributes:
    call_secs: how long one exchange may take.
  """

  def __init__(self, silence_secs: float, call_secs: float, reply_bytes: int):
    """Takes the bounds.

    Args:
      silence_secs: how long the server may send nothing.
      call_secs: how long one exchange may take.
      reply_bytes: how large an answer may be.
    """
    self.call_secs = call_secs
    self._silence_secs, self._reply_bytes = silence_secs, reply_bytes

  def exchange(self, request: urllib.request.Request) -> tuple[int, bytes]:
    """Status and body; of a status other than 2xx the body's beginning.

    Redirects are not followed.

    Raises:
      Unreachable: no whole answer; its text may be the server's.
      BadReply: the answer is too large.
    """
    problem, whole, status, content = '', False, 0, b''
    with _Watch(self.call_secs) as watch:
      opener = urllib.request.build_opener(
        _NoRedirect, _Http(watch), _Https(watch)
      )
      try:
        with opener.open(request, timeout=self._silence_secs) as response:
          status, content = response.status, self._body(response)
          whole = not getattr(response, 'length', None)
      except urllib.error.HTTPError as error:
        with error:
          status, content, whole = error.code, _beginning(error), True
      # ValueError: of encodings and of numbers in headers.
      except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, 'reason', None) or error
        problem = f'{type(error).__name__}: {reason}'
    # Ended by the timer, an answer looks as if it were whole.
    if watch.expired:
      raise Unreachable(f'no whole answer within {self.call_secs:.0f} s')
    if problem:
      raise Unreachable(problem)
    if not whole:
      raise Unreachable('the answer breaks off')
    return status, content

  def _body(self, response: Any) -> bytes:
    parts, size = [], 0
    while part := response.read1(_CHUNK_BYTES):
      parts.append(part)
      size += len(part)
      if size > self._reply_bytes:
        raise BadReply(f'an answer of more than {self._reply_bytes >> 20} MiB')
    return b''.join(parts)


def _beginning(response: Any) -> bytes:
  """What there is of a reason."""
  content = b''
  with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
    while len(content) < _REASON_BYTES and (part := response.read1(1 << 12)):
      content += part
  return content[:_REASON_BYTES]


class _Watch:
  """Ends connections at a point in time.

  Attributes:
    expired: whether it has.
  """

  def __init__(self, seconds: float):
    self.expired = False
    self._lock = threading.Lock()
    self._guarded: list[socket.socket] = []
    self._timer = threading.Timer(seconds, self._expire)
    self._timer.daemon = True

  def __enter__(self) -> '_Watch':
    self._timer.start()
    return self

  def __exit__(self, *_: Any) -> None:
    self._timer.cancel()
    with self._lock:
      for guarded in self._guarded:
        guarded.close()
      self._guarded.clear()

  def guard(self, connection: socket.socket) -> None:
    """Takes a connection; its later owner, such as TLS, does not matter."""
    with self._lock:
      self._guarded.append(connection.dup())
      if self.expired:
        self._end()

  def _expire(self) -> None:
    with self._lock:
      self.expired = True
      self._end()

  def _end(self) -> None:
    for guarded in self._guarded:
      # The other side may have been faster.
      with contextlib.suppress(OSError):
        guarded.shutdown(socket.SHUT_RDWR)


class _Connection(http.client.HTTPConnection):
  """A connection that a watch ends.

  Attributes:
    watch: set before it is opened.
  """

  watch: _Watch

  def connect(self) -> None:
    """As its base; from here on the time is limited."""
    super().connect()
    self.watch.guard(self.sock)


class _SecureConnection(http.client.HTTPSConnection, _Connection):
  """The same with TLS, whose handshake comes after `_Connection.connect`."""


def _watched(
  kind: type[_Connection], watch: _Watch
) -> Callable[..., _Connection]:
  """Makes connections that a watch ends, as `do_open` makes them."""

  def make(*args: Any, **kwargs: Any) -> _Connection:
    connection = kind(*args, **kwargs)
    connection.watch = watch
    return connection

  return make


class _Http(urllib.request.HTTPHandler):
  """Opens `_Connection`."""

  def __init__(self, watch: _Watch):
    super().__init__()
    self._watch = watch

  def http_open(self, req: urllib.request.Request) -> Any:
    """See `urllib.request.HTTPHandler`."""
    return self.do_open(_watched(_Connection, self._watch), req)


class _Https(urllib.request.HTTPSHandler):
  """Opens `_SecureConnection`."""

  def __init__(self, watch: _Watch):
    super().__init__()
    self._watch = watch

  def https_open(self, req: urllib.request.Request) -> Any:
    """See `urllib.request.HTTPSHandler`."""
    return self.do_open(_watched(_SecureConnection, self._watch), req)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
  """A redirect would carry the token to another server."""

  def http_error_302(self, *args: Any, **kwargs: Any) -> None:
    """Follows nothing, and does not read where it leads to."""
    return None

  http_error_301 = http_error_303 = http_error_302
  http_error_307 = http_error_308 = http_error_302
