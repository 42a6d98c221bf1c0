"""The command: flags in, one exit code out. `fsnet`, or `python main.py`."""

__version__ = '0.2.0'
