"""The pool's ledger: who labelled what, when, and what it cost.

An append-only file of JSON lines with one picture beside it for each
annotation. Nothing is ever rewritten: an image that is annotated again gets
another entry, a rejected annotation stays and stays paid for. An entry's
picture is written before its line, and a line torn by a kill is cut off at
the next start, so whatever the ledger names is whole. Of several processes
one writes; the others read what it has written.
"""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from common_lib.errors import UserError
from common_lib.files import write_bytes
from input_pipeline.datasets.base import Source

SEED_CYCLE = 0


@dataclasses.dataclass(frozen=True)
class Cost:
  """What an annotation costs a person.

  Attributes:
    images: images that somebody had to open.
    pixels: pixels that got a label from the oracle; void ones are free.
    clicks: corners of the outlines drawn (see `oracles.costs`).
  """

  images: int = 0
  pixels: int = 0
  clicks: int = 0

  def __add__(self, other: 'Cost') -> 'Cost':
    return Cost(
      self.images + other.images,
      self.pixels + other.pixels,
      self.clicks + other.clicks,
    )


@dataclasses.dataclass(frozen=True)
class Annotation:
  """One answer of an oracle.

  Attributes:
    cycle: in which it was asked; 0 = the seed set.
    index: place of the image in the pool.
    id: name of the image.
    oracle: who answered.
    file: of label and asked pixels, relative to the ledger's folder.
    sha256: of that file.
    cost: see `Cost`.
    audit: what is known only because the data set has a ground truth: how
      many labelled pixels there are and how many of them are wrong. For
      reports alone.
  """

  cycle: int
  index: int
  id: str
  oracle: str
  file: str
  sha256: str
  cost: Cost
  audit: Mapping[str, int]


class Ledger:
  """The ledger in one folder, opened for reading and appending."""

  def __init__(
    self, folder: Path, pool_ids: Sequence[str], read_only: bool = False
  ):
    """Opens or starts the ledger of a pool.

    Args:
      folder: created if missing.
      pool_ids: names of all images of the pool, in order.
      read_only: another process writes it; see `refresh`.

    Raises:
      UserError: the ledger belongs to another pool, or is damaged.
    """
    self._folder, self._read_only = folder, read_only
    self._path = folder / 'ledger.jsonl'
    self._annotations: dict[tuple[int, int], Annotation] = {}
    self._selections: dict[int, dict[str, Any]] = {}
    digest = hashlib.sha256('\n'.join(pool_ids).encode()).hexdigest()
    self._pool = {'kind': 'pool', 'images': len(pool_ids), 'sha256': digest}
    if not read_only:
      (folder / 'annotations').mkdir(parents=True, exist_ok=True)
    if not self.refresh() and not read_only:
      self._append(self._pool)

  def refresh(self) -> int:
    """Takes in what is written by now; the number of lines.

    Raises:
      UserError: the ledger belongs to another pool, or is damaged.
    """
    entries = self._read()
    if entries and entries[0].get('sha256') != self._pool['sha256']:
      raise UserError(
        f'{self._path} belongs to a pool of {entries[0].get("images")} other '
        'images: choose another --workdir or the same data.'
      )
    for entry in entries[1:]:
      self._take(entry)
    return len(entries)

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
    """Adds an answer; the one that is already there for this cycle wins."""
    known = self.annotation(cycle, index)
    if known is not None:
      return known
    content = _encode(label, asked)
    name = f'annotations/cycle{cycle:03d}_{index:07d}.png'
    write_bytes(self._folder / name, content)
    digest = hashlib.sha256(content).hexdigest()
    annotation = Annotation(
      cycle, index, id, oracle, name, digest, cost, dict(audit)
    )
    self._append({'kind': 'annotation', **dataclasses.asdict(annotation)})
    self._annotations[cycle, index] = annotation
    return annotation

  def select(
    self,
    cycle: int,
    accepted: Sequence[int],
    rejected: Sequence[int],
    dice: Mapping[int, float | None],
  ) -> None:
    """Records which of a cycle's answers join the labelled pool, once."""
    if cycle in self._selections:
      return
    entry = {
      'cycle': cycle,
      'accepted': [int(i) for i in accepted],
      'rejected': [int(i) for i in rejected],
      'dice': {str(index): value for index, value in dice.items()},
    }
    self._append({'kind': 'selection', **entry})
    self._selections[cycle] = entry

  def selection(self, cycle: int) -> Mapping[str, Any] | None:
    """The recorded selection of a cycle."""
    return self._selections.get(cycle)

  def labelled(self, before_cycle: int) -> dict[int, Annotation]:
    """The labelled pool D^L before a cycle: each image's last accepted label.

    By place in the pool, in ascending order.
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
    """Label map and asked pixels of an annotation."""
    return read_annotation(self._folder / annotation.file)

  def path(self, annotation: Annotation) -> Path:
    """The file of an annotation."""
    return self._folder / annotation.file

  def _read(self) -> list[dict[str, Any]]:
    """All whole lines; the writer cuts off what a kill left of the last."""
    if not self._path.exists():
      return []
    content = self._path.read_bytes()
    whole = content[: content.rfind(b'\n') + 1]
    if len(whole) < len(content) and not self._read_only:
      os.truncate(self._path, len(whole))
    try:
      return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
      raise UserError(
        f'{self._path} is damaged ({error}): restore it from a backup or '
        'choose another --workdir.'
      ) from None

  def _take(self, entry: dict[str, Any]) -> None:
    kind = entry.pop('kind')
    if kind == 'annotation':
      entry['cost'] = Cost(**entry['cost'])
      annotation = Annotation(**entry)
      self._annotations[annotation.cycle, annotation.index] = annotation
    elif kind == 'selection':
      self._selections[entry['cycle']] = entry

  def _append(self, entry: dict[str, Any]) -> None:
    if self._read_only:
      raise RuntimeError(f'{self._path} is written by another process')
    with self._path.open('a') as file:
      file.write(json.dumps(entry) + '\n')
      file.flush()
      os.fsync(file.fileno())


class Subset:
  """Some scenes of a source, in a given order, as a `Source`."""

  def __init__(self, source: Source, places: Sequence[int]):
    """Takes places in `source`."""
    self._source = source
    self._places = tuple(int(place) for place in places)

  def __len__(self) -> int:
    return len(self._places)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[self._places[index]]


class AnnotatedSource:
  """The labelled pool as a `Source`: the pool's images, the oracle's labels.

  It pickles as the pool's source and a list of files, so that loader
  processes read the annotations themselves.
  """

  def __init__(self, source: Source, files: Sequence[tuple[int, str]]):
    """Takes pairs of a place in `source` and an annotation's file."""
    self._source = source
    self._files = tuple(files)

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    place, file = self._files[index]
    scene = dict(self._source[place])
    scene['label'] = read_annotation(Path(file))[0]
    return scene


def read_annotation(
  path: Path,
) -> tuple[UInt8[np.ndarray, 'h w'], Bool[np.ndarray, 'h w']]:
  """Label map and asked pixels of an annotation's file.

  Raises:
    UserError: the file is missing or damaged.
  """
  try:
    with Image.open(path, formats=('PNG',)) as picture:
      pixels = np.asarray(picture)
  except (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
  ) as error:
    raise UserError(
      f'{path}: the annotation cannot be read ({error}); restore it from a '
      'backup or choose another --workdir.'
    ) from error
  return pixels[..., 0].copy(), pixels[..., 1] > 0


def _encode(label: np.ndarray, asked: np.ndarray) -> bytes:
  """A lossless picture: the label as grey, what was asked as opacity."""
  pixels = np.stack([label, np.where(asked, 255, 0).astype(np.uint8)], -1)
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, format='png')
  return buffer.getvalue()
