"""The one exception that means: the user must change something."""


class UserError(Exception):
  """A mistake that the user can mend.

  Its message is one sentence that names the file or field and the mend;
  `main.py` prints it without a traceback and exits with code 2.
  """
