"""A person at Label Studio (Manual-M and Manual-D of the paper)."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib import files, interrupts
from common_lib.class_table import CITYSCAPES, VOID, ClassTable
from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.oracles import costs
from segxal_jax.oracles.base import fill
from segxal_jax.oracles.label_studio import answers, board, project, tasks
from segxal_jax.oracles.label_studio.board import Listed
from segxal_jax.oracles.label_studio.client import (
  BadReply,
  Client,
  Refused,
  Unreachable,
)
from segxal_jax.oracles.label_studio.project import Project
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.types import Answer, Question

_LONGEST_MESSAGE = 1000
# 30 years; the time is that of the annotator's browser.
_LONGEST_SECS = 1e9
# Half a minute in all: enough for a server that is being restarted.
_PAUSES_SECS = (1.0, 2.0, 4.0, 8.0, 16.0)


class LabelStudio:
  """Publishes questions as tasks and reads what people made of them."""

  name = 'label_studio'
  title = 'person (Label Studio)'
  needs_truth = False

  def __init__(
    self,
    client: Client | None,
    folder: Path | None,
    rest: str = 'prediction',
    min_confidence: float = 0.9,
    pauses_secs: Sequence[float] = _PAUSES_SECS,
    classes: ClassTable = CITYSCAPES,
  ):
    """Contacts no server yet.

    Args:
      client: of the server; None where no question will be published.
      folder: where the run's name at the server and a note on each answer
        are kept; None where no question will be published.
      rest: see `fill`.
      min_confidence: see `fill`.
      pauses_secs: before each new try at a server that does not answer.
      classes: that are told apart.
    """
    self._client, self._folder = client, folder
    self._rest, self._min_confidence = rest, min_confidence
    self._pauses_secs = tuple(pauses_secs)
    self._classes = classes
    self._project: Project | None = None
    self._tasks: dict[str, list[Listed]] = {}
    self._told: dict[str, str] = {}

  @classmethod
  def create(
    cls,
    options: ConfigDict,
    seed: int,
    folder: Path | None,
    classes: ClassTable = CITYSCAPES,
  ) -> 'LabelStudio':
    """See `Oracle`; checks the token where the server answers already.

    Raises:
      UserError: the environment names no server or no valid token, or several
        processes are to wait.
    """
    del seed
    client = None
    if folder is not None and jax.process_index() == 0:
      if options.wait and jax.process_count() > 1:
        raise UserError(
          'config.oracle.wait is for runs of one process: leave it off, and '
          'run the same command again once the annotations are made.'
        )
      client = Client.from_environment()
      _check_token(client)
    return cls(
      client,
      folder,
      options.rest,
      options.min_confidence,
      classes=classes,
    )

  @property
  def where(self) -> str:
    """Address of the project; see `Oracle`."""
    if self._client is None:
      return ''
    if self._project is None:
      return self._client.url
    return f'{self._client.url}/projects/{self._project.number}'

  # A run that asks has all three; one that is only checked has none.

  @property
  def _server(self) -> Client:
    assert self._client is not None
    return self._client

  @property
  def _home(self) -> Path:
    assert self._folder is not None
    return self._folder

  @property
  def _own_project(self) -> Project:
    assert self._project is not None
    return self._project

  def publish(self, questions: Sequence[Question]) -> None:
    """See `Oracle`; one task a question, however often it is called.

    The highest mean error mask comes first, whatever order the strategy chose
    in: people are led through the tasks in the order of their numbers.

    Raises:
      Interrupted: the server does not answer.
      UserError: it refuses, the project is not this run's, or its answers
        make no sense.
    """

    doubtful_first = sorted(questions, key=tasks.score, reverse=True)

    def sync() -> None:
      self._project = project.find_or_create(
        self._server, self._home, self._classes
      )
      self._tasks = board.publish(
        self._server, self._project, doubtful_first, self._classes
      )

    try:
      self._patiently(sync)
    except BadReply as error:
      raise UserError(
        f'Label Studio at {self._server.url} gives an answer of an unknown '
        f'form ({error}): use version 1.23, or check LABEL_STUDIO_URL.'
      ) from None

  def answer(
    self, question: Question, truth: np.ndarray | None
  ) -> Answer | None:
    """See `Oracle`; an annotation that cannot be used is as good as none.

    Raises:
      Interrupted: the server does not answer.
    """
    del truth
    name = tasks.key(self._own_project.run, question)
    listed = self._tasks.get(name, [])
    numbers = ', '.join(str(task.id) for task in listed)
    try:
      found = self._patiently(lambda: self._fetched(listed))
      annotation = answers.counting(found)
      if annotation is not None:
        return self._answered(question, annotation, numbers)
      if any(task.skips for task in listed):
        return self._skipped(question, numbers)
      return None
    except (answers.BadAnnotation, BadReply) as error:
      self._tell_once(
        name,
        f'task {numbers} ({question.id}) is refused: {error}; delete or '
        f'correct its annotation at {self.where}',
      )
      return None

  def _fetched(self, listed: Sequence[Listed]) -> list[Any]:
    """The annotations of all tasks of a question."""
    found = []
    for task in (task for task in listed if task.annotations):
      reply = board.annotations(self._server, task)
      if not isinstance(reply, list):
        raise answers.BadAnnotation('its annotations are not a list')
      found += reply
    return found

  def _answered(
    self, question: Question, annotation: dict[str, Any], numbers: str
  ) -> Answer:
    """The answer that an annotation gives, and a note about it."""
    painting = answers.paint(annotation, question.prediction, self._classes)
    seconds = _seconds(annotation.get('lead_time'))
    note = {
      'task': numbers,
      'annotation': annotation['id'],
      'annotator': _annotator(annotation.get('completed_by')),
      'lead_time_secs': seconds,
      'skipped': False,
      'regions': dict(sorted(painting.regions.items())),
      'overlapping_pixels': painting.overlapping,
      'void_pixels': int((painting.label == VOID).sum()),
      'changed_pixels': int((painting.label != question.prediction).sum()),
    }
    self._keep(question, note)
    unlabelled = painting.regions.get('unlabelled', 0)
    if unlabelled:
      self._tell_once(
        tasks.key(self._own_project.run, question),
        f'task {numbers} ({question.id}): {unlabelled} regions without a label '
        'count for nothing',
      )
    answer = merged(question, painting.label, self._rest, self._min_confidence)
    return dataclasses.replace(answer, cost=answer.cost.timed(seconds))

  def _skipped(self, question: Question, numbers: str) -> Answer:
    self._keep(question, {'task': numbers, 'skipped': True})
    return skipped(question)

  def _keep(self, question: Question, note: dict[str, Any]) -> None:
    """Writes down where an answer came from, for people."""
    about = {name: getattr(question, name) for name in ('cycle', 'index', 'id')}
    note = about | note
    folder = self._home / 'answers'
    folder.mkdir(parents=True, exist_ok=True)
    name = f'cycle{question.cycle:03d}_{question.index:07d}.json'
    files.write_bytes(folder / name, (json.dumps(note) + '\n').encode())

  def _tell_once(self, key: str, message: str) -> None:
    message = self._server.redacted(message, _LONGEST_MESSAGE)
    if self._told.get(key) != message:
      self._told[key] = message
      say(message)

  def _patiently(self, action: Callable[[], Any]) -> Any:
    """Does what may be done twice, again if the server does not answer."""
    for pause in (*self._pauses_secs, None):
      try:
        return action()
      except Unreachable as error:
        if pause is None:
          raise Interrupted(
            f'Label Studio at {self._server.url} does not answer ({error}); '
            'nothing is lost: run the same command again once it is up.'
          ) from None
        say(
          f'Label Studio does not answer ({error}): trying again in '
          f'{pause:.0f} s'
        )
        time.sleep(pause)
        interrupts.check('while Label Studio does not answer')
    return None


def skipped(question: Question) -> Answer:
  """A skipped task: an image is paid, nothing of it is trained on."""
  label = np.full_like(question.prediction, VOID)
  return Answer(label, np.zeros(label.shape, bool), Cost(images=1))


def merged(
  question: Question, painted: np.ndarray, rest: str, min_confidence: float
) -> Answer:
  """What a person answered, with `fill` outside of it.

  The person answers for what was changed and for the selected regions, which
  were at least looked at; clicks are those of the outlines of what was
  changed. With `rest='prediction'` the label is the painted map itself.

  Args:
    question: about the image.
    painted: uint8 [h w], classes or void.
    rest: see `fill`.
    min_confidence: see `fill`.
  """
  changed = painted != question.prediction
  ids = [region.id for region in question.regions]
  answered = changed | (np.isin(question.segments, ids) & question.usable)
  label = fill(question, rest, min_confidence)
  label[answered] = painted[answered]
  asked = answered & (painted != VOID)
  drawn = np.where(changed, painted, VOID).astype(np.uint8)
  cost = Cost(1, int(asked.sum()), costs.label_clicks(drawn))
  return Answer(label, asked, cost)


def _check_token(client: Client) -> None:
  """Refuses a wrong token now rather than after hours of training."""
  try:
    client.call('GET', '/api/current-user/whoami')
  except Unreachable as error:
    say(
      f'Label Studio at {client.url} does not answer yet ({error}): it is '
      'needed once there are questions'
    )
  except BadReply as error:
    raise UserError(
      f'LABEL_STUDIO_URL is {client.url}, which is not Label Studio ({error}): '
      "set it to the server's address."
    ) from None
  except Refused as error:
    if error.status in (401, 403) or error.status < 400:
      raise
    raise UserError(
      f'LABEL_STUDIO_URL is {client.url}, which is not Label Studio (status '
      f"{error.status}): set it to the server's address."
    ) from None


def _annotator(value: Any) -> int | None:
  """Number of a user, or nothing where it is none."""
  known = type(value) is int and 0 <= value <= answers.LARGEST_ID
  return value if known else None


def _seconds(value: Any) -> int | float | None:
  """Time that an annotation took, or nothing where it is none."""
  # Not by `isfinite`: a whole number of 400 digits is no float at all.
  known = type(value) in (int, float) and 0 <= value <= _LONGEST_SECS
  return value if known else None
