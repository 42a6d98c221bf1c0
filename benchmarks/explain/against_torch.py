"""Explaining pool images against PyTorch, in one interleaved run.

    python -m benchmarks.explain
    python -m benchmarks.explain --image_size=256,512 --width=0.5 \
        --batch_size=1 --rounds=3

U-Net of the demo's size, a batch as the loop reads the pool. Tasks:

- forward: logits alone;
- map: Grad-CAM of the predicted classes at the bottleneck;
- score: what an image of the pool costs: entropy of the image, the map of
  the depth-informed image, and the mean of both. Two forward passes, one
  backward pass that ends at the bottleneck;
- classes: one map for each of 19 classes at the bottleneck, and their
  maximum; ours in each form of `class_maps`;
- last: the same at the last block, in closed form; and by backward passes.

PyTorch does the same (`torch_gradcam`), in its default memory format and in
channels_last. Each contender lives in a process of its own; in every round
each takes a task in turn while the others sleep. Printed: medians, the ratio
to our own forward pass and PyTorch's to its own (of the better format), the
ratio of ours to the better PyTorch (below 1: we are faster), and the largest
difference of the results. `--clock=cpu` counts the processor time of all
threads instead: on a machine that others use, pin it to one core and use that.
"""

import argparse
import datetime
import multiprocessing
import os
import statistics
import time

# PyTorch's idle threads must not spin while ours work.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')

CONTENDERS = ('jax', 'torch', 'torch-channels_last')
TASKS = ('forward', 'map', 'score', 'classes', 'last', 'last by passes')
FORMS = ('batched', 'unrolled', 'sequential')
NUM_CLASSES = 19
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}


def network_of(settings):
  """The loop's networks and how it explains, for a benchmark's settings."""
  from configs import segxal_unet
  from segxal_jax.config import builders, trainings

  config = segxal_unet.get_config('streets')
  config.image_size = settings['image_size']
  config.width = settings['width']
  return trainings.model(config), builders.explain_options(config)


def variables_of(settings):
  """Random weights, with statistics that no layer can leave unused."""
  import numpy as np

  model, _ = network_of(settings)
  params, stats = model.init(0, settings['image_size'])
  rng = np.random.default_rng(0)

  def disturbed(leaf):
    return leaf + 0.1 * np.abs(rng.standard_normal(leaf.shape, np.float32))

  stats = {name: _mapped(disturbed, tree) for name, tree in stats.items()}
  return params, stats


def _mapped(function, tree):
  if isinstance(tree, dict):
    return {name: _mapped(function, leaf) for name, leaf in tree.items()}
  return function(tree)


def batch_of(settings):
  """Smooth random images [b h w 3], attention and usable pixels [b h w]."""
  import cv2
  import numpy as np

  rng = np.random.default_rng(0)
  height, width = settings['image_size']
  count = settings['batch_size']
  coarse = rng.uniform(0, 256, (count, 8, 16, 3)).astype(np.float32)
  images = [cv2.resize(image, (width, height)) for image in coarse]
  noise = rng.normal(0, 8, (count, height, width, 3))
  near = np.linspace(0, 1, height, dtype=np.float32)[None, :, None]
  near = np.where(near < 0.4, 0, near) * np.ones((count, 1, width), np.float32)
  usable = np.ones((count, height, width), bool)
  usable[:, height - round(0.11 * height) :] = False
  return {
    'image': np.clip(np.stack(images) + noise, 0, 255).astype(np.uint8),
    'near': near.astype(np.float32),
    'usable': usable,
  }


def jax_tasks(settings, variables, batch):
  """Name -> function of no argument; compiled at its first call."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from segxal_jax.explanation import step as explain_step
  from segxal_jax.explanation.gradcam import core

  model, options = network_of(settings)
  params, stats = jax.device_put(variables)
  batch = jax.device_put(batch)
  apply = explain_step.logits_fn(model)

  def compiled(function):
    function = jax.jit(function)
    return lambda: np.asarray(function(params, stats, batch))

  def forward(params, stats, batch):
    variables = explain_step.variables_of(params, stats)
    return apply(variables, batch['image'].astype(jnp.float32))

  def maps(layer, **cam):
    def run(params, stats, batch):
      variables = explain_step.variables_of(params, stats)
      images = batch['image'].astype(jnp.float32)
      how = core.CamOptions(**cam)
      return core.grad_cam(apply, variables, images, layer, None, how)

    return compiled(run)

  step = explain_step.make_score_step(model, options, ('eem',), False)
  key = jax.random.key(0)

  def score(params, stats, batch):
    return step(params, stats, batch, key)['eem']

  every = tuple(range(NUM_CLASSES))
  tasks = {
    'forward': compiled(forward),
    'map': maps(options.layer),
    'score': compiled(score),
    'classes': maps(options.layer, classes=every),
    'last': maps('block1', classes=every, classifier=('score',)),
    'last by passes': maps('block1', classes=every),
  }
  for form in FORMS:
    name = f'classes {form}'
    tasks[name] = maps(options.layer, classes=every, passes=form)
  return tasks


def torch_tasks(name, settings, variables, batch):
  """Name -> function of no argument."""
  from benchmarks.peers import torch_gradcam

  params, stats = variables
  tree = {
    'params': params['segmentation'],
    'batch_stats': stats['segmentation'],
  }
  channels_last = name.endswith('channels_last')
  return torch_gradcam.Explainer(settings, tree, batch, channels_last).tasks


def work(connection, name, settings, variables):
  """A contender's process: answers what each task took, and came to."""
  batch = batch_of(settings)
  clock = CLOCKS[settings['clock']]
  if name == 'jax':
    tasks = jax_tasks(settings, variables, batch)
  else:
    tasks = torch_tasks(name, settings, variables, batch)
  while True:
    task, steps, wanted = connection.recv()
    times, result = [], None
    for _ in range(steps):
      started = clock()
      result = tasks[task]()
      times.append(clock() - started)
    connection.send((times, result if wanted else None))


class Contest:
  """The contenders' processes, and all that they took.

  Attributes:
    ms: {(task, contender): milliseconds of each call}.
    first: {(task, contender): seconds of the first call}.
    results: {(task, contender): what it came to}.
  """

  def __init__(self, settings, contenders):
    context = multiprocessing.get_context('spawn')
    self.contenders = list(contenders)
    self.ms, self.first, self.results = {}, {}, {}
    self._workers = {}
    variables = variables_of(settings)
    for name in contenders:
      ours, theirs = context.Pipe()
      process = context.Process(
        target=work, args=(theirs, name, settings, variables)
      )
      process.start()
      theirs.close()
      self._workers[name] = process, ours

  def entrants(self, task):
    """Who takes part: our forms of a task have no peer."""
    ours = task.removeprefix('classes ') in FORMS
    return ['jax'] if ours else self.contenders

  def warm_up(self, tasks):
    """First calls, which compile, one contender at a time."""
    for task in tasks:
      for name in self.entrants(task):
        times, result = self._call(name, task, 1, True)
        self.first[task, name] = times[0]
        self.results[task, name] = result
        self.ms[task, name] = []

  def play(self, tasks, rounds, steps):
    """Every round, each contender takes each task."""
    for index in range(rounds):
      for task in tasks:
        entrants = self.entrants(task)
        turn = index % len(entrants)
        for name in entrants[turn:] + entrants[:turn]:
          times, _ = self._call(name, task, steps, False)
          self.ms[task, name] += [1e3 * seconds for seconds in times]

  def close(self):
    """Ends the processes, those too that wait for an order."""
    for process, _ in self._workers.values():
      process.kill()
      process.join()

  def _call(self, name, task, steps, wanted):
    connection = self._workers[name][1]
    connection.send((task, steps, wanted))
    return connection.recv()


def report(contest, tasks):
  """Prints the table."""
  medians = {at: statistics.median(ms) for at, ms in contest.ms.items()}
  peers = [name for name in contest.contenders if name != 'jax']
  width = max(map(len, tasks)) + 2
  print(
    f'\n{"milliseconds":{width}}{"ours":>9}{"x fwd":>7}'
    + ''.join(f'{name.replace("channels", "ch"):>15}' for name in peers)
    + f'{"x fwd":>7}{"ratio":>7}{"differ":>9}{"first":>8}'
  )
  best = min((medians['forward', name] for name in peers), default=None)
  for task in tasks:
    line, ours = f'{task:{width}}', None
    if 'jax' in contest.contenders:
      ours = medians[task, 'jax']
      line += f'{ours:9.1f}{ours / medians["forward", "jax"]:7.2f}'
    theirs = [medians[task, n] for n in contest.entrants(task) if n != 'jax']
    line += ''.join(f'{value:15.1f}' for value in theirs)
    if theirs and ours is not None:
      gap = difference(contest.results, task, peers[0])
      line += f'{min(theirs) / best:7.2f}{ours / min(theirs):7.2f}{gap:9.0e}'
    else:
      line += ' ' * (15 * (len(peers) - len(theirs)) + 23)
    line += f'{contest.first[task, contest.contenders[0]]:7.1f}s'
    print(line)


def difference(results, task, peer):
  """Median difference of our result and PyTorch's.

  The median, not the largest: where two logits are level, rounding decides
  which class a pixel counts for.
  """
  import numpy as np

  ours, theirs = results[task, 'jax'], results[task, peer]
  if task == 'forward':
    theirs = np.moveaxis(theirs, 1, -1)
  return float(np.median(np.abs(ours - theirs)))


def parse_arguments():
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='64,128', help='height,width')
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--tasks', default=','.join(TASKS))
  parser.add_argument('--forms', default=','.join(FORMS), help="of 'classes'")
  parser.add_argument('--contenders', default=','.join(CONTENDERS))
  parser.add_argument('--clock', choices=tuple(CLOCKS), default='wall')
  parser.add_argument('--rounds', type=int, default=8)
  parser.add_argument('--steps', type=int, default=2, help='in each round')
  return parser.parse_args()


def main():
  """Prints the table."""
  from benchmarks.train_step import machine

  arguments = parse_arguments()
  settings = {
    'image_size': tuple(int(n) for n in arguments.image_size.split(',')),
    'batch_size': arguments.batch_size,
    'width': arguments.width,
    'classes': NUM_CLASSES,
    'clock': arguments.clock,
  }
  tasks = arguments.tasks.split(',')
  if 'classes' in tasks and arguments.forms:
    tasks += [f'classes {form}' for form in arguments.forms.split(',')]
  print(f'{datetime.date.today()}, {machine()}')
  if hasattr(os, 'sched_getaffinity'):
    print(f'cores in use: {len(os.sched_getaffinity(0))}')
  print(settings)
  contest = Contest(settings, arguments.contenders.split(','))
  try:
    contest.warm_up(tasks)
    contest.play(tasks, arguments.rounds, arguments.steps)
  finally:
    contest.close()
  report(contest, tasks)
  print(f'load at the end: {os.getloadavg()[0]:.1f}')
