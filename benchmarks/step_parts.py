"""Where a training step of FCN8 spends its time: ours and PyTorch's, by part.

    taskset -c 1 python -m benchmarks.step_parts --width=0.125 --head_width=256

Both sides are profiled by their own profilers on the same images, one after
the other; a part is told by the names that the profilers give. Milliseconds a
step, of one thread: pin the process to one core. What neither a name nor a
shape tells apart is in `rest`.
"""

import argparse
import collections
import re
import tempfile
from pathlib import Path

from benchmarks import train_step
from benchmarks.subjects import steppers
from fsnet_jax.models.layers.basic import scaled
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

PARTS = (
  'convolutions of the first stage',
  'other convolutions',
  'upsampling',
  'softmax and loss',
  'pooling and ReLU',
  'optimiser',
  'rest',
)
_INSTRUCTION = re.compile(
  r'^\s*(?:ROOT )?%?([\w.\-]+) = (\S+) ([\w\-]+)\((.*)$', re.MULTILINE
)
_OP_NAME = re.compile(r'op_name="([^"]*)"')
# What PyTorch calls them; convolutions are told apart by their shapes.
_TORCH_PARTS = {
  'upsampling': ('upsample',),
  'softmax and loss': ('softmax', 'nll_loss'),
  'pooling and ReLU': ('max_pool', 'aten::relu', 'clamp_min', 'threshold'),
  'optimiser': ('_foreach', 'Optimizer'),
}


def _our_part(name, shape, opcode, settings):
  """The part of one instruction, from its `op_name` and result."""
  if 'upsample' in name:
    return 'upsampling'
  # Gradients of kernels, and what is transposed for them, lose their names on
  # the way through XLA.
  kernel = re.match(r'f32\[(\d+),(\d),\2,(\d+)\]', shape)
  thin = scaled(64, settings['width'])
  first = kernel and max(int(kernel[1]), int(kernel[3])) <= thin
  if not name and not kernel:
    height, width = settings['image_size']
    kernel = re.match(r'f32\[\d+,\d+,\d+,\d+\]', shape)
    first = re.match(rf'f32\[\d+,{height},{width},\d+\]', shape)
  if re.search(r'/conv1_\d/(conv|dot|b|reduce)', name) or first:
    return PARTS[0]
  if 'relu' in name or 'select' in name or 'reduce_max' in name:
    return 'pooling and ReLU' if 'FCN8' in name else 'softmax and loss'
  if 'FCN8' in name or opcode == 'convolution' or kernel:
    return 'other convolutions'
  if 'jvp()' in name or 'jvp(jit' in name:
    return 'softmax and loss'
  return 'optimiser' if name.startswith('jit(train_step)/') else 'rest'


def ours(settings, steps):
  """Milliseconds of a step by part."""
  import jax

  lowered, state, batch = steppers.lower('jax', settings, 1)
  compiled = lowered.compile()
  text = compiled.as_text()
  assert text is not None  # CPUs and GPUs have one.
  instructions = {
    name: (shape, opcode, _OP_NAME.search(rest))
    for name, shape, opcode, rest in _INSTRUCTION.findall(text)
  }

  def run(state):
    state, scalars = compiled(state, batch)
    scalars['loss'].block_until_ready()
    return state

  state = run(run(state))
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      for _ in range(steps):
        state = run(state)
    file = next(Path(folder).rglob('*.xplane.pb'))
    profile = jax.profiler.ProfileData.from_file(str(file))
  parts = collections.Counter()
  for plane in profile.planes:
    for line in plane.lines:
      for event in line.events:
        operation = dict(event.stats).get('hlo_op')
        if operation is None or event.name.startswith('end:'):
          continue
        shape, opcode, name = instructions.get(operation, ('', '', None))
        part = _our_part(name[1] if name else '', shape, opcode, settings)
        parts[part] += event.duration_ns / 1e6 / steps
  return parts


def _torch_part(event, settings):
  """The part of one profiled operation of PyTorch."""
  shapes = [list(shape) for shape in event.input_shapes if len(shape) == 4]
  if 'convolution' in event.key:
    # Backwards, the first shape is that of the incoming gradient.
    thin = max(shapes[-1][:2]) <= scaled(64, settings['width'])
    return PARTS[0] if thin else 'other convolutions'
  for part, words in _TORCH_PARTS.items():
    if any(word in event.key for word in words):
      return part
  if not shapes:
    return 'rest'
  # Sums and copies are told by what they are of: maps of 19 classes are laid
  # out for the upsampling and its gradient, arrays of kernels are updated.
  if shapes[0][1:] == [19, *settings['image_size']]:
    return 'upsampling'
  odd = shapes[0][2] == shapes[0][3] and shapes[0][2] % 2 == 1
  return 'optimiser' if odd else 'rest'


def theirs(settings, steps):
  """The same of PyTorch, channels last."""
  import torch
  from torch.profiler import ProfilerActivity, profile

  torch.set_num_threads(1)
  run = steppers.torch_stepper('torch-channels_last', settings, 1).run
  for _ in range(2):
    run()
  with profile(
    activities=[ProfilerActivity.CPU], record_shapes=True
  ) as profiler:
    for _ in range(steps):
      run()
  parts = collections.Counter()
  for event in profiler.key_averages(group_by_input_shape=True):
    milliseconds = event.self_cpu_time_total / 1e3 / steps
    parts[_torch_part(event, settings)] += milliseconds
  return parts


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--image_size', default='64,128', help='height,width')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--head_width', type=int, default=256)
  parser.add_argument('--steps', type=int, default=5)
  arguments = parser.parse_args()
  settings = {
    'network': 'fcn8',
    'image_size': tuple(int(n) for n in arguments.image_size.split(',')),
    'batch_size': arguments.batch_size,
    'width': arguments.width,
    'dtype': 'float32',
    'head_width': arguments.head_width or None,
    'padding': 'same',
    'decoder': 'skips',
  }
  print(train_step.machine())
  print(settings)
  own = ours(settings, arguments.steps)
  other = theirs(settings, arguments.steps)
  print(f'\n{"milliseconds a step":34}{"ours":>8}{"PyTorch":>9}{"more":>8}')
  rows = [(part, own[part], other[part]) for part in PARTS]
  for part, a, b in [*rows, ('all', own.total(), other.total())]:
    print(f'{part:34}{a:8.1f}{b:9.1f}{a - b:8.1f}')


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
