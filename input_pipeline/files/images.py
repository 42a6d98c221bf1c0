"""Decodes image files that somebody else made: PNG and JPEG alone.

Pillow chooses its reader by content, whatever the file's name, and knows some
sixty formats, some of which start other programs or have no bound. Only the
readers named here can be reached.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from PIL import ExifTags, Image

from common_lib.errors import UserError
from common_lib.foreign import quoted

# Pillow's limit, at which it only warns; it refuses the double. At 3 bytes a
# pixel it is 270 MB, four times the largest image of the data sets here.
MOST_PIXELS = 89_478_485
# Pillow's documentation has it so, for programs that read foreign files.
warnings.filterwarnings('error', category=Image.DecompressionBombWarning)
# Its remarks on cameras' metadata, of which only the orientation counts.
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')

_SIGNATURES = {'PNG': b'\x89PNG\r\n\x1a\n', 'JPEG': b'\xff\xd8\xff'}
_HEAD_BYTES = 33  # a PNG's signature and its whole first chunk
_JPEG_HEADER_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class ImageFile:
  """A decoded file.

  Attributes:
    image: its pixels, in the order in which they are stored.
    bits: of a channel, or of a palette's index, in the file. Pillow gives 8
      where a file has more (but for grey PNG) and spreads fewer over 0..255.
    orientation: what its EXIF or XMP says about turning it; 1, "as it is
      stored", where they say nothing. 2..8 are defined, a file may say
      anything.
  """

  image: Image.Image
  bits: int
  orientation: object


def read(
  path: pathlib.Path, formats: Sequence[str] = ('PNG', 'JPEG'), *, fix: str
) -> ImageFile:
  """Decodes a whole image file.

  Args:
    path: the file.
    formats: of 'PNG' and 'JPEG', those that it may have.
    fix: what the user can do, for the message.

  Returns:
    Pixels, depth and orientation.

  Raises:
    UserError: it is missing, no file, unreadable, of another format,
      damaged, or has too many pixels.
  """
  try:
    # A pipe or device of that name would be waited for, or read for ever.
    if path.exists() and not path.is_file():
      raise UserError(f'{path}: is no regular file; {fix}')
    with path.open('rb') as file:
      return _decode(file, formats)
  except FileNotFoundError:
    raise UserError(
      f'{path}: file is missing{_namesake(path)}; {fix}'
    ) from None
  except _WrongFormat as error:
    raise UserError(f'{path}: cannot be decoded ({error}); {fix}') from None
  except (Image.DecompressionBombError, Image.DecompressionBombWarning):
    raise UserError(
      f'{path}: has more than {MOST_PIXELS:,} pixels, as much as no image of a'
      f' street needs; {fix}'
    ) from None
  # Pillow raises all of these for damaged content, depending on the format
  # and on where the damage is; what the system raises has a number.
  except (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Warning,  # where the user has made errors of them
  ) as error:
    if isinstance(error, OSError) and error.errno:
      problem = f'cannot be read ({error.strerror}); make it readable'
    else:
      problem = f'cannot be decoded ({_reason(error)}); {fix}'
    raise UserError(f'{path}: {problem}') from error


def header_size(path: pathlib.Path) -> tuple[int, int] | None:
  """(h, w) that a file's header states; None where it cannot be read."""
  try:
    with (
      path.open('rb') as file,
      Image.open(file, formats=tuple(_SIGNATURES)) as image,
    ):
      return image.height, image.width
  # All that `read` meets; who reads the file then says so.
  except Exception:
    return None


class _WrongFormat(Exception):
  """The content is not of a format that may be read; says of which."""


def _decode(file: BinaryIO, formats: Sequence[str]) -> ImageFile:
  head = file.read(_HEAD_BYTES)
  known = {
    name for name, start in _SIGNATURES.items() if head.startswith(start)
  }
  if not known & set(formats):
    found = ''.join(known) or 'neither PNG nor JPEG'
    raise _WrongFormat(
      f'it is {found}, expected {" or ".join(formats)}'
      if head
      else 'it is empty'
    )
  bits = 8
  if 'PNG' in known:
    if head[12:16] != b'IHDR' or len(head) < _HEAD_BYTES:
      raise _WrongFormat('its header is damaged')
    bits = head[24]
  else:
    file.seek(0)
    bits = _jpeg_bits(file.read(_JPEG_HEADER_BYTES))
    if bits != 8:
      raise _WrongFormat(f'it has {bits} bits per channel, expected 8')
  file.seek(0)
  with Image.open(file, formats=tuple(formats)) as image:
    if image.width * image.height > MOST_PIXELS:
      raise Image.DecompressionBombError
    image.load()
    return ImageFile(image, bits, _orientation(image))


def _jpeg_bits(content: bytes) -> int:
  """Bits per channel of a JPEG's frame; 8 where no frame is found.

  Source: ITU-T T.81, B.1.1.4 and B.2.2.
  """
  at = 2
  while at + 4 < len(content) and content[at] == 0xFF:
    marker = content[at + 1]
    if marker == 0xFF:  # fill bytes may stand before a marker
      at += 1
      continue
    # The other markers of this range hold tables.
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
      return content[at + 4]
    at += 2 + int.from_bytes(content[at + 2 : at + 4], 'big')
  return 8


def _orientation(image: Image.Image) -> object:
  """What EXIF or XMP say; 1 where they are absent or beyond reading."""
  try:
    return image.getexif().get(ExifTags.Base.Orientation, 1)
  # A camera's block of metadata may be damaged in any way, and every viewer
  # passes over it.
  except Exception:
    return 1


def _reason(error: Exception) -> str:
  """What went wrong, without the object that Pillow names."""
  if isinstance(error, Image.UnidentifiedImageError):
    return 'its header is damaged'
  return quoted(error, 120) or type(error).__name__


def _namesake(path: pathlib.Path) -> str:
  """' (there is X)' for a file that differs in its type or case alone."""
  stem = _plain(path.stem)
  try:
    names = sorted(os.listdir(path.parent))
  except OSError:
    return ''
  near = [name for name in names if _plain(pathlib.Path(name).stem) == stem]
  return f' (there is {quoted(near[0])})' if near else ''


def _plain(stem: str) -> str:
  return unicodedata.normalize('NFC', stem).casefold()
