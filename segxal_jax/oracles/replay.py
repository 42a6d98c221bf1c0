"""Answers of an earlier run, so that a person's work is repeatable."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common_lib.class_table import CITYSCAPES, ClassTable
from common_lib.console import say
from common_lib.errors import UserError
from segxal_jax.pool import entries
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.pool.entries import Annotation
from segxal_jax.pool.journal import Journal
from segxal_jax.pool.ledger import SEED_CYCLE
from segxal_jax.queries.types import Answer, Question


class Replay:
  """Gives each question the answer that a run's ledger holds.

  It needs neither people nor a server. The run that it answers must have the
  same questions: the same config but for the oracle, the same data and the
  same kind of machine.
  """

  name = 'replay'
  title = 'recorded answers'
  needs_truth = False
  where = ''

  def __init__(self, folder: Path, num_classes: int = CITYSCAPES.num_classes):
    """Reads a ledger.

    Args:
      folder: of the recorded ledger, `pool` in the run's folder.
      num_classes: of the answers.

    Raises:
      UserError: there is no ledger, or it is damaged.
    """
    self._folder, self._num_classes = folder, num_classes
    self._path = folder / 'ledger.jsonl'
    self._fix = f'restore {folder} from a backup'
    self._annotations = {
      (annotation.cycle, annotation.id): annotation
      for annotation in self._recorded()
    }

  @classmethod
  def create(
    cls,
    options: ConfigDict,
    seed: int,
    folder: Path | None,
    classes: ClassTable = CITYSCAPES,
  ) -> 'Replay':
    """See `Oracle`.

    Raises:
      UserError: `config.oracle.recorded` names no run with answers.
    """
    del seed, folder
    if not options.recorded:
      raise UserError(
        'config.oracle.recorded is empty: the oracle replay needs the '
        '--workdir of the run whose answers it repeats.'
      )
    return cls(Path(options.recorded) / 'pool', classes.num_classes)

  def _recorded(self) -> list[Annotation]:
    """The answers to questions; those of the seed set answer none."""
    try:
      self._path.stat()
    except OSError as error:
      raise UserError(
        f'{self._path} cannot be read ({error.strerror}): set '
        'config.oracle.recorded to the --workdir of a finished run.'
      ) from None
    journal = Journal(self._path, self._fix, read_only=True)
    pool, found = None, []
    for number, entry in enumerate(journal.read(), 1):
      try:
        if pool is None:
          pool = entries.pool(entry)
        elif entry.get('kind') == 'annotation':
          found.append(entries.annotation(entry, pool))
        continue
      except entries.BadValue as error:
        problem = error
      raise journal.damaged(number, entry, problem)
    if journal.note:
      say(journal.note)
    return [entry for entry in found if entry.cycle != SEED_CYCLE]

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`.

    Raises:
      UserError: nothing is recorded for this question, or its file is not
        the recorded one.
    """
    del truth
    annotation = self._annotations.get((question.cycle, question.id))
    if annotation is None:
      raise UserError(
        f'{self._path} has no answer about {question.id} in cycle '
        f'{question.cycle}: config.oracle.recorded must name a run of the '
        'same config and data.'
      )
    file = self._folder / annotation.file
    label, asked = read_annotation(
      file,
      annotation.sha256,
      self._fix,
      question.id,
      self._num_classes,
    )
    if label.shape != question.prediction.shape:
      raise UserError(
        f'{file} is not the recorded answer to {question.id}: restore it from '
        'a backup.'
      )
    return Answer(label, asked, annotation.cost)
