"""Exported files: stored zips of parts and a card that has their SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.backends import card as cards
from fsnet_jax.monitor.backends.card import FIX, Card

CARD = 'card.json'
_MOST_BYTES = 1 << 33
_MOST_MEMBERS = 64
# What a damaged or a hostile zip makes the reader raise.
_DAMAGE = (
  zipfile.BadZipFile,
  EOFError,
  NotImplementedError,
  OSError,
  OverflowError,
  RuntimeError,
  ValueError,
)


def written(
  card: Card, parts: Mapping[str, bytes], before: bytes = b''
) -> bytes:
  """The bytes of a file.

  Args:
    card: whose `parts` are those.
    parts: by name.
    before: what the file begins with; whoever reads that alone takes no notice
      of the rest.
  """
  file = io.BytesIO(before)
  with zipfile.ZipFile(file, 'a', zipfile.ZIP_STORED) as archive:
    for name, content in {CARD: cards.to_json(card), **parts}.items():
      # The same bytes on every day.
      archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
  return file.getvalue()


def read(
  path: str | os.PathLike[str], before: str = ''
) -> tuple[Card, dict[str, bytes]]:
  """The card and the parts of a file.

  Nothing is unpacked, and nothing is read that the file says is larger than
  the file.

  Args:
    path: of the file.
    before: name of the part that the file begins with; '' for none.

  Raises:
    UserError: it is damaged, cut short, or no such file.
  """
  path = pathlib.Path(path)
  problem = ''
  try:
    size = path.stat().st_size
    if size > _MOST_BYTES:
      raise ValueError('it is too large')
    with path.open('rb') as file, zipfile.ZipFile(file) as archive:
      members = _members(archive, size)
      if CARD not in members:
        raise ValueError('it has no card')
      card = cards.parsed(archive.read(members[CARD]), path)
      if card.parts.keys() - {before} != members.keys() - {CARD}:
        raise ValueError('its card names other parts than it has')
      found = {}
      for name, part in card.parts.items():
        if name != before and members[name].file_size != part.size:
          raise ValueError('a part is not as long as its card says')
        if name != before:
          found[name] = archive.read(members[name])
      if before:
        found[before] = _start(file, card, before, size)
    for name, part in card.parts.items():
      if hashlib.sha256(found[name]).hexdigest() != part.sha256:
        raise ValueError('its bytes are not those that were written')
    return card, found
  except _DAMAGE as error:
    problem = quoted(error, 160)
  raise UserError(f'{path} is no exported monitor ({problem}): {FIX}.')


def _start(file: BinaryIO, card: Card, name: str, size: int) -> bytes:
  """The part before the zip."""
  if name not in card.parts or card.parts[name].size > size:
    raise ValueError('its card names other parts than it has')
  file.seek(0)
  return file.read(card.parts[name].size)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
  """The members of a zip by name.

  Raises:
    ValueError: they are more or larger than those of such a file can be.
  """
  every = archive.infolist()
  found = {one.filename: one for one in every}
  if len(every) > _MOST_MEMBERS or len(found) < len(every):
    raise ValueError('it has too many parts')
  if any(one.compress_type != zipfile.ZIP_STORED for one in every):
    raise ValueError('its parts are compressed')
  if any(one.file_size != one.compress_size for one in every):
    raise ValueError('its parts have two sizes')
  if sum(one.file_size for one in every) > size:
    raise ValueError('its parts are larger than the file')
  if CARD in found and found[CARD].file_size > cards.MOST_BYTES:
    raise ValueError('its card is too large')
  return found
