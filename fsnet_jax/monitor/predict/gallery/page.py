"""`index.html`: all images, the worst first, in a page that needs no server."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Iterable
from typing import Any

from common_lib.class_table import ClassTable
from common_lib.files import write_text
from common_lib.foreign import quoted
from fsnet_jax.monitor.predict import pictures
from fsnet_jax.monitor.predict.rows import Entry
from fsnet_jax.report.pages import templates
from fsnet_jax.report.palette import hexadecimal

FILE = 'index.html'
# A browser opens so many without being asked for patience.
MOST_IMAGES = 10_000
_DIGITS = 4


@dataclasses.dataclass(frozen=True)
class About:
  """What the page says above its images.

  Attributes:
    source: what was predicted on, as the user named it.
    base: folder that the images' names start at; None of a video, whose
      frames are no files.
    classes: of the labels.
    threshold: of P(wrong).
    statement: what is guaranteed; '' for nothing.
    shift: what the test for a shift found; '' where none was made.
    has_shift: whether it found one.
    images: how many there are.
    problems: how many of them could not be read.
    failure_mean: mean P(wrong) over the images.
    flagged_share: likewise.
    command: that it was made by; '' where it is not known.
  """

  source: str
  base: pathlib.Path | None
  classes: ClassTable
  threshold: float
  statement: str
  shift: str
  has_shift: bool
  images: int
  problems: int
  failure_mean: float
  flagged_share: float
  command: str


def write(
  output: pathlib.Path, about: About, entries: Iterable[Entry]
) -> pathlib.Path:
  """Writes the page; returns its path.

  Args:
    output: folder of the predictions.
    about: see there.
    entries: the worst first; the first `MOST_IMAGES` are shown.
  """
  shown = []
  for entry in entries:
    if len(shown) == MOST_IMAGES:
      break
    shown.append(_card(entry, about, output))
  html = templates.template('gallery.html', pathlib.Path(__file__).parent)
  path = output / FILE
  page = html.render(
    about=about,
    command=about.command,
    left_out=about.images - len(shown),
    facts=_facts(about),
    tables=_tables(about.classes),
    data={
      'classes': [
        {'name': name, 'color': hexadecimal(color)}
        for name, color in zip(about.classes.names, about.classes.colors)
      ],
      'images': shown,
    },
    scale=[hexadecimal(_rgb(one)) for one in pictures.failure_colors()[::16]],
  )
  write_text(path, page)
  return path


def percent(share: float) -> str:
  """A share for people."""
  return f'{100 * share:.3g} %'


def _facts(about: About) -> dict[str, str]:
  facts = {
    'Input': quoted(about.source, 120),
    'Images': f'{about.images:,}',
    'Expected misclassified pixels': percent(about.failure_mean),
    'Flagged pixels': percent(about.flagged_share),
    'Flagged where': f'P(wrong) > {about.threshold:.3g}',
  }
  if about.problems:
    facts['With a problem'] = f'{about.problems:,}'
  return facts


def _card(entry: Entry, about: About, output: pathlib.Path) -> dict[str, Any]:
  """What the page knows of an image, in short words: there are thousands."""
  row, classes = entry.row, about.classes
  card: dict[str, Any] = {'i': row['image'], 'g': entry.group}
  url = _url(entry.name)
  if url != row['image']:
    card['u'] = url
  if about.base is not None:
    original = os.path.relpath(about.base / row['image'], output.absolute())
    card['o'] = _url(pathlib.PurePath(original).as_posix())
  if entry.problem:
    return card | {'p': entry.problem}
  found = {one['class'] for one in entry.segments}
  largest = row['largest_region_class']
  if largest is not None:
    card |= {'b': row['largest_region'], 'k': _index(classes, largest)}
    found.add(largest)
  if row['shift_p'] is not None:
    card['s'] = round(row['shift_p'], _DIGITS)
  return card | {
    'h': row['height'],
    'w': row['width'],
    'm': round(row['failure_mean'], _DIGITS),
    'q': round(row['failure_q90'], _DIGITS),
    'f': round(row['flagged_share'], _DIGITS),
    'e': round(row['expected_error'], _DIGITS),
    'n': len(entry.segments),
    'c': sorted(_index(classes, name) for name in found),
  }


def _index(classes: ClassTable, name: str) -> int:
  return classes.index(name) if name in classes.names else -1


def _url(path: str) -> str:
  """A path for a page, whatever bytes are in it."""
  return urllib.parse.quote(os.fsencode(path))


def _rgb(color: Any) -> tuple[int, int, int]:
  return int(color[0]), int(color[1]), int(color[2])


def _tables(classes: ClassTable) -> dict[str, list[str]]:
  """Values of SVG filters, which colour the maps of grey as they are shown.

  By filter, of red, green and blue: 256 shares of 1.
  """
  colors = {
    'labels': classes.palette,
    'failure': pictures.failure_colors(),
  }
  return {
    name: [
      ' '.join(f'{value / 255:.3g}' for value in table[:, channel])
      for channel in range(3)
    ]
    for name, table in colors.items()
  }
