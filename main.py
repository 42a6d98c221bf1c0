"""Runs a config: `python main.py --config=configs/fsnet_fcn8.py`.

Exit codes: 0 done; 2 something for you to change, in one sentence; 75 saved,
run the same command again.
"""

import importlib
import os
import shlex
import signal
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.config import command_line
from fsnet_jax.runtime.huge_pages import restart_with_huge_pages
from segxal_jax.config import fields as segxal_fields

_DONE, _USER_ERROR, _CONTINUE = 0, 2, 75
_INTERRUPTED = 'Interrupted before training: run the same command again.'

flags.DEFINE_string('config', None, 'Config file, with an optional :argument.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run; default: runs/<config name>.'
)
flags.DEFINE_enum(
  'mode', 'train', ['train', 'evaluate'], 'train also evaluates at the end.'
)
flags.DEFINE_string('coordinator_address', None, 'host:port of process 0.')
flags.DEFINE_integer(
  'num_processes', None, 'Processes of this run.', lower_bound=1
)
flags.DEFINE_integer(
  'process_id', None, 'Number of this process, from 0.', lower_bound=0
)
FLAGS = flags.FLAGS


def _fail(message: str) -> None:
  print(f'error: {message}', file=sys.stderr, flush=True)
  sys.exit(_USER_ERROR)


def _parse_flags(argv: list[str]) -> ConfigDict:
  """The config, with every mistake as one sentence."""
  try:
    config = command_line.parse(argv, FLAGS, {'segxal': segxal_fields.FIELDS})
    if FLAGS.workdir == '':
      raise UserError('--workdir is empty: name a folder, or leave it out.')
    return config
  except UserError as error:
    _fail(str(error))


def _run(config: ConfigDict) -> int:
  restart_with_huge_pages()
  from fsnet_jax.runtime import distributed
  from fsnet_jax.runtime.interrupts import Interrupted

  try:
    distributed.initialize(
      FLAGS.coordinator_address, FLAGS.num_processes, FLAGS.process_id
    )
    name = command_line.config_name(FLAGS.config)
    workdir = expanded(FLAGS.workdir or Path('runs') / name)
    command = shlex.join(['python', 'main.py', *sys.argv[1:]])
    origin = {'config_name': name, 'command': command}
    room = 'segxal_jax' if config.task == 'segxal' else 'fsnet_jax'
    cli = importlib.import_module(f'{room}.cli')
    cli.run(config, workdir, FLAGS.mode, origin)
  except UserError as error:
    _fail(str(error))
  except Interrupted as stopped:
    print(stopped, file=sys.stderr, flush=True)
    return _CONTINUE
  except KeyboardInterrupt:
    print(_INTERRUPTED, file=sys.stderr, flush=True)
    return _CONTINUE
  return _DONE


if __name__ == '__main__':
  # TensorFlow (which only reads and writes files here) is silent about its
  # missing GPU libraries.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  # Until the loop takes over, SIGTERM is Ctrl-C.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  app.run(_run, flags_parser=_parse_flags)
