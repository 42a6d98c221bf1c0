"""FSNet's training steps against PyTorch's, in one interleaved run.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --image_size=256,512 --batch_size=2 \
        --width=1 --head_width=0 --rounds=5

Contenders: `jax` (our steps with convolutions in the back end's chosen
forms), `jax-plain` (the same with plain convolutions), `torch` (NCHW) and
`torch-channels_last`. Each lives in a process of its own; in every round each
takes a few steps while the others sleep, so that a busy machine disturbs all
alike. Printed: the median and the fastest step, the ratio of medians to the
better PyTorch (below 1: we are faster), and the peak memory of the process.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import time

CONTENDERS = ('jax', 'jax-plain', 'torch', 'torch-channels_last')


def jax_stepper(name, settings, phase):
  """A function that takes one step of ours, and the seconds to compile."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from benchmarks import torch_reference
  from fsnet_jax import optimizers, train_step
  from fsnet_jax.models import conv_forms, failure_net, fcn8, fsnet

  model = fsnet.FSNet(
    fcn8.FCN8(
      width=settings['width'],
      head_width=settings['head_width'],
      padding=settings['padding'],
      input_scale=1 / 64,
    ),
    failure_net.FailureNet(settings['width'], settings['decoder']),
  )
  optimizer = optimizers.make_optimizer(
    segmentation_lr=lambda step: jnp.float32(2e-4),
    momentum=0.99,
    weight_decay=5e-4,
    failure_lr=2e-4,
  )
  state = train_step.create_state(
    model,
    optimizer,
    seed=0,
    image_size=settings['image_size'],
    phase2_start=0,
  )
  images, labels = torch_reference.batch_of(settings)
  batch = jax.device_put({'image': images, 'label': labels})
  step = train_step.make_train_step(
    model, optimizer, phase=phase, options=train_step.LossOptions()
  )
  started = time.perf_counter()
  with conv_forms.use('plain' if name == 'jax-plain' else 'auto'):
    lowered = jax.jit(step, donate_argnums=0).lower(state, batch)
  compiled = lowered.compile()
  seconds = time.perf_counter() - started
  holder = [jax.device_put(state)]

  def run():
    holder[0], scalars = compiled(holder[0], batch)
    return float(np.asarray(scalars['loss']))

  return run, seconds


def torch_stepper(name, settings, phase):
  """A function that takes one step of PyTorch's; it has no compilation."""
  import torch

  from benchmarks import torch_reference

  torch.manual_seed(0)
  trainer = torch_reference.Trainer(settings, name.endswith('channels_last'))
  images, labels = torch_reference.batch_of(settings)
  return lambda: trainer.step(phase, images, labels), 0.0


def work(connection, name, settings, phase):
  """A contender's process: steps when told to, then says what it took."""
  build = jax_stepper if name.startswith('jax') else torch_stepper
  run, compile_seconds = build(name, settings, phase)
  for _ in range(2):
    run()
  connection.send(compile_seconds)
  while (count := connection.recv()) > 0:
    times = []
    for _ in range(count):
      started = time.perf_counter()
      run()
      times.append(time.perf_counter() - started)
    connection.send(times)
  connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def compete(settings, phase, contenders, rounds, steps):
  """Milliseconds of every step, compile seconds and GiB, by contender."""
  context = multiprocessing.get_context('spawn')
  workers = {}
  results = {name: {'ms': []} for name in contenders}
  for name in contenders:
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, name, settings, phase))
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
  return (
    f'{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, '
    f'jax {jax.__version__} ({jax.default_backend()}), '
    f'torch {torch.__version__}'
  )


def report(title, results):
  """Prints one table."""
  medians = {n: statistics.median(r['ms']) for n, r in results.items()}
  peers = [m for name, m in medians.items() if name.startswith('torch')]
  print(f'\n{title}')
  print(
    f'{"":22}{"median":>9}{"fastest":>9}{"ratio":>8}{"GiB":>7}{"compile":>9}'
  )
  for name, result in results.items():
    ratio = f'{medians[name] / min(peers):.2f}' if peers else '-'
    print(
      f'{name:22}{medians[name]:9.1f}{min(result["ms"]):9.1f}{ratio:>8}'
      f'{result["gib"]:7.2f}{result["compile_secs"]:8.1f}s'
    )


def parse_arguments():
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='64,128', help='height,width')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--width', type=float, default=0.25)
  parser.add_argument('--head_width', type=int, default=0, help='0: 4096*width')
  parser.add_argument('--padding', default='same', help='same or pad99')
  parser.add_argument('--decoder', default='skips')
  parser.add_argument('--phases', default='1,2', help='1: S alone, 2: joint')
  parser.add_argument('--contenders', default=','.join(CONTENDERS))
  parser.add_argument('--rounds', type=int, default=8)
  parser.add_argument('--steps', type=int, default=3, help='in each round')
  return parser.parse_args()


def main():
  arguments = parse_arguments()
  settings = {
    'image_size': tuple(int(n) for n in arguments.image_size.split(',')),
    'batch_size': arguments.batch_size,
    'width': arguments.width,
    'head_width': arguments.head_width or None,
    'padding': arguments.padding,
    'decoder': arguments.decoder,
  }
  print(machine())
  print(settings)
  for phase in [int(n) for n in arguments.phases.split(',')]:
    results = compete(
      settings,
      phase,
      arguments.contenders.split(','),
      arguments.rounds,
      arguments.steps,
    )
    title = 'FCN8 (phase 1)' if phase == 1 else 'FSNet (joint phase)'
    report(f'{title}: milliseconds a step', results)


if __name__ == '__main__':
  main()
