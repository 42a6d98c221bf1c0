"""FSNet's training steps against PyTorch's, in one interleaved run.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --image_size=256,512 --width=1 \
        --network=deeplab_v2 --dtype=bfloat16 --rounds=5

Contenders: `jax` (our steps with convolutions in the back end's chosen
forms), `jax-plain` (the same with plain convolutions), `torch` (NCHW),
`torch-channels_last` and `torch-compile` (channels last, too). Each lives in a
process of its own; in every round each takes a few steps while the others
sleep, so that a busy machine disturbs all alike. Printed: the median and the
fastest step, images a second, the share of the device's measured matmul peak
(operations of the plain program, whoever runs it), the ratios of medians and
of fastest steps to the best PyTorch's (below 1: we are faster), and the peak
memory of the device, or on a CPU of the process. `--clock=cpu` counts the
processor time of all threads of a process: with one core for the command
(`taskset -c 0`) it says on a busy machine, too, what a step costs.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import time

from benchmarks.subjects import steppers
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

# Threads of PyTorch that wait do not count as work.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
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
  'efficientnet_unet': 'EfficientNet U-Net',
}


def work(connection, name, settings, phase, clock):
  """A contender's process: steps when told to, then says what it took."""
  now = CLOCKS[clock]
  own = name.startswith('jax')
  build = steppers.jax_stepper if own else steppers.torch_stepper
  run, compile_seconds = build(name, settings, phase)
  for _ in range(2):
    run()
  connection.send(compile_seconds)
  while (count := connection.recv()) > 0:
    times = []
    for _ in range(count):
      started = now()
      run()
      times.append(now() - started)
    connection.send(times)
  connection.send(steppers.gib(name))


def compete(settings, phase, contenders, rounds, steps, clock='wall'):
  """Milliseconds of every step, compile seconds and GiB, by contender."""
  context = multiprocessing.get_context('spawn')
  workers = {}
  results = {name: {'ms': []} for name in contenders}
  for name in contenders:
    ours, theirs = context.Pipe()
    process = context.Process(
      target=work, args=(theirs, name, settings, phase, clock)
    )
    process.start()
    theirs.close()
    workers[name] = process, ours
    # One at a time: compiling beside another's compiling says nothing.
    results[name]['compile_secs'] = ours.recv()
  for index in range(rounds):
    # Every round begins with another contender.
    order = contenders[index % len(contenders) :]
    order += contenders[: index % len(contenders)]
    for name in order:
      workers[name][1].send(steps)
      times = workers[name][1].recv()
      results[name]['ms'] += [1e3 * seconds for seconds in times]
  for name, (process, ours) in workers.items():
    ours.send(0)
    results[name]['gib'] = ours.recv()
    process.join()
  return results


def machine():
  """One line on what this ran on."""
  import jax
  import torch

  model = platform.processor() or platform.machine()
  if os.path.exists('/proc/cpuinfo'):
    with open('/proc/cpuinfo') as file:
      names = [line for line in file if line.startswith('model name')]
    model = names[0].split(':')[1].strip() if names else model
  device = '' if jax.default_backend() == 'cpu' else f'{jax.devices()[0]}, '
  return (
    f'{device}{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, '
    f'jax {jax.__version__} ({jax.default_backend()}), '
    f'torch {torch.__version__}'
  )


def report(title, results, images, operations, peak):
  """Prints one table.

  Args:
    title: above it.
    results: of `compete`.
    images: in a step.
    operations: floating-point operations of a step.
    peak: operations a second that the device reaches in matrix products.
  """
  medians = {n: statistics.median(r['ms']) for n, r in results.items()}
  fastest = {n: min(r['ms']) for n, r in results.items()}
  peers = [name for name in results if name.startswith('torch')]
  print(f'\n{title}')
  print(
    f'{"":22}{"median":>9}{"fastest":>9}{"ratio":>8}{"fastest":>8}{"images/s":>10}'
    f'{"peak":>7}{"GiB":>7}{"compile":>9}'
  )
  for name, result in results.items():
    ratios = ['-', '-']
    if peers:
      ratios = [
        f'{each[name] / min(each[peer] for peer in peers):.2f}'
        for each in (medians, fastest)
      ]
    seconds = medians[name] / 1e3
    print(
      f'{name:22}{medians[name]:9.1f}{fastest[name]:9.1f}{ratios[0]:>8}'
      f'{ratios[1]:>8}'
      f'{images / seconds:10.1f}{operations / seconds / peak:7.1%}'
      f'{result["gib"]:7.2f}{result["compile_secs"]:8.1f}s'
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
  parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
  parser.add_argument('--rounds', type=int, default=8)
  parser.add_argument('--steps', type=int, default=3, help='in each round')
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
  }
  chosen = arguments.contenders.split(',') if arguments.contenders else ()
  contenders = tuple(chosen) or CONTENDERS[jax.default_backend()]
  peak, side = steppers.matmul_peak(arguments.dtype)
  print(f'{machine()}, {arguments.clock} clock')
  print(
    f'peak: {peak / 1e12:.3g} Tflop/s, {arguments.dtype} matrices of {side}'
  )
  print(settings)
  title = TITLES[arguments.network]
  for phase in _numbers(arguments.phases):
    results = compete(
      settings,
      phase,
      contenders,
      arguments.rounds,
      arguments.steps,
      arguments.clock,
    )
    report(
      f'{title if phase == 1 else f"FSNet on {title}"}, phase {phase}: '
      'milliseconds a step',
      results,
      settings['batch_size'],
      steppers.floating_point_operations(settings, phase),
      peak,
    )


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
