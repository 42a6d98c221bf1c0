"""Data parallelism for 8, 64 and 256 devices: counted, and computed.

    python -m benchmarks.pods                    # 10 minutes on one core
    python -m benchmarks.pods --networks=fcn8 --devices=8 --width=0.125

Compiles FSNet's joint step for each number of devices (`step`, a process each),
counts its collectives, and works out from them and from published speeds what a
pod would lose to communication (`efficiency`). Prints Markdown. Exit code 1 if
anything but sums travels, or if these are of more than the parameters and the
batch norms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.pods import efficiency
from benchmarks.subjects.tables import table

TITLES = {'fcn8': 'FCN8', 'deeplab_v2': 'DeepLabV2'}
# Images a device that efficiencies are worked out for.
IMAGES = (8, 32)


def compiled(network: str, devices: int, width: float, size: str) -> Any:
  """What `step` prints."""
  command = [sys.executable, '-m', 'benchmarks.pods.step']
  command += [f'--network={network}', f'--devices={devices}']
  command += [f'--width={width}', f'--image_size={size}']
  done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(done.stdout.splitlines()[-1])


def expected_elements(found: Any) -> int:
  """Numbers that a step must sum over the devices, scalars aside.

  Gradients of all parameters; and of each channel of a batch norm, which has
  two running statistics, the mean and the mean square on the way forth, and one
  sum on the way back beside the gradients of its scale and bias.
  """
  return found['parameters'] + 3 * (found['statistics'] // 2)


def problems(found: Any) -> list[str]:
  """In what a step is other than its arithmetic asks for."""
  sums = found['collectives'].get('all-reduce', {'elements': 0})
  others = found['collectives'].keys() - {'all-reduce'}
  name = f'{found["network"]} on {found["devices"]} devices'
  said = [f'{name} has {kind}' for kind in sorted(others)]
  if sums['elements'] != expected_elements(found):
    wanted = expected_elements(found)
    said.append(f'{name} sums {sums["elements"]} numbers instead of {wanted}')
  return said


def counted_table(results: Iterable[Any]) -> str:
  """What was compiled, and what travels."""
  rows = []
  for one in results:
    sums = one['collectives']['all-reduce']
    rows.append(
      [
        TITLES.get(one['network'], one['network']),
        f'{one["width"]:g}',
        one['devices'],
        f'{one["parameters"]:,}',
        f'{one["statistics"] // 2:,}',
        sums['count'],
        f'{sums["elements"]:,}',
        sums['scalars'],
        f'{sums["bytes"] / 1e6:.1f}',
        f'{one["operations"] / one["images"] / 1e9:.0f}',
      ]
    )
  columns = (
    'S,width,devices,parameters,channels of batch norms,all-reduces,'
    'numbers,scalars,MB,10^9 operations an image'
  )
  return table(columns.split(','), rows)


def _step(
  machine: efficiency.Machine, one: Any, devices: int, images: int
) -> efficiency.Step:
  sums = one['collectives']['all-reduce']
  operations = one['operations'] / one['images'] * images
  return efficiency.step(
    machine, devices, operations, sums['count'], sums['bytes']
  )


def efficiency_table(results: Sequence[Any], counts: Sequence[int]) -> str:
  """Without and with overlap, by the number of devices."""
  rows = []
  for one in results:
    for machine in efficiency.MACHINES:
      for images in IMAGES:
        steps = [_step(machine, one, n, images) for n in counts]
        rows.append(
          [
            TITLES.get(one['network'], one['network']),
            machine.name,
            images,
            f'{1e3 * steps[-1].arithmetic:.1f}',
            f'{1e3 * steps[-1].gradients:.1f}',
            f'{1e3 * steps[-1].waiting:.1f}',
            *(f'{s.without_overlap:.2f} / {s.with_overlap:.2f}' for s in steps),
            f'{images * efficiency.HOST / steps[-1].seconds:.0f}',
          ]
        )
  last = counts[-1]
  columns = ['S', 'chip', 'images a chip', 'arithmetic, ms']
  columns += [f'gradients, ms ({last})', f'waiting, ms ({last})']
  columns += [str(n) for n in counts]
  return table([*columns, f'images/s a host ({last})'], rows)


def main() -> int:
  """Prints the tables."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--networks', default='fcn8,deeplab_v2')
  parser.add_argument('--devices', default='8,64,256', help='8 or more, by 2')
  parser.add_argument('--width', type=float, default=1.0, help='of S and F')
  parser.add_argument('--image_size', default='256,512', help='height,width')
  options = parser.parse_args()
  counts = [int(count) for count in options.devices.split(',')]
  wrong = [n for n in counts if n < efficiency.HOST or n & (n - 1)]
  if wrong:
    print(
      f'error: --devices has {wrong[0]}; give powers of two, 8 or more',
      file=sys.stderr,
    )
    return 2
  results = [
    compiled(network, count, options.width, options.image_size)
    for network in options.networks.split(',')
    for count in counts
  ]
  print(f'{counted_table(results)}\n')
  largest = [one for one in results if one['devices'] == counts[-1]]
  print(efficiency_table(largest, counts))
  said = [problem for one in results for problem in problems(one)]
  if said:
    print(f'error: {"; ".join(said)}', file=sys.stderr)
  return 1 if said else 0


if __name__ == '__main__':
  sys.exit(main())
