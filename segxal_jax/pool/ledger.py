"""The pool's ledger: who labelled what, when, and what it cost.

An append-only file of JSON lines with one picture beside it for each
annotation. Nothing is ever rewritten: an image that is annotated again gets
another entry, a rejected annotation stays and stays paid for. An entry's
picture is written before its line, and a line torn by a kill is cut off at
the next start, so whatever the ledger names is whole. Lines and pictures are
compared with their checksums when they are read (see `journal`). Of several
processes one writes; the others read what it has written.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from common_lib.class_table import CITYSCAPES
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.files import write_bytes
from segxal_jax.pool import annotation_files, entries
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.pool.entries import Annotation, Cost, Pool
from segxal_jax.pool.journal import Journal

SEED_CYCLE = 0


class Ledger:
  """The ledger in one folder, opened for reading and appending."""

  def __init__(
    self,
    folder: Path,
    pool_ids: Sequence[str],
    read_only: bool = False,
    num_classes: int = CITYSCAPES.num_classes,
  ):
    """Opens or starts the ledger of a pool.

    Args:
      folder: created if missing.
      pool_ids: names of all images of the pool, in order.
      read_only: another process writes it; see `refresh`.
      num_classes: of the annotations.

    Raises:
      UserError: the ledger belongs to another pool, or is damaged, or an
        annotation that it names is.
    """
    self._folder, self._read_only = folder, read_only
    self.num_classes = num_classes
    self._fix = f'restore {folder} from a backup or choose another --workdir'
    self._path = folder / 'ledger.jsonl'
    self._journal = Journal(self._path, self._fix, read_only)
    self._annotations: dict[tuple[int, int], Annotation] = {}
    self._selections: dict[int, dict[str, Any]] = {}
    self._pool = Pool.of(pool_ids)
    if not read_only:
      (folder / 'annotations').mkdir(parents=True, exist_ok=True)
    begun = self.refresh()
    for annotation in self._annotations.values():
      annotation_files.content(
        self.path(annotation), annotation.sha256, self._fix, annotation.id
      )
    if not read_only and not begun:
      self._begin()
    elif not read_only:
      if self._journal.note:
        say(self._journal.note)
      self._journal.write_head()

  def refresh(self) -> int:
    """Takes in what is written by now; the number of lines.

    Raises:
      UserError: the ledger belongs to another pool, or is damaged.
    """
    lines = self._journal.read()
    self._annotations, self._selections = {}, {}
    for number, entry in enumerate(lines, 1):
      try:
        if number == 1:
          self._check_pool(entries.pool(entry))
        else:
          self._take(entry)
        continue
      except entries.BadValue as error:
        problem = error
      raise self._journal.damaged(number, entry, problem)
    return len(lines)

  def require(self, cycle: int, answered: Collection[int] = ()) -> None:
    """Makes sure that the ledger is as far as the rest of the run.

    Args:
      cycle: which the run has reached.
      answered: indices of the images that this cycle has answers about.

    Raises:
      UserError: it lacks what was written before.
    """
    missing = [c for c in range(cycle) if c not in self._selections]
    unanswered = [i for i in answered if (cycle, i) not in self._annotations]
    if missing or unanswered:
      what = 'the annotations of the seed set'
      if not missing:
        what = f'the annotation of {self._pool.ids[unanswered[0]]}'
      elif missing[0] != SEED_CYCLE:
        what = f'the selection of cycle {missing[0]}'
      raise UserError(
        f'{self._path} lacks {what}, but the run has reached cycle {cycle}: '
        f'{self._fix}.'
      )

  def annotation(self, cycle: int, index: int) -> Annotation | None:
    """What was answered in a cycle about an image."""
    return self._annotations.get((cycle, index))

  def annotations(self) -> list[Annotation]:
    """Every answer, in the order in which they came."""
    return list(self._annotations.values())

  def annotate(
    self,
    cycle: int,
    index: int,
    id: str,
    oracle: str,
    label: UInt8[np.ndarray, 'h w'],
    asked: Bool[np.ndarray, 'h w'],
    cost: Cost,
    audit: Mapping[str, int],
  ) -> Annotation:
    """Adds an answer; the one that is already there for this cycle wins.

    Raises:
      ValueError: what could not be read again.
    """
    known = self.annotation(cycle, index)
    if known is not None:
      return known
    content = annotation_files.encode(label, asked)
    name = entries.annotation_file(cycle, index)
    digest = annotation_files.digest(content)
    annotation = Annotation(
      cycle, index, id, oracle, name, digest, cost, dict(audit)
    )
    entry = {'kind': 'annotation', **dataclasses.asdict(annotation)}
    entry['cost'] = cost.entry()
    entries.annotation(entry, self._pool)
    write_bytes(self._folder / name, content)
    self._append(entry)
    self._annotations[cycle, index] = annotation
    return annotation

  def select(
    self,
    cycle: int,
    accepted: Sequence[int],
    rejected: Sequence[int],
    dice: Mapping[int, float | None],
  ) -> None:
    """Records which of a cycle's answers join the labelled pool, once.

    Raises:
      ValueError: what could not be read again.
    """
    if cycle in self._selections:
      return
    entry = {
      'kind': 'selection',
      'cycle': cycle,
      'accepted': list(map(int, accepted)),
      'rejected': list(map(int, rejected)),
      'dice': {str(index): value for index, value in dice.items()},
    }
    kept = entries.selection(entry, self._pool, self._answered(cycle))
    self._append(entry)
    self._selections[cycle] = kept

  def selection(self, cycle: int) -> Mapping[str, Any] | None:
    """The recorded selection of a cycle."""
    return self._selections.get(cycle)

  def labelled(self, before_cycle: int) -> dict[int, Annotation]:
    """The labelled pool D^L before a cycle: each image's last accepted label.

    By index in the pool, in ascending order.
    """
    pool = {}
    for cycle in sorted(c for c in self._selections if c < before_cycle):
      for index in self._selections[cycle]['accepted']:
        pool[index] = self._annotations[cycle, index]
    return dict(sorted(pool.items()))

  def spent(self, before_cycle: int) -> Cost:
    """What was paid before a cycle, for rejected answers too."""
    costs = (
      annotation.cost
      for (cycle, _), annotation in self._annotations.items()
      if cycle < before_cycle
    )
    return sum(costs, Cost())

  def read(
    self, annotation: Annotation
  ) -> tuple[UInt8[np.ndarray, 'h w'], Bool[np.ndarray, 'h w']]:
    """Label map and asked pixels of an annotation.

    Raises:
      UserError: its file is not the one that was written.
    """
    return read_annotation(
      self.path(annotation),
      annotation.sha256,
      self._fix,
      annotation.id,
      self.num_classes,
    )

  def path(self, annotation: Annotation) -> Path:
    """The file of an annotation."""
    return self._folder / annotation.file

  def _begin(self) -> None:
    """Writes the first line, unless there have been others."""
    # The first line is older than any annotation.
    if any((self._folder / 'annotations').glob('*.png')):
      raise UserError(
        f'{self._path} is empty or gone, but annotations lie beside it: '
        f'{self._fix}.'
      )
    self._append(self._pool.entry())

  def _check_pool(self, stored: Pool) -> None:
    if stored.sha256 != self._pool.sha256:
      raise UserError(
        f'{self._path} belongs to a pool of {stored.images} other images: '
        'choose another --workdir or the same data.'
      )
    if stored.images != self._pool.images:
      raise entries.BadValue('it has another number of images')

  def _take(self, entry: dict[str, Any]) -> None:
    """Takes in a line; raises BadValue where it makes no sense."""
    if entry.get('kind') == 'annotation':
      annotation = entries.annotation(entry, self._pool)
      key = annotation.cycle, annotation.index
      if key in self._annotations:
        raise entries.BadValue('its image is annotated twice in a cycle')
      self._annotations[key] = annotation
    elif entry.get('kind') == 'selection':
      cycle = entries.cycle_of(entry)
      if cycle in self._selections:
        raise entries.BadValue(f'cycle {cycle} is selected from twice')
      self._selections[cycle] = entries.selection(
        entry, self._pool, self._answered(cycle)
      )
    else:
      raise entries.BadValue('it is neither an annotation nor a selection')

  def _answered(self, cycle: int) -> set[int]:
    """Places of the images that a cycle has annotations of."""
    return {index for (c, index) in self._annotations if c == cycle}

  def _append(self, entry: dict[str, Any]) -> None:
    self._journal.append(entry)
