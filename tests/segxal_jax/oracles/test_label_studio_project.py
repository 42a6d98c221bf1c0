"""What the server says of projects and tasks, and what a run wrote down."""

import json

import pytest

from common_lib.errors import UserError
from segxal_jax.oracles.label_studio import board, interface, project
from segxal_jax.oracles.label_studio.client import BadReply, Client
from segxal_jax.oracles.label_studio.project import Project

HUGE = 10**400
CREATED = '2026-01-01T00:00:00.000001Z'


class Server(Client):
  """Gives one reply to every question."""

  def __init__(self, reply):
    super().__init__('http://127.0.0.1:1', 'c0ffee00c0ffee00')
    self._reply = reply

  def call(self, method, path, body=None, **query):
    if method == 'POST':
      query = {}
    return 200, self._reply(query) if callable(self._reply) else self._reply


def _project(**changes):
  config = interface.labelling_config()
  known = {'id': 4, 'created_at': CREATED, 'label_config': config}
  return known | changes


def _written(tmp_path):
  path = tmp_path / 'oracle' / 'label_studio.json'
  return path, json.loads(path.read_text())


@pytest.fixture
def known(tmp_path):
  """A run that has made its project."""

  def reply(query):
    return {'results': []} if 'title' in query else _project()

  found = project.find_or_create(Server(reply), tmp_path / 'oracle')
  assert found.number == 4
  return tmp_path


def test_the_run_keeps_its_name(known):
  path, written = _written(known)
  assert written['project'] == 4 and len(written['run']) == 12
  again = project.find_or_create(Server(_project()), path.parent)
  assert again == Project(written['run'], 4)


@pytest.mark.parametrize(
  'change',
  [
    {'run': 'ffffffffffff'},
    {'run': 'x' * 12},
    {'run': 7},
    {'run': None},
    {'project': True},
    {'project': HUGE},
    {'project': '4'},
    {'project': None},
    {'created_at': 7},
    {'created_at': ''},
    {'created_at': 'x' * 1000},
    {'more': 1},
  ],
)
@pytest.mark.parametrize('sealed', [True, False])
def test_a_changed_note_is_refused(known, change, sealed):
  path, written = _written(known)
  if not sealed:  # As an older version wrote it.
    del written['checksum']
  content = {k: v for k, v in (written | change).items() if v is not None}
  path.write_text(json.dumps(content))
  if change == {'run': 'ffffffffffff'} and not sealed:
    project.find_or_create(Server(_project()), path.parent)
    return
  with pytest.raises(UserError, match='label_studio.json.*restore it'):
    project.find_or_create(Server(_project()), path.parent)


@pytest.mark.parametrize(
  'content', [b'', b'[]', b'{}', b'\xff', b'[' * 100_000, b'{"run": NaN}']
)
def test_a_damaged_note_is_refused(known, content):
  path, _ = _written(known)
  path.write_bytes(content)
  with pytest.raises(UserError, match='label_studio.json.*restore it'):
    project.find_or_create(Server(_project()), path.parent)


@pytest.mark.parametrize(
  'reply',
  [
    None,
    [],
    {'results': None},
    {'results': [7]},
    {'results': [{'id': True, 'created_at': CREATED}]},
    {'results': [{'id': HUGE, 'created_at': CREATED}]},
    {'results': [{'id': 0, 'created_at': CREATED}]},
    {'results': [{'id': 4, 'created_at': 'x' * 1000}]},
    {'results': [{'id': 4}]},
  ],
)
def test_projects_that_are_none(tmp_path, reply):
  with pytest.raises(BadReply):
    project.find_or_create(Server(reply), tmp_path / 'oracle')


@pytest.mark.parametrize(
  'config', [None, 7, [], '', '<View', '\ud800', '<View>' * 10_000, '\x1b[2J']
)
def test_a_labelling_configuration_that_is_none(known, config):
  with pytest.raises(UserError, match='no longer offers the class'):
    project.find_or_create(
      Server(_project(label_config=config)), known / 'oracle'
    )


def _task(**changes):
  return {
    'id': 3,
    'meta': {'key': 'run/001/0000007'},
    'total_annotations': 1,
    'cancelled_annotations': 0,
    'total_predictions': None,
  } | changes


def _listing(*entries, total=None):
  reply = {'tasks': list(entries), 'total': total or len(entries)}
  return board.listing(Server(reply), Project('run', 4))


def test_tasks_of_the_run_are_listed():
  listed = _listing(_task(), _task(meta=None), _task(meta={'key': 'other/1'}))
  assert listed == {'run/001/0000007': [board.Listed(3, 1, 0, 0, False)]}


@pytest.mark.parametrize(
  'change',
  [
    {'id': None},
    {'id': True},
    {'id': '3'},
    {'id': 3.5},
    {'id': HUGE},
    {'id': -3},
    {'total_annotations': '1'},
    {'total_annotations': -1},
    {'total_predictions': HUGE},
    {'cancelled_annotations': [1]},
    {'cancelled_annotations': float('nan')},
  ],
)
def test_tasks_that_are_none(change):
  with pytest.raises(BadReply):
    _listing(_task(**change))


@pytest.mark.parametrize('total', [HUGE, -1, '1', 1.5, True], ids=range(5))
def test_a_number_of_tasks_that_is_none(total):
  with pytest.raises(BadReply, match='without their number'):
    _listing(_task(), total=total)
