"""A run asks for huge pages once, and leaves the user's own wishes alone."""

import os
import subprocess
import sys

import pytest

from fsnet_jax.runtime.machine import huge_pages

_PROGRAM = (
  'import os, sys; from fsnet_jax.runtime.machine import huge_pages; '
  'print(os.getpid(), flush=True); huge_pages.restart_with_huge_pages(); '
  'print(os.environ.get("GLIBC_TUNABLES"), sys.argv[1:], "jax" in sys.modules)'
)


def _printed(environment):
  result = subprocess.run(
    [sys.executable, '-c', _PROGRAM, 'a b', '--c=d'],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
  )
  return result.stdout.splitlines()


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc is of Linux')
def test_the_process_starts_once_more_under_its_number():
  clean = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'}
  first, second, last = _printed(clean)
  assert first == second
  assert last == "glibc.malloc.hugetlb=1 ['a b', '--c=d'] False"


@pytest.mark.parametrize('wish', ['', 'glibc.malloc.arena_max=1'])
def test_what_the_user_has_set_stays(wish):
  printed = _printed(os.environ | {'GLIBC_TUNABLES': wish})
  assert len(printed) == 2
  assert printed[1].startswith(f'{wish} [')


def test_other_systems_are_left_alone(monkeypatch):
  monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
  monkeypatch.setattr(sys, 'platform', 'darwin')
  monkeypatch.setattr(os, 'execve', lambda *_: pytest.fail('restarted'))
  huge_pages.restart_with_huge_pages()
