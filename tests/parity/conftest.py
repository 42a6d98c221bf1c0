"""Writes the table of `docs/results/parity.md` when asked for it."""

import datetime
import os
import platform
from pathlib import Path

import jax
import torch

from tests.parity import comparison

_HEAD = """# Parity with PyTorch

Random weights, no zero or one among them, in the same network written in
PyTorch or taken from `transformers`; converted, and compared array by array:
layers, outputs, and where a row says so gradients and running statistics.
The error is the largest difference over the reference's largest value, the
worst of all sizes, modes and heads that a test goes through. float64 shows
that the arithmetic is the same, float32 what a user gets. The rows held to 2e-2
are networks trained on images normalised otherwise, where the image's border
cannot be exact (docs/guide/weights.md).

```
make test ARGS="tests/parity -n 0 --parity-table=docs/results/parity.md"
```

"""


def pytest_addoption(parser):
  parser.addoption(
    '--parity-table', metavar='FILE', help='write the errors found, as a table'
  )


def _machine() -> str:
  return (
    f'{os.cpu_count()}-core {platform.machine()} CPU, '
    f'{datetime.date.today().isoformat()}, jax {jax.__version__}, '
    f'PyTorch {torch.__version__}.\n\n'
  )


def _rows() -> list[str]:
  rows = [
    '| test | arrays | worst relative error | held to |',
    '|---|---|---|---|',
  ]
  for test, agreement in sorted(comparison.AGREEMENTS.items()):
    file, name = test.split('::')[0], test.split('::')[-1]
    title = f'`{Path(file).stem}`: {name.removeprefix("test_")}'
    for index, (limit, error) in enumerate(sorted(agreement.worst.items())):
      count = agreement.arrays if index == 0 else ''
      rows.append(f'| {title} | {count} | {error:.1e} | {limit:.0e} |')
      title = ''
  return rows


def pytest_sessionfinish(session):
  file = session.config.getoption('--parity-table', default=None)
  if file and comparison.AGREEMENTS:
    Path(file).write_text(_HEAD + _machine() + '\n'.join(_rows()) + '\n')
