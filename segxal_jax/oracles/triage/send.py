"""Sends a prediction's worst images to Label Studio, and fetches the labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from common_lib import checksums
from common_lib.class_table import ClassTable
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.json_values import BadValue, entries, fields, text
from common_lib.paths import expanded
from fsnet_jax.monitor.predict import inputs
from fsnet_jax.monitor.predict.inputs import Files, Item
from fsnet_jax.monitor.predict.video import Video
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from segxal_jax.oracles.label_studio import LabelStudio
from segxal_jax.oracles.triage import questions
from segxal_jax.pool import labelled_folder
from segxal_jax.queries.regions import RegionOptions
from segxal_jax.queries.types import Question

FOLDER, ANNOTATED = 'label_studio', 'annotated'
_SENT = 'images.json'
_LONGEST_NAME = 4096
# Questions that are in memory together.
_TOGETHER = 8
# A person answers for the whole map that is handed in.
_OPTIONS = {'wait': False, 'rest': 'prediction', 'min_confidence': 0.9}


def checked(output: Path, classes: ClassTable) -> LabelStudio:
  """The server, before anything is predicted for it.

  Args:
    output: folder of the prediction.
    classes: of the labels.

  Raises:
    UserError: the environment names no server or no valid token, or there are
      several processes.
  """
  if jax.process_count() > 1:
    raise UserError(
      'config.predict.send_to_label_studio is for one process: predict with '
      'all of them without it, then give the same command with it to one, '
      'which predicts on nothing anew.'
    )
  options = ConfigDict(_OPTIONS)
  return LabelStudio.create(options, 0, output / FOLDER, classes)


def send(
  server: LabelStudio,
  source: str,
  output: Path,
  count: int,
  classes: ClassTable,
) -> Path | None:
  """Sends the worst images, each once, and fetches what has been labelled.

  Images that an earlier command sent stay sent, whatever is worst now. What
  has been labelled lies in `label_studio/annotated`, a `folder` data set,
  which each command writes anew.

  Args:
    server: of `checked`.
    source: --input of the prediction.
    output: its folder.
    count: of images that are to be labelled.
    classes: of the labels.

  Returns:
    The data set; None where nothing has been labelled yet.

  Raises:
    UserError: the server refuses, or a file is damaged.
    Interrupted: it does not answer, or Ctrl-C.
  """
  path = expanded(source)
  found = inputs.files_of(path, output, source)
  images = Video(path) if found is None else found
  names = _chosen(output, count)
  with StopRequest('while asking Label Studio') as stop:

    def check() -> None:
      if stop.requested:
        raise Interrupted(
          f'Interrupted by {stop.signal_name} while asking Label Studio: run '
          'the same command again to continue.'
        )

    labelled = _Labelled()
    for part in _parts(images, output, names):
      server.publish([question for _, question in part])
      check()
      for item, question in part:
        answer = server.answer(question, None)
        if answer is not None and answer.asked.any():
          labelled.add(item, question.image, answer.label)
    say(
      f'{len(names)} images are at {server.where}; {len(labelled)} of them are '
      'labelled'
    )
    if not len(labelled):
      say('run the same command again to fetch what has been labelled')
      return None
    folder = output / FOLDER / ANNOTATED
    labelled_folder.write(labelled, folder, classes, check)
    say(f'a data set of them, for --config.data.root: {folder}')
    return folder


def _chosen(output: Path, count: int) -> list[str]:
  """Names of the images that were or are to be sent, and keeps them."""
  path = output / FOLDER / _SENT
  names = _sent(path)
  known = set(names)
  names += [
    name for name in questions.worst(output, count) if name not in known
  ]
  path.parent.mkdir(exist_ok=True)
  checksums.write_json(path, {'images': names})
  return names


def _sent(path: Path) -> list[str]:
  """Names of the images that were sent; their numbers are in the tasks."""
  if not path.exists():
    return []
  what = 'the list of images at Label Studio'
  fix = 'restore it from a backup, or choose another --output'
  known = checksums.read_json(path, what=what, fix=fix)
  try:
    fields(known, 'it', ('images',))
    names = entries(known['images'], 'images')
    return [text(one, 'an image', _LONGEST_NAME) for one in names]
  except BadValue as error:
    problem = error
  raise UserError(f'{path}, {what}, is damaged ({problem}): {fix}.')


def _parts(
  images: Files | Video, output: Path, names: Sequence[str]
) -> Iterator[list[tuple[Item, Question]]]:
  """All questions, a few at a time; the worst image first."""
  for start in range(0, len(names), _TOGETHER):
    end = start + _TOGETHER
    wanted = [
      name if start <= index < end else '' for index, name in enumerate(names)
    ]
    yield list(questions.made(images, output, wanted, RegionOptions()))


class _Labelled:
  """What people have labelled, as a `Source`; small in memory."""

  def __init__(self):
    self._scenes: list[tuple[Item, bytes, bytes]] = []

  def add(self, item: Item, image: np.ndarray, label: np.ndarray) -> None:
    """Keeps an image and its labels."""
    self._scenes.append((item, _packed(image), _packed(label)))

  def __len__(self) -> int:
    return len(self._scenes)

  def __getitem__(self, index: int) -> dict[str, Any]:
    item, image, label = self._scenes[index]
    return {'id': item.name, 'image': _opened(image), 'label': _opened(label)}


def _packed(pixels: np.ndarray) -> bytes:
  content = io.BytesIO()
  Image.fromarray(pixels).save(content, 'png', compress_level=1)
  return content.getvalue()


def _opened(content: bytes) -> np.ndarray:
  with Image.open(io.BytesIO(content), formats=('PNG',)) as picture:
    return np.asarray(picture)
