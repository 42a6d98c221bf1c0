"""A signal is never lost, never a traceback, and is told where it struck."""

import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest

from common_lib import interrupts
from common_lib.interrupts import Process, Section
from tests.paths import ROOT

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.fixture
def process(monkeypatch):
  made = Process()
  made.watched = True
  made.beginning = 'before training'
  monkeypatch.setattr(interrupts, '_process', made)
  return made


@pytest.mark.parametrize('number', [INT, TERM])
def test_with_nothing_to_lose_the_first_signal_ends_it(process, number):
  ends, said = process.answer(number, 5.0)
  assert ends
  assert said == (
    f'Interrupted by {number.name} before training: run the same command again '
    'to continue.'
  )


def test_work_is_asked_first_and_a_second_signal_is_not(process):
  with Section(lambda: 'in phase 2 after step 9; nothing is saved yet'):
    ends, said = process.answer(INT, 5.0)
    assert not ends and said.startswith('SIGINT: the run stops as soon as')
    assert process.received is INT
    ends, said = process.answer(TERM, 6.0)
  assert ends
  assert said == (
    'Stopped at once by a second SIGTERM, in phase 2 after step 9; nothing is '
    'saved yet: run the same command again to continue.'
  )


def test_a_section_without_work_yet_may_be_ended(process):
  with Section('while reading', has_work=False) as section:
    assert process.answer(INT, 0.0)[0]
  process.__init__()
  with Section(has_work=False) as section:
    section.work_began()
    assert not process.answer(INT, 0.0)[0]


def test_an_inner_section_does_not_hide_the_work_around_it(process):
  with Section('outside'), Section('inside', has_work=False):
    assert process.where() == 'inside'
    assert not process.answer(INT, 0.0)[0]
  assert process.where() == 'before training'


def test_what_decides_is_where_the_signal_came(process):
  # The handler ran inside; the thread looks once the section is over.
  with Section():
    process.note(TERM)
  ends, said = process.answer(TERM, 0.0)
  assert not ends and said.startswith('SIGTERM: the run stops as soon as')


def test_a_launcher_that_passes_a_signal_on_has_asked_once(process):
  with Section():
    process.answer(INT, 10.0)
    assert process.answer(INT, 10.001) == (False, '')
    assert process.answer(TERM, 10.1) == (False, '')
    assert process.answer(INT, 10.3)[0]


def test_peers_hear_of_the_first_signal(process):
  interrupts.join()
  assert not process.answer(INT, 0.0)[0]
  with pytest.raises(interrupts.Interrupted, match='SIGINT while waiting: run'):
    interrupts.check('while waiting')


def test_a_place_that_cannot_be_told_is_left_out(process):
  with Section(lambda: 1 // 0):
    process.answer(INT, 0.0)
    _, said = process.answer(INT, 1.0)
  assert said == (
    'Stopped at once by a second SIGINT: run the same command again to '
    'continue.'
  )


def test_any_signals_at_any_time_end_it_once_at_most(process):
  """Random moments: two requests end it, and none is ever forgotten."""
  rng = random.Random(0)
  for _ in range(300):
    process.__init__()
    now, asked, ended = 0.0, None, False
    section = Section() if rng.random() < 0.7 else None
    if section:
      section.__enter__()
    for _ in range(rng.randint(1, 5)):
      now += rng.choice([0.01, 0.5, 3.0])
      ended, _ = process.answer(rng.choice([INT, TERM]), now)
      assert process.received in (INT, TERM)
      assert ended == (section is None or (asked or now) + 0.2 <= now)
      asked = now if asked is None else asked
      if ended:
        break
    if section:
      section.__exit__(None)


def _run(program):
  """Runs a program that watches; returns exit code, stdout, stderr."""
  head = """
    import gc, os, signal, sys, time
    from common_lib import interrupts
    interrupts.watch('before training')
    def send(number=signal.SIGINT):
      os.kill(os.getpid(), number)
    """
  whole = textwrap.dedent(head) + textwrap.dedent(program)
  # Python 3.12 warns of every fork beside a thread, and one watches.
  result = subprocess.run(
    [
      sys.executable,
      '-W',
      'ignore:This process:DeprecationWarning',
      '-c',
      whole,
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=60,
  )
  return result.returncode, result.stdout, result.stderr


def test_a_signal_in_a_callback_of_the_collector_is_not_ignored():
  code, out, said = _run("""
    gc.callbacks.append(lambda phase, _: phase == 'start' and send())
    gc.collect()
    time.sleep(30)
    print('went on')
    """)
  assert (code, out) == (75, '')
  assert said == (
    'Interrupted by SIGINT before training: run the same command again to '
    'continue.\n'
  )


def test_a_signal_in_a_long_call_is_heard_and_the_second_one_obeyed():
  # The main thread runs no Python meanwhile, as while XLA compiles.
  code, out, said = _run("""
    import hashlib, threading
    def twice():
      send()
      time.sleep(0.5)
      send(signal.SIGTERM)
    with interrupts.Section('in phase 2 after step 12'):
      threading.Thread(target=twice).start()
      hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)
    print('went on')
    """)
  assert (code, out) == (75, '')
  assert said.splitlines() == [
    'SIGINT: the run stops as soon as nothing is lost by it; a second one '
    'stops it at once.',
    'Stopped at once by a second SIGTERM, in phase 2 after step 12: run the '
    'same command again to continue.',
  ]


def test_a_restart_of_the_process_loses_no_signal():
  code, out, said = _run("""
    interrupts.hold_back()
    send(signal.SIGTERM)
    program = '''
    import time
    from common_lib import interrupts
    interrupts.watch('before training')
    time.sleep(30)
    print('went on')
    '''
    os.execv(sys.executable, [sys.executable, '-c', program])
    """)
  assert (code, out) == (75, '')
  assert said.startswith('Interrupted by SIGTERM before training')


def test_children_neither_get_signals_nor_send_them():
  code, out, said = _run("""
    if (child := os.fork()) == 0:
      send(signal.SIGTERM)
      time.sleep(30)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    import subprocess
    with interrupts.kept_from_children():
      sleeper = subprocess.Popen(['sleep', '30'])
    sleeper.send_signal(signal.SIGINT)
    try:
      sleeper.wait(0.3)
    except subprocess.TimeoutExpired:
      print('sleeps on')
    sleeper.kill()
    """)
  assert (code, out, said) == (0, '-15\nsleeps on\n', '')


def test_a_finished_program_keeps_its_exit_code():
  code, out, said = _run("""
    import atexit
    atexit.register(send)
    interrupts.finished()
    sys.exit(2)
    """)
  assert (code, out, said) == (2, '', '')


@pytest.mark.parametrize('number', [INT, TERM])
def test_unwatched_a_section_gives_the_handlers_back(number):
  before = signal.getsignal(number)
  with Section():
    os.kill(os.getpid(), number)
    assert interrupts.requested() is number
    with pytest.raises(interrupts.Interrupted, match=number.name):
      interrupts.check('while testing')
  assert signal.getsignal(number) is before
  assert interrupts.requested() is None
