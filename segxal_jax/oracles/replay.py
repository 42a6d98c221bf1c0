"""Answers of an earlier run, so that a person's work is repeatable."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.errors import UserError
from segxal_jax.oracles.base import Answer, Question
from segxal_jax.pool.ledger import SEED_CYCLE, Cost, read_annotation


class Replay:
  """Gives each question the answer that a run's ledger holds.

  It asks nobody and needs no server. The run that it answers must ask the
  same questions: the same config but for the oracle, the same data and the
  same kind of machine.
  """

  name = 'replay'
  title = 'recorded answers'
  needs_truth = False
  where = ''

  def __init__(self, folder: Path):
    """Reads a ledger.

    Args:
      folder: of the recorded ledger, `pool` in the run's folder.

    Raises:
      UserError: there is no ledger, or it is damaged.
    """
    self._folder = folder
    self._path = folder / 'ledger.jsonl'
    self._entries = {
      (entry['cycle'], entry['id']): entry for entry in self._recorded()
    }

  @classmethod
  def create(cls, options: Any, seed: int, folder: Path | None) -> 'Replay':
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
    return cls(Path(options.recorded) / 'pool')

  def _recorded(self) -> list[dict[str, Any]]:
    """The answers to questions; those of the seed set were never asked."""
    try:
      content = self._path.read_bytes()
      whole = content[: content.rfind(b'\n') + 1]
      entries = [json.loads(line) for line in whole.splitlines()]
      return [
        entry
        for entry in entries
        if entry['kind'] == 'annotation' and entry['cycle'] != SEED_CYCLE
      ]
    except OSError as error:
      raise UserError(
        f'{self._path} cannot be read ({error.strerror}): set '
        'config.oracle.recorded to the --workdir of a finished run.'
      ) from None
    except (ValueError, KeyError, TypeError):
      raise UserError(
        f'{self._path} is damaged: restore it from a backup.'
      ) from None

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`.

    Raises:
      UserError: nothing is recorded for this question, or its file is not
        the recorded one.
    """
    del truth
    entry = self._entries.get((question.cycle, question.id))
    if entry is None:
      raise UserError(
        f'{self._path} has no answer about {question.id} in cycle '
        f'{question.cycle}: config.oracle.recorded must name a run of the '
        'same config and data.'
      )
    file = self._folder / entry['file']
    if not file.resolve().is_relative_to(self._folder.resolve()):
      raise UserError(f'{self._path} names {file}, outside its folder.')
    label, asked = read_annotation(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != entry['sha256'] or label.shape != question.prediction.shape:
      raise UserError(
        f'{file} is not the recorded answer to {question.id}: restore it from '
        'a backup.'
      )
    return Answer(label, asked, Cost(**entry['cost']))
