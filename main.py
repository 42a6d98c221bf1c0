"""Runs a config: `python main.py --config=configs/fsnet_fcn8.py`.

Exit codes: 0 done; 2 something for you to change, in one sentence; 75 saved,
run the same command again.
"""

# ruff: noqa: E402
from common_lib import interrupts

if __name__ == '__main__':
  interrupts.watch('before training')  # Before anything slow is imported.

import functools
import importlib
import os
import shlex
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.config import command_line, fields
from fsnet_jax.runtime import stored_config
from fsnet_jax.runtime.huge_pages import restart_with_huge_pages
from segxal_jax.config import fields as segxal_fields

flags.DEFINE_string('config', None, 'Config file, with an optional :argument.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run; default: runs/<config name>.'
)
flags.DEFINE_enum(
  'mode', 'train', stored_config.MODES, 'train also evaluates at the end.'
)
flags.DEFINE_string('coordinator_address', None, 'host:port of process 0.')
flags.DEFINE_integer(
  'num_processes', None, 'Processes of this run.', lower_bound=1
)
flags.DEFINE_integer(
  'process_id', None, 'Number of this process, from 0.', lower_bound=0
)
FLAGS = flags.FLAGS
# Of fields, by the task whose configs have more than the common ones.
_TABLES = {'segxal': segxal_fields.FIELDS}


def _fail(message: str) -> None:
  print(f'error: {message}', file=sys.stderr, flush=True)
  sys.exit(2)


def _parse_flags(argv: list[str]) -> ConfigDict:
  """The config, with every mistake as one sentence."""
  try:
    completed = stored_config.completed(argv, Path(__file__).parent)
    config = command_line.parse(completed, FLAGS, _TABLES)
    if FLAGS.workdir == '':
      raise UserError('--workdir is empty: name a folder, or leave it out.')
    table = _TABLES.get(config.task, fields.FIELDS)
    stored_config.check_overrides(config, FLAGS.config, FLAGS.mode, table)
    return config
  except UserError as error:
    _fail(str(error))


def _work(config: ConfigDict) -> None:
  name = stored_config.config_name(FLAGS.config)
  workdir = expanded(FLAGS.workdir or Path('runs') / name)
  command = shlex.join(['python', 'main.py', *sys.argv[1:]])
  origin = {'config_name': name, 'command': command}
  room = 'segxal_jax' if config.task == 'segxal' else 'fsnet_jax'
  cli = importlib.import_module(f'{room}.cli')
  cli.run(config, workdir, FLAGS.mode, origin)


def _run(config: ConfigDict) -> int:
  restart_with_huge_pages()
  from fsnet_jax.runtime import distributed

  return distributed.exit_code(
    functools.partial(_work, config),
    FLAGS.coordinator_address,
    FLAGS.num_processes,
    FLAGS.process_id,
  )


if __name__ == '__main__':
  # TensorFlow (which only reads and writes files here) is silent about its
  # missing GPU libraries.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  app.run(_run, flags_parser=_parse_flags)
