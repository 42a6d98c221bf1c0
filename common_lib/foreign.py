"""Text from files, servers and file names, made fit for a terminal.

Whoever wrote such a text may have put escape sequences into it, which a
terminal obeys, or megabytes.
"""

import unicodedata


def without_controls(text: str, limit: int, *, keep_lines: bool = False) -> str:
  """A text without control characters, cut to a length.

  Args:
    text: anything; lone surrogates (file names that are not UTF-8) become
      question marks.
    limit: most characters of the result.
    keep_lines: whether line breaks and tabs stay.

  Returns:
    The text with a space for each line break or tab, and U+FFFD for every
    other control or format character (terminal escapes, marks that turn the
    direction of writing, ...).
  """
  # Only as much as can be shown is looked at, whatever the size.
  head = text[: limit + 1]
  head = head.encode('utf-8', 'replace').decode('utf-8')
  shown = ''.join(
    character if keep_lines and character in '\n\t' else _shown(character)
    for character in head
  )
  if len(shown) <= limit:
    return shown
  return shown[: max(limit - 4, 0)] + ' ...'


def _shown(character: str) -> str:
  if character in '\n\r\t':
    return ' '
  if unicodedata.category(character) in ('Cc', 'Cf', 'Co', 'Cn', 'Zl', 'Zp'):
    return '�'
  return character


def quoted(value: object, limit: int = 300) -> str:
  """A foreign value as it can stand in a message.

  Args:
    value: text of a file or server, a path, or anything with a `str`.
    limit: most characters of the result.
  """
  return without_controls(str(value), limit)
