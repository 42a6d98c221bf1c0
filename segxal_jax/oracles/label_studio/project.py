"""The project of a run: found again, made once, never another's."""

import dataclasses
import re
import secrets
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from common_lib import checksums
from common_lib.class_table import CITYSCAPES, ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.json_values import BadValue, fields, text, whole_number
from segxal_jax.oracles.label_studio import interface
from segxal_jax.oracles.label_studio.answers import LARGEST_ID
from segxal_jax.oracles.label_studio.client import BadReply, Client, Refused

_FILE = 'label_studio.json'
_RUN = re.compile(r'[0-9a-f]{12}')
_LONGEST_TIME = 100
# The server's limit.
_TITLE_LENGTH = 50


@dataclasses.dataclass(frozen=True)
class Project:
  """A project and the run that it belongs to.

  Attributes:
    run: drawn once for a run's folder; part of every task's key.
    number: of the project.
  """

  run: str
  number: int


def find_or_create(
  client: Client, folder: Path, table: ClassTable = CITYSCAPES
) -> Project:
  """The project of the run in `folder`'s parent.

  The run's name is drawn and written down before the project is made and is
  part of its title, so that one made by a run that was killed right then is
  found. Later the number and the time of its making tell whether it is still
  the same project.

  Args:
    client: of the server.
    folder: where the run's name is kept; created if missing.
    table: of the classes.

  Raises:
    UserError: the project is gone, is another one, or was changed so that
      answers would be lost.
  """
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / _FILE
  known = _read(path)
  if 'project' not in known:
    found = _named(client, _title(path, known['run']), table)
    known |= {'project': found['id'], 'created_at': found['created_at']}
    checksums.write_json(path, known)
  else:
    found = _numbered(client, known, path)
  _check_labels(client, found, table)
  return Project(known['run'], known['project'])


def _read(path: Path) -> dict[str, Any]:
  if not path.exists():
    checksums.write_json(path, {'run': secrets.token_hex(6)})
  what = "the run's name at Label Studio"
  fix = 'restore it from a backup or choose another --workdir'
  known = checksums.read_json(path, what=what, fix=fix)
  try:
    fields(known, 'it', ('run',), ('project', 'created_at'))
    if not _RUN.fullmatch(text(known['run'], 'run')):
      raise BadValue('its run is none')
    if known.keys() & {'project', 'created_at'}:
      fields(known, 'it', ('run', 'project', 'created_at'))
      whole_number(known['project'], 'project', 1, LARGEST_ID)
      text(known['created_at'], 'created_at', _LONGEST_TIME)
    return known
  except BadValue as error:
    problem = error
  raise UserError(f'{path}, {what}, is damaged ({problem}): {fix}.')


def _title(path: Path, run: str) -> str:
  name = quoted(path.absolute().parent.parent.name)
  return f'{name[: _TITLE_LENGTH - len(run) - 1]} {run}'.strip()


def _named(client: Client, title: str, table: ClassTable) -> dict[str, Any]:
  """The project of that title; made if there is none."""
  _, reply = client.call('GET', '/api/projects/', title=title, page_size=1000)
  if not isinstance(reply, dict) or not isinstance(reply.get('results'), list):
    raise BadReply('no list of projects')
  same = [_checked(p) for p in reply['results']]
  same = [project for project in same if project.get('title') == title]
  if same:
    return min(same, key=lambda project: project['id'])
  _, made = client.call(
    'POST',
    '/api/projects/',
    {
      'title': title,
      'description': 'Questions of a SegXAL run: docs/guide/'
      'human_in_the_loop.md',
      'label_config': interface.labelling_config(table),
      'expert_instruction': interface.INSTRUCTIONS,
      'show_instruction': True,
      'show_collab_predictions': True,
      # By number: the order in which they were published.
      'sampling': 'Sequential sampling',
      'maximum_annotations': 1,
    },
  )
  return _checked(made)


def _checked(project: Any) -> dict[str, Any]:
  """A project as the server describes it, if that is what it is."""
  if not isinstance(project, dict):
    raise BadReply('no project')
  try:
    whole_number(project.get('id'), 'id', 1, LARGEST_ID)
    text(project.get('created_at'), 'created_at', _LONGEST_TIME)
    return project
  except BadValue:
    problem = 'no project'
  raise BadReply(problem)


def _numbered(
  client: Client, known: dict[str, Any], path: Path
) -> dict[str, Any]:
  """The project that `path` names, if it is still that one."""
  number = known['project']
  fix = (
    'set LABEL_STUDIO_URL to the server that has it and LABEL_STUDIO_API_KEY '
    f'to a token of a user who sees it, or delete {path} to '
    'publish what is not answered yet in a new project.'
  )
  try:
    _, found = client.call('GET', f'/api/projects/{number}/')
  except Refused as error:
    if error.status != 404:
      raise
    raise UserError(
      f'Project {number} of this run is not at {client.url}: {fix}'
    ) from None
  if _checked(found)['created_at'] != known['created_at']:
    raise UserError(
      f"Project {number} at {client.url} is not this run's: {fix}"
    )
  return found


def _check_labels(
  client: Client, project: dict[str, Any], table: ClassTable
) -> None:
  """Refuses a labelling configuration that lacks what answers need."""
  declared: dict[str, set[str]] = {}
  try:
    root = ElementTree.fromstring(project.get('label_config') or '')
  # TypeError, ValueError: it is no text, or none that can be encoded.
  except (ElementTree.ParseError, TypeError, ValueError):
    root = ElementTree.Element('View')
  for control in root.iter('BrushLabels'):
    values = {label.get('value', '') for label in control.iter('Label')}
    declared[control.get('name', '')] = values
  missing = set(table.names) - declared.get(interface.BRUSH, set())
  if missing:
    raise UserError(
      f'Project {project["id"]} at {client.url} no longer offers the class '
      f'{min(missing)!r} under {interface.BRUSH!r}: restore its labelling '
      'configuration (Settings, Labeling Interface).'
    )
