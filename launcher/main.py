"""What `fsnet` and `python main.py` call, before anything slow is loaded."""

import os
import sys

from common_lib import interrupts
from launcher import __version__


def main() -> None:
  """Reads the command line, runs the config and exits.

  Exit codes: 0 done; 2 something for the user to change, in one sentence; 75
  saved, run the same command again.
  """
  interrupts.watch('before training')
  if '--version' in sys.argv[1:]:
    print(f'fsnet {__version__}')
    return
  # TensorFlow (which only reads and writes files here) is silent about its
  # missing GPU libraries.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  from launcher import command

  command.run()
