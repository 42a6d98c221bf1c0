"""The HTTP client against servers that misbehave; tokens stay secret."""

import http.server
import json
import threading
import time

import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from segxal_jax import oracles
from segxal_jax.oracles.label_studio import LabelStudio
from segxal_jax.oracles.label_studio.client import (
  BadReply,
  Client,
  Refused,
  Unreachable,
)

TOKEN = 'a1b2c3d4e5f6a7b8c9d0'
OPTIONS = {
  'kind': 'label_studio',
  'rest': 'prediction',
  'min_confidence': 0.9,
  'wait': False,
}


class Rude(http.server.BaseHTTPRequestHandler):
  """Each path is another way to misbehave."""

  seen: list = []

  def log_message(self, *args):
    pass

  def _send(self, status, content=b'{}', **headers):
    self.send_response(status)
    for name, value in headers.items():
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    self.wfile.write(content)

  def do_GET(self):
    self.seen.append((self.path, self.headers.get('Authorization')))
    if self.path == '/api/large':
      self._send(200, b'[' + b'0,' * 400_000 + b'0]')
    elif self.path == '/api/slow':
      self.send_response(200)
      self.end_headers()
      for _ in range(40):
        self.wfile.write(b' ')
        time.sleep(0.02)
    elif self.path == '/api/silent':
      time.sleep(0.6)
    elif self.path == '/api/short':
      self.send_response(200)
      self.send_header('Content-Length', '100')
      self.end_headers()
      self.wfile.write(b'[]')
    elif self.path == '/api/deep':
      self._send(200, b'[' * 100_000)
    elif self.path == '/api/away':
      self._send(302, Location='http://127.0.0.1:1/elsewhere')
    elif self.path == '/api/html':
      self._send(200, b'<html>welcome</html>')
    elif self.path.startswith('/api/projects/'):
      self._send(200, b'{"results": [{"title": 7}]}')
    else:
      self._send(int(self.path.rpartition('/')[2]))

  def do_POST(self):
    length = int(self.headers['Content-Length'])
    body = json.loads(self.rfile.read(length))
    self.seen.append((self.path, self.headers.get('Authorization')))
    assert self.path == '/api/token/refresh/' and body['refresh'] == 'aa.bb.cc'
    self._send(200, b'{"access": "short.lived.one"}')


@pytest.fixture(scope='module')
def url():
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Rude)
  server.daemon_threads = True
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  yield f'http://127.0.0.1:{server.server_port}'
  server.shutdown()
  server.server_close()
  thread.join()


def _client(url, token=TOKEN):
  limits = {'silence_secs': 0.3, 'call_secs': 0.4, 'reply_bytes': 1 << 19}
  return Client(url, token, **limits)


@pytest.mark.parametrize(
  ('path', 'error', 'words'),
  [
    ('large', BadReply, 'more than'),
    ('slow', Unreachable, 'no whole answer'),
    ('silent', Unreachable, 'time|closed'),
    ('deep', BadReply, 'not JSON'),
    ('html', BadReply, 'not JSON'),
    ('away', Refused, 'redirects'),
    ('500', Unreachable, 'status 500'),
    ('503', Unreachable, 'status 503'),
    ('429', Unreachable, 'status 429'),
    ('401', Refused, 'LABEL_STUDIO_API_KEY'),
    ('403', Refused, 'LABEL_STUDIO_API_KEY'),
    ('404', Refused, 'status 404'),
  ],
)
def test_each_misbehaviour_has_its_name(url, path, error, words):
  with pytest.raises(error, match=words) as raised:
    _client(url).call('GET', f'/api/{path}')
  assert TOKEN not in str(raised.value)


def test_an_answer_that_is_cut_off_is_not_taken_for_whole(url):
  with pytest.raises(Unreachable, match='breaks off'):
    _client(url).call('GET', '/api/short')


def test_nobody_there():
  with pytest.raises(Unreachable, match='refused'):
    _client('http://127.0.0.1:1').call('GET', '/health')


def test_a_redirect_never_sees_the_token(url):
  Rude.seen.clear()
  with pytest.raises(Refused):
    _client(url).call('GET', '/api/away')
  assert Rude.seen == [('/api/away', f'Token {TOKEN}')]


def test_a_personal_token_is_exchanged_once(url):
  client = _client(url, 'aa.bb.cc')
  Rude.seen.clear()
  assert client.call('GET', '/api/200') == (200, {})
  client.call('GET', '/api/200')
  bearer = ('/api/200', 'Bearer short.lived.one')
  assert Rude.seen == [('/api/token/refresh/', None), bearer, bearer]


def test_answers_that_make_no_sense(url, tmp_path):
  oracle = LabelStudio(_client(url), tmp_path / 'run' / 'oracle')
  with pytest.raises(UserError, match=r'unknown form \(no project\)'):
    oracle.publish([])


@pytest.mark.parametrize(
  'address',
  [
    'localhost:8080',
    'ftp://x',
    'http://',
    'http://user:secret@host',
    'http://host:99999',
    'http://host/?token=secret',
    'file:///etc/passwd',
  ],
)
def test_addresses_that_are_none(address):
  with pytest.raises(UserError, match='LABEL_STUDIO_URL') as error:
    Client(address, TOKEN)
  assert 'secret' not in str(error.value)


@pytest.mark.parametrize(
  'token', ['short', 'with space12', 'new\nline1234', 'ä' * 20]
)
def test_tokens_that_are_none_are_not_repeated(token):
  with pytest.raises(UserError, match='LABEL_STUDIO_API_KEY') as error:
    Client('http://127.0.0.1:1', token)
  assert token not in str(error.value)


@pytest.mark.parametrize(
  'missing', ['LABEL_STUDIO_URL', 'LABEL_STUDIO_API_KEY']
)
def test_the_environment_names_server_and_user(missing, monkeypatch, tmp_path):
  monkeypatch.setenv('LABEL_STUDIO_URL', 'http://127.0.0.1:1')
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', TOKEN)
  monkeypatch.delenv(missing)
  options = ConfigDict(OPTIONS)
  with pytest.raises(UserError, match=missing):
    oracles.create(options, 0, tmp_path)
  # Checking a config asks for neither.
  assert oracles.create(options, 0).where == ''


def test_a_server_that_is_down_is_no_reason_not_to_train(
  monkeypatch, tmp_path, capsys
):
  monkeypatch.setenv('LABEL_STUDIO_URL', 'http://127.0.0.1:1/')
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', TOKEN)
  oracle = oracles.create(ConfigDict(OPTIONS), 0, tmp_path)
  said = capsys.readouterr().err
  assert 'does not answer yet' in said and TOKEN not in said
  assert isinstance(oracle, oracles.Oracle)
  assert oracle.where == 'http://127.0.0.1:1'


@pytest.mark.parametrize(
  ('path', 'words'),
  [('/api/html', 'not Label Studio'), ('/api/404', 'not Label Studio')],
)
def test_another_program_at_that_address(
  url, path, words, monkeypatch, tmp_path
):
  from segxal_jax.oracles.label_studio import client as module

  monkeypatch.setenv('LABEL_STUDIO_URL', url)
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', TOKEN)
  call = module.Client.call
  monkeypatch.setattr(
    module.Client, 'call', lambda self, method, _: call(self, method, path)
  )
  with pytest.raises(UserError, match=words):
    oracles.create(ConfigDict(OPTIONS), 0, tmp_path)
