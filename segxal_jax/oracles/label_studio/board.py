"""The tasks of a project: what is there, and putting there what is missing."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from common_lib.class_table import CITYSCAPES, ClassTable
from segxal_jax.oracles.label_studio import tasks
from segxal_jax.oracles.label_studio.answers import LARGEST_ID
from segxal_jax.oracles.label_studio.client import BadReply, Client, Refused
from segxal_jax.oracles.label_studio.project import Project
from segxal_jax.queries.types import Question

_PAGE = 1000
# Without the pictures, which would come along otherwise.
_FIELDS = (
  'id,meta,is_labeled,cancelled_annotations,total_annotations,'
  'total_predictions,drafts'
)


@dataclasses.dataclass(frozen=True)
class Listed:
  """A task as the server lists it.

  Attributes:
    id: its number.
    annotations: submitted ones that it has.
    skips: how often it was skipped.
    predictions: that it has.
    drafts: whether an annotator has begun.
  """

  id: int
  annotations: int
  skips: int
  predictions: int
  drafts: bool

  @property
  def touched(self) -> bool:
    """Whether somebody's work would be lost with it."""
    return bool(self.annotations or self.skips or self.drafts)


def listing(client: Client, project: Project) -> dict[str, list[Listed]]:
  """The run's tasks by key, each list in the order of their numbers."""
  found: dict[str, list[Listed]] = {}
  for entry in _entries(client, project):
    meta = entry.get('meta')
    name = meta.get('key') if isinstance(meta, dict) else None
    if isinstance(name, str) and name.startswith(f'{project.run}/'):
      found.setdefault(name, []).append(_listed(entry))
  for same in found.values():
    same.sort(key=lambda task: task.id)
  return found


def _entries(client: Client, project: Project) -> Iterator[dict[str, Any]]:
  """Every task, page by page."""
  page, seen, total = 1, 0, 1
  while seen < total:
    _, reply = client.call(
      'GET',
      '/api/tasks',
      project=project.number,
      fields='task_only',
      include=_FIELDS,
      page=page,
      page_size=_PAGE,
    )
    entries = reply.get('tasks') if isinstance(reply, dict) else None
    if not isinstance(entries, list):
      raise BadReply('no list of tasks')
    yield from (entry for entry in entries if isinstance(entry, dict))
    total = _count(reply.get('total'), 'a list of tasks without their number')
    page, seen = page + 1, seen + len(entries)
    if not entries:
      return


def _listed(entry: dict[str, Any]) -> Listed:
  return Listed(
    id=_count(entry.get('id'), 'a task without a number'),
    annotations=_counted(entry, 'total_annotations'),
    skips=_counted(entry, 'cancelled_annotations'),
    predictions=_counted(entry, 'total_predictions'),
    drafts=bool(entry.get('drafts')),
  )


def _counted(entry: dict[str, Any], name: str) -> int:
  value = entry.get(name)
  return 0 if value is None else _count(value, f'a task with a bad {name}')


def _count(value: Any, problem: str) -> int:
  if type(value) is not int or not 0 <= value <= LARGEST_ID:
    raise BadReply(problem)
  return value


def publish(
  client: Client,
  project: Project,
  questions: Sequence[Question],
  table: ClassTable = CITYSCAPES,
) -> dict[str, list[Listed]]:
  """Makes sure that each question has one whole task, in their order.

  Called again after any failure it resumes where it stopped: a task is sent
  whole in one request, and what is there is not sent again. A request that
  the server finished after we had given it up leaves a task too many, which
  is removed unless somebody has begun to work on it, also where the question
  has been answered meanwhile.

  Returns:
    `listing` afterwards.
  """
  there = listing(client, project)
  changed = False
  for question in questions:
    same = there.get(tasks.key(project.run, question), [])
    if not same:
      _send(client, project, question, table)
      changed = True
    elif not any(task.predictions for task in same):
      _complete(client, same[0], question, table)
  for same in there.values():
    for task in _surplus(same):
      _remove(client, task)
      changed = True
  return listing(client, project) if changed else there


def _send(
  client: Client, project: Project, question: Question, table: ClassTable
) -> None:
  client.call(
    'POST',
    f'/api/projects/{project.number}/import',
    [tasks.task(project.run, question, table)],
  )


def _complete(
  client: Client, task: Listed, question: Question, table: ClassTable
) -> None:
  """Adds the prediction to a task that came without it."""
  body = tasks.prediction(question, table) | {'task': task.id}
  client.call('POST', '/api/predictions/', body)


def _surplus(same: Sequence[Listed]) -> list[Listed]:
  """All but one task of a question, less those with somebody's work."""
  touched = [task for task in same if task.touched]
  kept = touched or same[:1]
  return [task for task in same if task not in kept]


def _remove(client: Client, task: Listed) -> None:
  try:
    client.call('DELETE', f'/api/tasks/{task.id}/')
  except Refused as error:
    if error.status != 404:
      raise


def annotations(client: Client, task: Listed) -> Any:
  """What was submitted to a task; the server leaves skips and drafts out."""
  _, reply = client.call('GET', f'/api/tasks/{task.id}/annotations/')
  return reply
