"""Outputs of this back end against those of a CPU.

    python -m benchmarks.gpu.correctness --json=correctness.json

`outputs` on the default back end, with all bits of float32 and with the back
end's own precision (TF32 on recent GPUs), against the same on this machine's
CPU, by a process beside this one, and against `cpu_outputs.npz`, which was made
on another CPU before. Differences are the largest of the numbers kept, over the
largest magnitude of the output. With all bits they must stay below 1e-3, else
the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.gpu import outputs

CARRIED = Path(__file__).with_name('cpu_outputs.npz')
TOLERANCE = 1e-3
Arrays = Mapping[str, np.ndarray]


def _start_cpu(names: str, path: str) -> subprocess.Popen[str]:
  """The same programs on this machine's CPU, in a process of its own."""
  environment = os.environ | {'JAX_PLATFORMS': 'cpu'}
  command = [sys.executable, '-m', 'benchmarks.gpu.outputs', f'--out={path}']
  return subprocess.Popen(
    [*command, f'--programs={names}'],
    env=environment,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def _finish_cpu(process: subprocess.Popen[str], path: str, limit: float) -> Any:
  """Its file as a mapping, or why there is none."""
  try:
    _, said = process.communicate(timeout=limit)
  except subprocess.TimeoutExpired:
    process.kill()
    process.communicate()
    return f'the CPU did not finish within {limit:.0f} s'
  if process.returncode:
    return f'the CPU failed: {(said.strip().splitlines() or [""])[-1]}'
  return np.load(path)


def rows_of(
  found: Arrays, wanted: Arrays | str, digests: Arrays, **about: str
) -> list[dict[str, Any]]:
  """Rows of the table.

  Args:
    found: of `outputs.compute`.
    wanted: those of a CPU, with their digests; or why there are none.
    digests: of the programs here.
    **about: columns that all rows have.
  """
  if isinstance(wanted, str):
    return [{**about, 'failed': wanted}]
  rows = []
  for name, values in found.items():
    row: dict[str, Any] = {'output': name, **about}
    rows.append(row)
    digest = f'digest/{name.split("/")[0]}'
    if name not in wanted or str(wanted[digest]) != str(digests[digest]):
      row['failed'] = 'other variables: nothing is compared'
      continue
    theirs = wanted[name]
    scale = max(float(theirs[-1]), 1e-30)
    # A NaN on either side is no agreement.
    row['difference'] = float(np.max(np.abs(values - theirs))) / scale
    row['scale'] = scale
  return rows


def compare(names: str, cpu_limit: float) -> list[dict[str, Any]]:
  """All rows, for the programs of these names (see `outputs.make`)."""
  programs = outputs.make(names)
  digests = outputs.digests(programs)
  carried = np.load(CARRIED)
  with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder, 'cpu.npz'))
    process = _start_cpu(names, path)
    exact = outputs.compute(programs, 'highest')
    own = outputs.compute(programs, None)
    here = _finish_cpu(process, path, cpu_limit)
    rows = []
    for found, precision in ((exact, 'highest'), (own, 'default')):
      about = {'precision': precision}
      rows += rows_of(found, here, digests, against='CPU here', **about)
      rows += rows_of(found, carried, digests, against='carried', **about)
  return rows


def failures(rows: list[dict[str, Any]]) -> list[str]:
  """What does not agree with all bits of float32."""
  return [
    f'{row["output"]} differs by {row["difference"]:.1e} from {row["against"]}'
    for row in rows
    if row['precision'] == 'highest'
    and 'difference' in row
    and not row['difference'] <= TOLERANCE
  ]


def main() -> int:
  """Prints a line a row, and writes them."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--programs', default='', help='by commas; default: all')
  parser.add_argument('--cpu_limit', type=float, default=60, help='seconds')
  parser.add_argument('--json', default='', help='file for the rows')
  options = parser.parse_args()
  rows = compare(options.programs, options.cpu_limit)
  print(f'{jax.devices()[0]}, {len(rows)} rows')
  for row in rows:
    said = row.get('failed') or f'{row["difference"]:.1e}'
    print(f'{row.get("output", ""):32}{row["against"]:10}{said}')
  if options.json:
    Path(options.json).write_text(json.dumps({'rows': rows}, indent=1))
  wrong = failures(rows)
  if wrong:
    print(f'error: {"; ".join(wrong)}', file=sys.stderr)
  return 1 if wrong else 0


if __name__ == '__main__':
  sys.exit(main())
