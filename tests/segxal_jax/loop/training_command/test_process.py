"""A command as a process: what it says, how it ends, whom it leaves behind."""

import os
import signal
import sys
import time

import pytest

from common_lib import interrupts
from common_lib.errors import UserError
from segxal_jax.loop.training_command import process


def _run(code, **options):
  said = []
  ended = process.run([sys.executable, '-c', code], said.append, **options)
  return ended, said


def test_lines_of_both_streams_come_in_order_and_the_last_are_kept():
  code = (
    'import os, sys\n'
    'for i in range(30): print(i)\n'
    'print("bar 1", end="\\r"); print("bar 2")\n'
    'sys.stdout.flush(); os.write(2, b"\\xff end without a newline")'
  )
  ended, said = _run(code)
  assert ended.code == 0
  end = ['bar 1', 'bar 2', '\N{REPLACEMENT CHARACTER} end without a newline']
  assert said == [*map(str, range(30)), *end]
  assert ended.lines == (*map(str, range(13, 30)), *end)


@pytest.mark.parametrize(
  ('code', 'how'),
  [
    ('raise SystemExit(7)', 'exit code 7'),
    ('import os; os.kill(os.getpid(), 9)', 'SIGKILL'),
  ],
)
def test_how_it_ended(code, how):
  ended, _ = _run(code)
  assert ended.how == how


def test_a_line_without_end_is_told_in_pieces():
  _, said = _run('print("x" * 5000, end="")')
  assert [len(line) for line in said] == [2000, 2000, 1000]


@pytest.mark.parametrize(
  'words', [['/nowhere/train'], [os.getcwd()], ['a\0b']], ids=repr
)
def test_a_program_that_cannot_be_started(words):
  with pytest.raises(UserError, match='config.learner.command cannot be st'):
    process.run(words, print)


# Says when it is ready, and when it is asked to end.
_PATIENT = """
import signal, sys, time
def asked(number, frame):
  print('saved', flush=True)
  {end}
signal.signal(signal.SIGINT, asked)
print('ready', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
  ('end', 'how'),
  [('sys.exit(5)', 'exit code 5'), ('time.sleep(60)', 'SIGKILL')],
)
def test_a_signal_is_passed_on_and_who_stays_is_killed(end, how):
  said, began = [], time.monotonic()

  def tell(line):
    said.append(line)
    if line == 'ready':
      os.kill(os.getpid(), signal.SIGINT)

  with interrupts.Section():
    code = _PATIENT.format(end=end)
    ended = process.run([sys.executable, '-c', code], tell, grace_secs=0.5)
  assert said == ['ready', 'saved'] and ended.how == how
  assert time.monotonic() - began < 20


def test_whoever_it_leaves_behind_is_not_waited_for():
  began = time.monotonic()
  ended, said = _run(
    'import subprocess; print("done", flush=True); '
    'subprocess.Popen(["sleep", "30"])'
  )
  assert ended.code == 0 and said == ['done']
  assert time.monotonic() - began < 20
