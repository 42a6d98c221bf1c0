"""From a config to the table of its classes."""

from ml_collections import ConfigDict

from common_lib import class_table_file
from common_lib.class_table import ClassTable


def class_table(config: ConfigDict) -> ClassTable:
  """The classes that S tells apart.

  Args:
    config: resolved, so that `data.classes` holds the table, not its path; or
      a stored one.
  """
  return class_table_file.from_text(config.data.classes)
