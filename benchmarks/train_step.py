"""FSNet's training steps against PyTorch's, in one interleaved run.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --image_size=256,512 --width=1 \
        --network=deeplab_v2 --dtype=bfloat16 --rounds=5
    python -m benchmarks.train_step --measure=memory
    python -m benchmarks.train_step --measure=compiling --network=unet
    python -m benchmarks.train_step --threads=2 \
        --contenders=jax,jax-devices,torch,torch-channels_last

Contenders: `jax` (our steps with convolutions in the back end's chosen
forms), `jax-plain` (the same with plain convolutions), `jax-devices` (as `jax`,
the batch shared by a virtual device a thread), `torch` (NCHW),
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
step costs. `--threads` is how many each may use, by default one a core that the
command may run on.

`--measure=memory` takes a few steps of each contender in a process that does
nothing else, and prints what of that process is resident (see
`benchmarks.subjects.step_costs`); ours has a process that compiles its programs
and one that reads them from the cache of compiled programs, as a second run of
a config does. `--measure=compiling` compiles our steps, with chosen and with
plain convolutions, in processes of their own and without that cache.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import platform

from benchmarks.subjects import contest, step_costs, steppers
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


def report(rows):
  """Prints one table; rows are of `contest.rows`."""
  print(
    f'{"milliseconds":22}{"median":>9}{"fastest":>9}{"ratio":>8}{"fastest":>8}{"images/s":>10}'
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


def _gib(value):
  return '-' if value is None else f'{value:.2f}'


def report_memory(settings, phase, contenders):
  """Measures and prints what is resident; ratios are to PyTorch's least."""
  rows = step_costs.memory(settings, phase, contenders)
  peers = [row for row in rows if row.contender.startswith('torch')]

  def ratio(row, name):
    own = getattr(row, name)
    others = [getattr(peer, name) for peer in peers]
    if own is None or not others or None in others:
      return '-'
    return f'{own / min(others):.2f}'

  print(
    f'{"GiB resident":24}{"imports":>9}{"ready":>9}{"steps":>9}{"peak":>9}'
    f'{"steps/best":>12}{"peak/best":>11}{"arguments":>11}{"work":>7}'
  )
  for row in rows:
    parts = (row.imports, row.ready, row.steps, row.peak)
    print(
      f'{row.contender:24}{"".join(f"{_gib(part):>9}" for part in parts)}'
      f'{ratio(row, "steps"):>12}{ratio(row, "peak"):>11}'
      f'{_gib(row.arguments):>11}{_gib(row.work):>7}'
    )
  return [dataclasses.asdict(row) | {'peak': row.peak} for row in rows]


def report_compiling(settings, phase, contenders, repeats):
  """Measures and prints seconds; ratios are to plain convolutions."""
  own = [name for name in contenders if name.startswith('jax')]
  rows = step_costs.compiling(settings, phase, own, repeats)
  plain = [row for row in rows if row.contender == 'jax-plain']
  print(f'{"seconds":24}{"tracing":>9}{"compiling":>11}{"to plain":>10}')
  for row in rows:
    ratio = f'{row.compiling / plain[0].compiling:.2f}' if plain else '-'
    print(
      f'{row.contender:24}{row.tracing:9.1f}{row.compiling:11.1f}{ratio:>10}'
    )
  return [dataclasses.asdict(row) for row in rows]


def report_time(settings, phase, contenders, arguments, peak):
  """Measures and prints milliseconds."""
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
  report(rows)
  return rows


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
  parser.add_argument(
    '--measure', default='time', choices=('time', 'memory', 'compiling')
  )
  parser.add_argument('--threads', type=int, default=steppers.cores())
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
    '--repeats', type=int, default=1, help='of compiling; the fastest counts'
  )
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


def _settings(arguments):
  """What `steppers` reads."""
  return {
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
    'threads': arguments.threads,
  }


def _contenders(arguments, backend):
  if arguments.contenders:
    return tuple(arguments.contenders.split(','))
  if arguments.measure == 'compiling':
    return 'jax', 'jax-plain'
  return CONTENDERS[backend]


def main():
  arguments = parse_arguments()
  steppers.use_threads(arguments.threads)
  steppers.share_the_device()
  import jax

  settings = _settings(arguments)
  contenders = _contenders(arguments, jax.default_backend())
  print(f'{machine()}, {arguments.clock} clock')
  peak = None
  if arguments.measure == 'time':
    peak, side = steppers.matmul_peak(arguments.dtype, arguments.peak_side)
    print(
      f'peak: {peak / 1e12:.3g} Tflop/s, {arguments.dtype} matrices of {side}'
    )
  print(settings)
  tables = []
  for phase in _numbers(arguments.phases):
    title = TITLES[arguments.network]
    title = title if phase == 1 else f'FSNet on {title}'
    norm = f'norm of the gradient: {arguments.gradient_norm}'
    print(f'\n{title}, phase {phase}: {arguments.measure} of a step ({norm})')
    if arguments.measure == 'memory':
      rows = report_memory(settings, phase, contenders)
    elif arguments.measure == 'compiling':
      rows = report_compiling(settings, phase, contenders, arguments.repeats)
    else:
      rows = report_time(settings, phase, contenders, arguments, peak)
    table = {'title': title, 'phase': phase, 'peak': peak, 'rows': rows}
    tables.append(table | {'gradient_norm': arguments.gradient_norm})
    if arguments.json:
      with open(arguments.json, 'w') as file:
        json.dump({'settings': settings, 'tables': tables}, file, indent=1)


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
