"""Runs `against_torch`.

A module of its own: a process that is started anew imports what it is told to
run by the module's name, and never a package's `__main__`.
"""

from benchmarks.explain import against_torch
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

if __name__ == '__main__':
  restart_with_huge_pages()
  against_torch.main()
