"""FSNet's training steps against PyTorch's, in one interleaved run.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --image_size=256,512 --width=1 \
        --network=deeplab_v2 --dtype=bfloat16 --rounds=5

Contenders: `jax` (our steps with convolutions in the back end's chosen
forms), `jax-plain` (the same with plain convolutions), `torch` (NCHW),
`torch-channels_last` and `torch-compile` (channels last, too). Each lives in a
process of its own; in every round each takes a few steps while the others
sleep, so that a busy machine disturbs all alike. Both sides take the norm of
the gradient, which training logs, or neither does (`--gradient_norm`). Printed:
the median and the fastest step, images a second, the share of the device's
measured matmul peak (operations of the plain program, whoever runs it), the
ratios of medians and of fastest steps to the best PyTorch's (below 1: we are
faster), and the peak memory of the device, or on a CPU of the process.
`--clock=cpu` counts the processor time of all threads of a process: with one
core for the command (`taskset -c 0`) it says on a busy machine, too, what a
step costs.
"""

import argparse
import importlib.util
import json
import os
import platform

from benchmarks.subjects import contest, steppers
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

# Threads of PyTorch that wait do not count as work.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
# On a GPU the chosen forms are the plain ones; on a CPU `torch.compile` needs
# minutes and a C++ compiler, so it joins when it is named.
CONTENDERS = {
  'cpu': ('jax', 'jax-plain', 'torch', 'torch-channels_last'),
  'gpu': ('jax', 'torch', 'torch-channels_last', 'torch-compile'),
  'tpu': ('jax',),
}
TITLES = {
  'fcn8': 'FCN8',
  'deeplab_v2': 'DeepLabV2',
  'unet': 'U-Net',
  'efficientnet_unet': 'EfficientNet U-Net',
}


def machine():
  """One line on what this ran on."""
  import jax

  model = platform.processor() or platform.machine()
  if os.path.exists('/proc/cpuinfo'):
    with open('/proc/cpuinfo') as file:
      names = [line for line in file if line.startswith('model name')]
    model = names[0].split(':')[1].strip() if names else model
  device = '' if jax.default_backend() == 'cpu' else f'{jax.devices()[0]}, '
  said = (
    f'{device}{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, '
    f'jax {jax.__version__} ({jax.default_backend()})'
  )
  if importlib.util.find_spec('torch'):
    import torch

    said += f', torch {torch.__version__}'
  return said


def report(title, rows):
  """Prints one table; rows are of `contest.rows`."""
  print(f'\n{title}')
  print(
    f'{"":22}{"median":>9}{"fastest":>9}{"ratio":>8}{"fastest":>8}{"images/s":>10}'
    f'{"peak":>7}{"GiB":>7}{"compile":>9}'
  )
  for row in rows:
    if 'failed' in row:
      print(f'{row["contender"]:22}  {row["failed"]}')
      continue
    ratios = [row['ratio'], row['fastest_ratio']]
    ratios = ['-' if one is None else f'{one:.2f}' for one in ratios]
    share = row['peak_share']
    share = '-' if share is None else f'{share:.1%}'
    print(
      f'{row["contender"]:22}{row["median_ms"]:9.1f}{row["fastest_ms"]:9.1f}'
      f'{ratios[0]:>8}{ratios[1]:>8}{row["images_per_s"]:10.1f}{share:>7}'
      f'{row["gib"]:7.2f}{row["compile_s"]:8.1f}s'
    )


def parse_arguments():
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--network', default='fcn8', choices=sorted(TITLES))
  parser.add_argument('--image_size', default='64,128', help='height,width')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument(
    '--width',
    type=float,
    default=0.25,
    help='of both networks; of F alone with efficientnet_unet',
  )
  parser.add_argument(
    '--dtype', default='float32', choices=('float32', 'bfloat16')
  )
  parser.add_argument('--head_width', type=int, default=0, help='0: 4096*width')
  parser.add_argument('--padding', default='same', help='same or pad99')
  parser.add_argument('--blocks', default='3,4,23,3', help='of DeepLabV2')
  parser.add_argument('--decoder', default='skips')
  parser.add_argument('--phases', default='1,2', help='1: S alone, 2: joint')
  parser.add_argument('--contenders', default='', help='default: see above')
  parser.add_argument('--clock', default='wall', choices=sorted(contest.CLOCKS))
  parser.add_argument(
    '--gradient_norm',
    default='both',
    choices=('both', 'neither'),
    help='who computes the norm that training logs',
  )
  parser.add_argument('--left_out', default='', help='to be named as such')
  parser.add_argument('--rounds', type=int, default=8)
  parser.add_argument('--steps', type=int, default=3, help='in each round')
  parser.add_argument(
    '--limit', type=float, help='seconds until all must be ready'
  )
  parser.add_argument(
    '--together',
    action='store_true',
    help='those that compile for long do so at the same time',
  )
  parser.add_argument('--peak_side', type=int, help="of the peak's matrices")
  parser.add_argument('--json', default='', help='file for the tables')
  return parser.parse_args()


def _numbers(text):
  return tuple(int(number) for number in text.split(','))


def main():
  import jax

  steppers.share_the_device()
  arguments = parse_arguments()
  settings = {
    'network': arguments.network,
    'image_size': _numbers(arguments.image_size),
    'batch_size': arguments.batch_size,
    'width': arguments.width,
    'dtype': arguments.dtype,
    'head_width': arguments.head_width or None,
    'padding': arguments.padding,
    'blocks': _numbers(arguments.blocks),
    'decoder': arguments.decoder,
    'clock': arguments.clock,
    'gradient_norm': arguments.gradient_norm == 'both',
  }
  chosen = arguments.contenders.split(',') if arguments.contenders else ()
  contenders = tuple(chosen) or CONTENDERS[jax.default_backend()]
  peak, side = steppers.matmul_peak(arguments.dtype, arguments.peak_side)
  print(f'{machine()}, {arguments.clock} clock')
  print(
    f'peak: {peak / 1e12:.3g} Tflop/s, {arguments.dtype} matrices of {side}'
  )
  print(settings)
  tables = []
  for phase in _numbers(arguments.phases):
    results = contest.compete(
      settings,
      phase,
      contenders,
      arguments.rounds,
      arguments.steps,
      arguments.limit,
      arguments.together,
    )
    counted = [r.operations for r in results.values() if r.operations]
    operations = (
      counted[0]
      if counted
      else steppers.floating_point_operations(settings, phase)
    )
    rows = contest.rows(results, settings['batch_size'], operations, peak)
    for name in filter(None, arguments.left_out.split(',')):
      rows.append({'contender': name, 'failed': 'left out'})
    title = TITLES[arguments.network]
    title = title if phase == 1 else f'FSNet on {title}'
    norm = f'norm of the gradient: {arguments.gradient_norm}'
    report(f'{title}, phase {phase}: milliseconds a step ({norm})', rows)
    table = {'title': title, 'phase': phase, 'peak': peak, 'rows': rows}
    tables.append(table | {'gradient_norm': arguments.gradient_norm})
    if arguments.json:
      with open(arguments.json, 'w') as file:
        json.dump({'settings': settings, 'tables': tables}, file, indent=1)


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
