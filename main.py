"""Runs a config: `python main.py --config=configs/fsnet_fcn8.py`.

The command `fsnet` of an installation is the same; `launcher.main` says how.
"""

from launcher.main import main

if __name__ == '__main__':
  main()
