import os
import pty
import re
import sys
import termios
import threading

import pytest

from common_lib import progress_bar
from common_lib.progress_bar import ProgressBar


def test_a_log_has_a_line_for_each_news(capsys):
  bar = ProgressBar(4, 'annotations', after=' at x')
  for done in (0, 2, 2, 4):
    bar.reach(done)
  bar.close()
  assert capsys.readouterr().err.splitlines() == [
    f'[{"." * 24}] 0 of 4 annotations at x',
    f'[{"#" * 12}{"." * 12}] 2 of 4 annotations at x',
    f'[{"#" * 24}] 4 of 4 annotations at x',
  ]


def test_a_log_is_not_flooded_and_has_the_end(capsys, monkeypatch):
  clock = iter([100.0, 101.0, 105.0, 106.0, 107.0, 120.0])
  monkeypatch.setattr(progress_bar.time, 'monotonic', lambda: next(clock))
  bar = ProgressBar(8, 'scenes', before='day: ', timed=True, log_secs=5.0)
  for done in (1, 2, 3, 4, 8):
    bar.reach(done)
  bar.close()
  first, last = capsys.readouterr().err.splitlines()
  # 2 in 5 s, then all 8 in 20 s.
  assert first.startswith('day: [') and '] 2 of 8 scenes, ' in first
  assert '0.40/s, 00:15 left' in first
  assert '] 8 of 8 scenes, ' in last and '0.40/s, 00:00 left' in last


@pytest.mark.parametrize('text', ['{n}', 'a\x1b[31m\rb', '}{'])
def test_foreign_text_is_no_format_and_no_command(capsys, text):
  bar = ProgressBar(2, 'scenes', before=text, after=text)
  bar.reach(1)
  bar.note(text)
  (line, note) = capsys.readouterr().err.splitlines()
  clean = text.replace('\x1b', '\ufffd')
  assert line.startswith(clean.replace('\r', ' ')) and '] 1 of 2 scenes' in line
  assert '\r' not in note and '\x1b' not in note


def test_nothing_to_do_is_no_division(capsys):
  bar = ProgressBar(0, 'annotations', timed=True)
  bar.reach(0)
  bar.close()
  assert '0 of 0 annotations' in capsys.readouterr().err


def test_a_terminal_has_one_line_that_grows(monkeypatch):
  leader, follower = pty.openpty()
  termios.tcsetwinsize(follower, (24, 80))
  threads = threading.active_count()
  with open(follower, 'w') as terminal:
    monkeypatch.setattr(sys, 'stderr', terminal)
    bar = ProgressBar(4, 'scenes', before='day: ')
    bar.reach(0)
    bar.note('left out a.png')
    bar.reach(4)
    bar.close()
    bar.close()
    print('next', file=terminal, flush=True)
    shown = ''
    while not shown.endswith('next\r\n'):
      shown += os.read(leader, 1 << 16).decode()
  os.close(leader)
  assert threading.active_count() == threads
  lines = [re.split('\r', line)[-1] for line in shown.split('\r\n')]
  assert lines[0] == 'left out a.png' and lines[2:] == ['next', '']
  assert lines[1].strip() == f'day: [{"#" * 24}] 4 of 4 scenes'
