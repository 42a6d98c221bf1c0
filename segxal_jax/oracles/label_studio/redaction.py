"""Text from a server, without the secrets that it may repeat."""

import re
import urllib.parse

from common_lib.foreign import quoted

# So many characters in a row of a secret give it away.
_PIECE = 8
_WORD = re.compile(r'[\w.~+/=%-]+', re.ASCII)
_HIDDEN = '[token]'


class Redaction:
  """Hides secrets, also parts of them, in text for people."""

  def __init__(self):
    self._pieces: set[str] = set()

  def hide(self, secret: str) -> None:
    """From now on this secret is hidden.

    Args:
      secret: at least 8 characters.
    """
    secret = secret.lower()
    count = len(secret) - _PIECE + 1
    self._pieces |= {secret[i : i + _PIECE] for i in range(count)}

  def __call__(self, text: object, limit: int = 300) -> str:
    """The text without secrets and control characters, cut to a length.

    Args:
      text: of whatever length; only its beginning is looked at.
      limit: most characters of the result.
    """
    # Cut last: what is left of a secret at the cut could not be told.
    head = quoted(text, 4 * limit)
    return quoted(_WORD.sub(self._shown, head), limit)

  def _shown(self, word: re.Match[str]) -> str:
    for form in (word[0], urllib.parse.unquote(word[0])):
      form = form.lower()
      for start in range(len(form) - _PIECE + 1):
        if form[start : start + _PIECE] in self._pieces:
          return _HIDDEN
    return word[0]
