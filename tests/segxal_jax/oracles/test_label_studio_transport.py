"""An exchange ends in time whatever the server does, and repeats no secret."""

import contextlib
import functools
import json
import re
import socket
import threading
import time
import traceback
import urllib.request

import pytest

from common_lib.errors import UserError
from segxal_jax.oracles.label_studio import address
from segxal_jax.oracles.label_studio.client import (
  BadReply,
  Client,
  Refused,
  Unreachable,
)
from segxal_jax.oracles.label_studio.redaction import Redaction

TOKEN = '0f3a9c5b7d1e8642a0b1c2d3e4f5a6b7c8d9e0f1'


class Raw:
  """A server that says what it is told, byte by byte if need be."""

  def __init__(self, script):
    self._script = script
    self.asked = b''
    self._listener = socket.create_server(('127.0.0.1', 0))
    self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
    self._thread = threading.Thread(target=self._serve, daemon=True)
    self._thread.start()

  def _serve(self):
    with contextlib.suppress(OSError):
      connection, _ = self._listener.accept()
      with connection:
        if not self._script.__name__.startswith('_deaf'):
          self.asked = _request(connection)
        self._script(connection, self.asked)

  def close(self):
    # Closing alone does not wake a thread that waits for somebody.
    with contextlib.suppress(OSError):
      self._listener.shutdown(socket.SHUT_RDWR)
    self._listener.close()
    self._thread.join()


def _request(connection):
  """All of a request: closing on unread bytes resets the connection."""
  asked = connection.recv(1 << 16)
  head, _, body = asked.partition(b'\r\n\r\n')
  length = re.search(rb'(?i)^content-length: *(\d+)', head, re.MULTILINE)
  missing = int(length[1]) - len(body) if length else 0
  while missing > 0 and (more := connection.recv(missing)):
    asked += more
    missing -= len(more)
  return asked


@contextlib.contextmanager
def _serving(script):
  server = Raw(script)
  try:
    yield server
  finally:
    server.close()


def _call(url, token=TOKEN, **limits):
  limits = {'silence_secs': 5.0, 'call_secs': 0.6} | limits
  return Client(url, token, **limits).call('GET', '/api/projects/')


def _drip(start, part, end, connection, _):
  """Something now and then, sooner than any timeout of a single read."""
  connection.sendall(start)
  for _ in range(60):
    connection.sendall(part)
    time.sleep(0.02)
  connection.sendall(end)


OK = b'HTTP/1.1 200 OK\r\n'


def _named(name, *parts):
  script = functools.partial(_drip, *parts)
  script.__name__ = name
  return script


@pytest.mark.parametrize(
  'script',
  [
    _named('status', b'HTTP/1.1 2', b'0', b''),
    _named('header', OK + b'X: ', b'a', b''),
    _named('headers', OK, b'A: b\r\n', b''),
    _named('continue', b'', b'HTTP/1.1 100 Continue\r\n\r\n', b''),
    _named('body', OK + b'\r\n', b' ', b'{}'),
    _named('sized', OK + b'Content-Length: 900\r\n\r\n', b' ', b''),
    _named('chunks', OK + b'Transfer-Encoding: chunked\r\n\r\n', b'0', b''),
    _named('reason', b'HTTP/1.1 404 No\r\n\r\n', b' ', b''),
    _named('_deaf', b'', b'', b''),
  ],
  ids=lambda script: script.__name__,
)
def test_a_slow_server_costs_one_call_no_more(script):
  began = time.monotonic()
  with _serving(script) as server:
    with pytest.raises(Unreachable, match='no whole answer within 1 s'):
      _call(server.url)
    assert time.monotonic() - began < 2.0


def test_a_slow_handshake_ends_too():
  def silent(connection, _):
    _drip(b'\x16\x03\x03\x40\x00', b'\x02', b'', connection, _)

  with _serving(silent) as server:
    began = time.monotonic()
    with pytest.raises(Unreachable, match='no whole answer within 1 s'):
      _call(server.url.replace('http', 'https'))
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
  'answer',
  [
    OK + b'A: b\r\n' * 1000 + b'\r\n{}',
    OK + b'A: ' + b'b' * 100_000 + b'\r\n\r\n{}',
    b'\x1b[2J\x1b]0;owned\x07\r\n\r\n',
    b'HTTP/1.1 abc\r\n\r\n',
    b'HTTP/1.1 99999999999999999999 OK\r\n\r\n',
    b'',
    OK + b'Content-Length: 10\r\n\r\n{}',
    OK + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n{}',
    OK + b'Transfer-Encoding: chunked\r\n\r\n' + b'f' * 400 + b'\r\n{}',
    b'HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n',
    b'HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n',
    b'HTTP/1.1 308 Moved\r\nLocation: \xff\xfe\r\n\r\n',
  ],
)
def test_answers_that_are_no_http(answer):
  def script(connection, _):
    connection.sendall(answer)

  with (
    _serving(script) as server,
    pytest.raises((Unreachable, Refused, BadReply)) as raised,
  ):
    _call(server.url)
  said = str(raised.value)
  assert said.isprintable() and len(said) < 700
  assert 'passwd' not in said


def test_a_redirect_is_not_followed_by_any_status():
  for status in (301, 302, 303, 307, 308):
    with _serving(lambda *_: None) as other:

      def script(connection, _, status=status, target=other.url):
        head = f'HTTP/1.1 {status} Moved\r\nLocation: {target}/\r\n\r\n'
        connection.sendall(head.encode())

      with (
        _serving(script) as server,
        pytest.raises(Refused, match='redirects to another address') as raised,
      ):
        _call(server.url)
      assert raised.value.status == status
      assert TOKEN.encode() in server.asked and other.asked == b''


ECHOES = {
  'headers': lambda asked: asked,
  'html': lambda asked: b'<pre>' + asked.replace(b'\r\n', b'<br>') + b'</pre>',
  'json': lambda asked: json.dumps({'detail': asked.decode()}).encode(),
  'cut': lambda asked: asked.partition(TOKEN[20:].encode())[0],
  'late': lambda asked: b'x' * 270 + TOKEN.encode(),
  'upper': lambda asked: TOKEN.upper().encode(),
  'quoted': lambda asked: urllib.request.quote(TOKEN + '=').encode(),
  'wrapped': lambda asked: b'"Token ' + TOKEN.encode() + b'",',
  'escapes': lambda asked: b'\x1b[31m' + TOKEN.encode() + b'\x1b[0m\x07\x9b',
  'endless': lambda asked: TOKEN.encode() * 100_000,
}


@pytest.mark.parametrize('where', ['body', 'status line', 'bad status line'])
@pytest.mark.parametrize('kind', ECHOES)
def test_a_server_that_repeats_the_token(kind, where):
  def script(connection, asked):
    echo = ECHOES[kind](asked)
    if where == 'body':
      connection.sendall(b'HTTP/1.1 400 Bad\r\n\r\n' + echo)
      return
    line = echo.replace(b'\r\n', b' ')[:60_000]
    start = b'HTTP/1.1 400 ' if where == 'status line' else b''
    connection.sendall(start + line + b'\r\n\r\n')

  with (
    _serving(script) as server,
    pytest.raises((Refused, Unreachable)) as raised,
  ):
    _call(server.url)
  shown = ''.join(traceback.format_exception(raised.value)).lower()
  pieces = [TOKEN[i : i + 8] for i in range(len(TOKEN) - 7)]
  assert not [piece for piece in pieces if piece in shown]
  said = str(raised.value)
  assert said.isprintable() and len(said) < 700
  # Nothing that a logger could follow to the answer.
  assert raised.value.__cause__ is None and raised.value.__context__ is None


def test_a_short_lived_token_is_hidden_too():
  access = 'eyJhbGciOi.eyJ1c2VyIjo.c2lnbmF0dXJl'
  answers = [
    b'HTTP/1.1 200 OK\r\n\r\n' + json.dumps({'access': access}).encode(),
    b'HTTP/1.1 400 Bad\r\n\r\nBearer ' + access.encode() + b' is bad',
  ]

  class Twice(Raw):
    def _serve(self):
      for answer in answers:
        connection, _ = self._listener.accept()
        with connection:
          _request(connection)
          connection.sendall(answer)

  server = Twice(None)
  with pytest.raises(Refused, match=r'Bearer \[token\] is bad'):
    _call(server.url, 'aaaaaaaa.bbbbbbbb.cccccccc')
  server.close()


@pytest.mark.parametrize('access', [None, 7, '', 'a b', 'x' * 5000, 'ä' * 20])
def test_an_access_token_that_is_none(access):
  def script(connection, _):
    body = json.dumps({'access': access}).encode()
    connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n' + body)

  with (
    _serving(script) as server,
    pytest.raises(BadReply, match='no access token'),
  ):
    _call(server.url, 'aaaaaaaa.bbbbbbbb.cccccccc')


def test_a_message_of_megabytes_is_cut():
  def script(connection, _):
    connection.sendall(b'HTTP/1.1 400 Bad\r\n\r\n' + b'no ' * 1_400_000)

  with _serving(script) as server, pytest.raises(Refused) as raised:
    _call(server.url)
  assert 'no no no' in str(raised.value) and len(str(raised.value)) < 600


def test_redaction_against_random_text():
  hidden = Redaction()
  hidden.hide(TOKEN)
  hidden.hide('a.b~c/d+e=f-g')
  assert hidden('the project 12345678 is closed') == (
    'the project 12345678 is closed'
  )
  assert hidden(f'Token {TOKEN}, id 7') == 'Token [token], id 7'
  assert hidden('x a.b~c/d+e=f-g y') == 'x [token] y'
  assert hidden('a%2Eb~c%2Fd%2Be%3Df-g') == '[token]'
  assert hidden(f'{TOKEN[:8]} {TOKEN[:7]}') == f'[token] {TOKEN[:7]}'
  assert hidden(ValueError('a\x1b[2J')) == 'a�[2J'
  assert len(hidden('y' * 10_000_000)) == 300


@pytest.mark.parametrize(
  'url',
  [
    'http://' + 'a' * 64,
    'http://' + 'a.' * 200 + 'b',
    'http://a..b',
    'http://.a',
    'http://\u3002\u3002',
    'http://' + 'ä' * 70,
    'http://xn--' + 'a' * 70,
    'http://a b',
    'http://a\tb',
    'http://a\nb:80',
    'http://a\x00b',
    'http://a\x1b[2J',
    'http://a%41',
    'http://[::1',
    'http://[zz]',
    'http://[::1%25e\x1bt]',
    'http://a:b',
    'http://a:-1',
    'http://a:',
    'http://a\\@b',
    'http://a/?',
    'http://a/#',
    'http://a/\u00e9',
    'http://a/b c',
    'http:a',
    'http:///a',
    '//a',
    'a',
    '',
    '\ud800',
    'http://\ud800',
    'https://' + '1' * 5000,
  ],
)
def test_odd_addresses(url):
  if url == 'http://a:':  # The port that the scheme has.
    assert address.checked(url) == 'http://a'
    return
  with pytest.raises(UserError, match='LABEL_STUDIO_URL must be') as raised:
    address.checked(url)
  assert str(raised.value).isprintable()


@pytest.mark.parametrize(
  ('url', 'expected'),
  [
    (' https://Labels.Example.org/studio/ ', None),
    ('http://bücher.example:8080', 'http://xn--bcher-kva.example:8080'),
    ('http://[::1]:8080', 'http://[::1]:8080'),
    ('http://10.0.0.7/a/b', 'http://10.0.0.7/a/b'),
    ('http://my_host', 'http://my_host'),
  ],
)
def test_addresses(url, expected):
  assert address.checked(url) == expected or url.startswith(' ')
  if expected is None:
    assert address.checked(url) == 'https://labels.example.org/studio'


def test_the_address_must_not_hold_the_token():
  with pytest.raises(UserError, match='holds the token') as raised:
    Client(f'http://127.0.0.1/{TOKEN}', TOKEN)
  assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
  ('url', 'warns'),
  [
    ('http://labels.example.org', True),
    ('http://10.0.0.7:8080', True),
    ('http://localhost.example.org', True),
    ('http://[2001:db8::1]', True),
    ('https://labels.example.org', False),
    ('http://localhost:8080', False),
    ('http://127.0.0.3', False),
    ('http://[::1]:8080', False),
    ('http://0.0.0.0:8080', False),
  ],
)
def test_plain_http_to_another_host_is_said_once(url, warns, capsys):
  address.warn_if_open.cache_clear()
  Client(url, TOKEN)
  Client(url, TOKEN)
  said = capsys.readouterr().err
  assert said.count('without TLS') == warns and TOKEN not in said
