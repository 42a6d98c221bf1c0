"""Runs a config: `python main.py --config=configs/fsnet_fcn8.py`.

Exit codes: 0 done; 2 something for you to change, in one sentence; 75 saved,
run the same command again.
"""

# ruff: noqa: E402
from common_lib import interrupts

if __name__ == '__main__':
  interrupts.watch('before training')  # Before anything slow is imported.

import importlib
import os
import shlex
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from common_lib.flag_errors import flag_problem
from fsnet_jax.runtime.huge_pages import restart_with_huge_pages

config_flags.DEFINE_config_file(
  'config', None, 'Config file, with an optional :argument.', lock_config=True
)
flags.DEFINE_string(
  'workdir', None, 'Folder of the run; default: runs/<config name>.'
)
flags.DEFINE_enum(
  'mode', 'train', ['train', 'evaluate'], 'train also evaluates at the end.'
)
flags.DEFINE_string('coordinator_address', None, 'host:port of process 0.')
flags.DEFINE_integer('num_processes', None, 'Processes of this run.')
flags.DEFINE_integer('process_id', None, 'Number of this process, from 0.')
FLAGS = flags.FLAGS


def _fail(message: str) -> None:
  print(f'error: {message}', file=sys.stderr, flush=True)
  sys.exit(2)


def _parse_flags(argv: list[str]) -> list[str]:
  """absl's parser, with every mistake as one sentence."""
  try:
    rest = FLAGS(argv)
    config_missing = FLAGS['config'].value is None
    if not config_missing and len(rest) == 1:
      FLAGS.config.keys()  # A file that could not be loaded raises here.
      return rest
  except Exception as error:  # Overrides raise many kinds of exceptions.
    _fail(flag_problem(error, argv))
  if config_missing:
    _fail('--config is missing: for example --config=configs/fsnet_fcn8.py')
  _fail(f'unexpected argument {rest[1]!r}: flags are written --name=value.')
  return rest


def _config_name() -> str:
  file, _, argument = FLAGS['config'].config_filename.partition(':')
  return '_'.join(filter(None, [Path(file).stem, argument]))


def _work() -> None:
  workdir = Path(FLAGS.workdir or Path('runs') / _config_name())
  command = shlex.join(['python', 'main.py', *sys.argv[1:]])
  origin = {'config_name': _config_name(), 'command': command}
  room = 'segxal_jax' if FLAGS.config.task == 'segxal' else 'fsnet_jax'
  cli = importlib.import_module(f'{room}.cli')
  cli.run(FLAGS.config, workdir, FLAGS.mode, origin)


def _run(_: list[str]) -> int:
  restart_with_huge_pages()
  from fsnet_jax.runtime import distributed

  return distributed.exit_code(
    _work, FLAGS.coordinator_address, FLAGS.num_processes, FLAGS.process_id
  )


if __name__ == '__main__':
  # TensorFlow (which only reads and writes files here) is silent about its
  # missing GPU libraries.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  app.run(_run, flags_parser=_parse_flags)
