"""Loops that are killed, and how they must end."""

from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp

from fsnet_jax.runtime.storage import checkpoint_folders


class Killed(BaseException):
  """Stands for SIGKILL: nothing may catch it."""


def killer(monkeypatch, owner, name, calls, before=None):
  """Lets the `calls`-th call of a function end the program."""
  original = getattr(owner, name)
  count = [0]

  def wrapper(*args, **kwargs):
    count[0] += 1
    if count[0] == calls:
      if before:
        before(*args, **kwargs)
      raise Killed
    return original(*args, **kwargs)

  monkeypatch.setattr(owner, name, wrapper)


def _networks(workdir):
  """Of the newest checkpoint that a loop keeps."""
  step = checkpoint_folders.steps(workdir)[-1]
  folder = checkpoint_folders.checkpoint(workdir, step).absolute() / 'state'
  return ocp.tree.to_flat_dict(ocp.StandardCheckpointer().restore(folder))


def assert_same(a: Path, b: Path) -> None:
  """Ledger, annotations, scores, questions, metrics, position, networks."""
  files = [
    sorted(
      path.relative_to(root)
      for folder in ('pool', 'cycles')
      for path in (root / folder).rglob('*')
      if path.is_file()
    )
    for root in (a, b)
  ]
  assert files[0] == files[1]
  for name in [*files[0], Path('position.json')]:
    if name.suffix != '.npz':
      assert (a / name).read_bytes() == (b / name).read_bytes(), name
      continue
    with np.load(a / name) as first, np.load(b / name) as second:
      assert first.files == second.files
      for key in first.files:
        np.testing.assert_array_equal(first[key], second[key], str(name))
  first, second = _networks(a), _networks(b)
  assert first.keys() == second.keys()
  for key in first:
    np.testing.assert_array_equal(first[key], second[key], str(key))
