"""The flags of the program, and what is called with them."""

import functools
import importlib
import shlex
import sys
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.config import command_line, fields
from fsnet_jax.runtime import stored_config
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages
from segxal_jax.config import fields as segxal_fields

flags.DEFINE_string('config', None, 'Config file, with an optional :argument.')
flags.DEFINE_string(
  'workdir', None, 'Folder of the run; default: runs/<config name>.'
)
flags.DEFINE_enum(
  'mode', 'train', stored_config.MODES, 'train also evaluates at the end.'
)
flags.DEFINE_string(
  'input', None, 'Of --mode=predict: a folder or glob of images, or a video.'
)
flags.DEFINE_string(
  'output',
  None,
  'Of --mode=predict: folder of the results; of export: the file.',
)
flags.DEFINE_string('coordinator_address', None, 'host:port of process 0.')
flags.DEFINE_integer(
  'num_processes', None, 'Processes of this run.', lower_bound=1
)
flags.DEFINE_integer(
  'process_id', None, 'Number of this process, from 0.', lower_bound=0
)
FLAGS = flags.FLAGS
# What a mode reads and writes, by flag.
_FILES = {
  'predict': {'input': 'FOLDER|GLOB|VIDEO', 'output': 'FOLDER'},
  'export': {'output': 'FILE.onnx|jaxexport|tflite'},
}
# Of fields, by the task whose configs have more than the common ones.
_TABLES = {'segxal': segxal_fields.FIELDS}


def _fail(message: str) -> NoReturn:
  print(f'error: {message}', file=sys.stderr, flush=True)
  sys.exit(2)


def _parse_flags(argv: list[str]) -> ConfigDict:
  """The config, with every mistake as one sentence."""
  try:
    completed = stored_config.completed(argv, Path(__file__).parents[1])
    config = command_line.parse(completed, FLAGS, _TABLES)
    if FLAGS.workdir == '':
      raise UserError('--workdir is empty: name a folder, or leave it out.')
    _check_files(config)
    table = _TABLES.get(config.task, fields.FIELDS)
    stored_config.check_overrides(config, FLAGS.config, FLAGS.mode, table)
    return config
  except UserError as error:
    _fail(str(error))


def _check_files(config: ConfigDict) -> None:
  """Raises UserError for --input and --output that a mode has no use for."""
  mode, given = FLAGS.mode, {'input': FLAGS.input, 'output': FLAGS.output}
  needed = _FILES.get(mode, {})
  for name, value in given.items():
    if name in needed and not value:
      raise UserError(
        f'--{name} is missing: --mode={mode} needs '
        f'{" and ".join(f"--{n}={what}" for n, what in needed.items())}.'
      )
    if name not in needed and value is not None:
      modes = [one for one, own in _FILES.items() if name in own]
      raise UserError(
        f'--{name} is for --mode={" and ".join(modes)}, not --mode={mode}.'
      )
  if config.task == 'segxal' and mode not in ('train', 'evaluate'):
    raise UserError(
      f'--mode={mode} is for a run of FSNet, and --config is of the task '
      "'segxal': give --workdir of a run of FSNet instead."
    )


def _work(config: ConfigDict) -> None:
  name = stored_config.config_name(FLAGS.config)
  workdir = expanded(FLAGS.workdir or Path('runs') / name)
  program = Path(sys.argv[0]).name
  words = ['python', program] if program.endswith('.py') else [program]
  command = shlex.join([*words, *sys.argv[1:]])
  origin = {'config_name': name, 'command': command}
  room = 'segxal_jax' if config.task == 'segxal' else 'fsnet_jax'
  cli = importlib.import_module(f'{room}.cli')
  if FLAGS.mode == 'predict':
    _predict(config, workdir, FLAGS.input, expanded(FLAGS.output), origin)
  elif FLAGS.mode == 'export':
    cli.export(config, workdir, expanded(FLAGS.output))
  else:
    cli.run(config, workdir, FLAGS.mode, origin)


def _predict(
  config: ConfigDict,
  workdir: Path,
  source: str,
  output: Path,
  origin: dict[str, str],
) -> None:
  """FSNet's predictions; people label the worst where that is asked for."""
  from fsnet_jax import cli

  count = config.predict.send_to_label_studio
  if not count:
    cli.predict(config, workdir, source, output, origin)
    return
  from fsnet_jax.builders.classes import class_table
  from segxal_jax.oracles.triage import send

  classes = class_table(config)
  server = send.checked(output, classes)
  cli.predict(config, workdir, source, output, origin)
  send.send(server, source, output, count, classes)


def _run(config: ConfigDict) -> int:
  restart_with_huge_pages()
  from fsnet_jax.runtime import distributed

  return distributed.exit_code(
    functools.partial(_work, config),
    FLAGS.coordinator_address,
    FLAGS.num_processes,
    FLAGS.process_id,
  )


def run() -> None:
  """Reads the command line and runs what it asks for; does not return."""
  app.run(_run, flags_parser=_parse_flags)
