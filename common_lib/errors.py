"""The one exception that means: the user must change something."""

from common_lib.foreign import without_controls

# A message is read in a terminal; whatever was quoted into it has its end cut
# before a page scrolls away.
_LONGEST = 2000


class UserError(Exception):
  """A mistake that the user can fix.

  Its message is one sentence that names the file or field and the fix;
  `main.py` prints it without a traceback and exits with code 2. Control
  characters of quoted names and servers are taken out of it.
  """

  def __init__(self, message: str):
    super().__init__(without_controls(message, _LONGEST))
