"""Text files that a user has written, with a spreadsheet or an editor."""

from __future__ import annotations

import pathlib

from common_lib.errors import UserError


def read_text(path: pathlib.Path) -> str:
  """The text of a file; a mark of its byte order is cut off.

  Raises:
    UserError: it is no file, cannot be read or is not UTF-8.
  """
  if not path.is_file():  # a pipe would be waited for
    raise UserError(f'{path}: is no regular file; write it as text')
  try:
    return path.read_bytes().decode('utf-8-sig')
  except UnicodeDecodeError:
    raise UserError(f'{path}: is not UTF-8; save it as UTF-8') from None
  except OSError as error:
    raise UserError(
      f'{path}: cannot be read ({error.strerror}); make it readable'
    ) from error
