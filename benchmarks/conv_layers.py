"""Which convolutions of a network cost what, against PyTorch's.

    python -m benchmarks.conv_layers
    python -m benchmarks.conv_layers --network=fsnet --image_size=256,512 \
        --batch_size=2 --width=1 --repeats=3
    python -m benchmarks.conv_layers --network=efficientnet_unet \
        --image_size=96,128 --clock=cpu

Every convolution of the network is timed alone at the shapes it sees in
training: the convolution, the gradient of its input and that of its kernel,
in the form that `fsnet_jax.models.cpu.conv_forms` chooses and in PyTorch
(channels_last, or `--torch_format=contiguous`). `--clock=cpu` counts processor
time, for a machine that does other work; pin the process to one core. Layers
of one shape are timed once and counted as often as they occur; U-Net's
transposed convolutions, which have forms of their own, are left out. The sums
say where a training step is slower, and how much of it is not convolution
(`benchmarks.train_step` has the whole step). `--products` also times the
matrix products of a convolution alone, their operands lying ready in whichever
order is fastest (`benchmarks.subjects.bare_products`): no form that writes the
patches of a batch and multiplies them can be faster.
"""

import argparse
import collections
import dataclasses
import os
import statistics
import time

from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

# PyTorch's idle threads must not spin while ours work.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')

PARTS = ('forward', 'input gradient', 'kernel gradient')


@dataclasses.dataclass(frozen=True)
class Layer:
  """A convolution as a network calls it."""

  input_shape: tuple[int, int, int, int]
  kernel: tuple[int, int]
  features: int
  strides: tuple[int, int]
  pads: tuple[tuple[int, int], tuple[int, int]]
  dilation: tuple[int, int]
  groups: int = 1

  def __str__(self):
    _, height, width, channels = self.input_shape
    extra = f' /{self.strides[0]}' if self.strides != (1, 1) else ''
    rows, columns = self.kernel
    change = f'{channels}->{self.features}'
    if self.groups > 1:
      change = f'{channels} depthwise'
    return f'{rows}x{columns}{extra} {change}, {height}x{width}'


def layers_of(settings):
  """Counter of the network's convolutions, by shape and geometry."""
  import flax.linen as nn
  import jax
  import jax.numpy as jnp

  from fsnet_jax.models.failure import failure_net
  from fsnet_jax.models.segmentation import efficientnet_unet, fcn8, unet

  found = collections.Counter()

  def note(call, args, kwargs, context):
    module = context.module
    if isinstance(module, nn.Conv) and context.method_name == '__call__':
      found[_layer(module, args[0].shape)] += 1
    return call(*args, **kwargs)

  if settings.network == 'efficientnet_unet':
    segmentation = efficientnet_unet.EfficientNetUNet()
  elif settings.network == 'unet':
    segmentation = unet.UNet(width=settings.width)
  else:
    segmentation = fcn8.FCN8(
      width=settings.width,
      head_width=settings.head_width or None,
      padding='same',
      input_scale=1 / 64,
    )
  height, width = map(int, settings.image_size.split(','))
  images = jnp.zeros((settings.batch_size, height, width, 3))

  def run(key):
    output, _ = segmentation.init_with_output(key, images)
    if settings.network == 'fsnet':
      failure = failure_net.FailureNet(settings.width, 'skips')
      failure.init(key, images, output.logits, output.features, train=False)

  with nn.intercept_methods(note):
    jax.eval_shape(run, jax.random.key(0))
  return found


def _layer(module, shape):
  from jax import lax

  strides = _pair(module.strides)
  dilation = _pair(module.kernel_dilation)
  padding = module.padding
  if isinstance(padding, str):
    extent = [(k - 1) * d + 1 for k, d in zip(module.kernel_size, dilation)]
    padding = lax.padtype_to_pads(shape[1:3], extent, strides, padding)
  elif isinstance(padding, int):
    padding = [(padding, padding)] * 2
  rows, columns = map(_pair, padding)
  return Layer(
    tuple(shape),
    tuple(module.kernel_size),
    module.features,
    strides,
    (rows, columns),
    dilation,
    module.feature_group_count,
  )


def _pair(value) -> tuple[int, int]:
  if isinstance(value, int):
    return value, value
  first, second = value or (1, 1)
  return first, second


def jax_parts(layer):
  """One function for each of `PARTS`, compiled, that waits for its result."""
  import jax
  import numpy as np

  from fsnet_jax.models.cpu import conv_forms

  rng = np.random.default_rng(0)
  x = rng.standard_normal(layer.input_shape, np.float32)
  channels = layer.input_shape[3] // layer.groups
  shape = (*layer.kernel, channels, layer.features)
  kernel = rng.standard_normal(shape, np.float32)

  def convolution(x, kernel):
    return conv_forms.conv_general_dilated(
      x,
      kernel,
      layer.strides,
      layer.pads,
      rhs_dilation=layer.dilation,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=layer.groups,
    )

  def pull(argument):
    def gradient(x, kernel, g):
      return jax.vjp(convolution, x, kernel)[1](g)[argument]

    return gradient

  g = np.asarray(jax.jit(convolution)(x, kernel))
  x, kernel, g = jax.device_put((x, kernel, g))
  calls = (
    (jax.jit(convolution), (x, kernel)),
    (jax.jit(pull(0)), (x, kernel, g)),
    (jax.jit(pull(1)), (x, kernel, g)),
  )
  return [
    lambda call=call, given=given: call(*given).block_until_ready()
    for call, given in calls
  ]


def torch_parts(layer, last):
  """The same in PyTorch, channels last or first."""
  import torch
  from torch.nn import functional

  torch.manual_seed(0)
  batch, height, width, channels = layer.input_shape
  last = torch.channels_last if last else torch.contiguous_format
  (top, bottom), (left, right) = layer.pads
  x = torch.randn(batch, channels, height, width)
  x = functional.pad(x, (left, right, top, bottom)).to(memory_format=last)
  kernel = torch.randn(layer.features, channels // layer.groups, *layer.kernel)
  kernel = kernel.to(memory_format=last)

  def convolution(x, kernel):
    return functional.conv2d(
      x,
      kernel,
      stride=layer.strides,
      dilation=layer.dilation,
      groups=layer.groups,
    )

  g = torch.randn_like(convolution(x, kernel))

  def gradient(wanted):
    given = [x, kernel]
    given[wanted] = given[wanted].detach().requires_grad_()
    output = convolution(*given)
    return lambda: torch.autograd.grad(
      output, given[wanted], g, retain_graph=True
    )

  return [lambda: convolution(x, kernel), gradient(0), gradient(1)]


def products(layer):
  """For each of `PARTS`, its products alone, in every order of operands."""
  from benchmarks.subjects import bare_products

  batch, height, width, channels = layer.input_shape
  if layer.groups > 1:
    return [[] for _ in PARTS]
  rows = height // layer.strides[0]
  pixels = batch * rows * (width // layer.strides[1])
  inputs = layer.kernel[0] * layer.kernel[1] * channels
  return [
    bare_products.calls(part, pixels, inputs, layer.features) for part in PARTS
  ]


def milliseconds(calls, repeats, clock):
  """Median of each by a clock of seconds, taken in turns."""
  times = tuple([] for _ in calls)
  for index in range(repeats + 1):
    for slot, run in enumerate(calls):
      started = clock()
      run()
      # The first of each warms up.
      if index:
        times[slot].append(1e3 * (clock() - started))
  return tuple(statistics.median(slot) for slot in times)


def _cells(found, with_products):
  ours, theirs, alone = found
  row = f'{ours:23.1f}{theirs:8.1f}'
  return row + (f'{alone:9.1f}' if with_products else '')


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  networks = ('fcn8', 'fsnet', 'efficientnet_unet', 'unet')
  parser.add_argument('--network', default='fcn8', choices=networks)
  parser.add_argument('--image_size', default='64,128', help='height,width')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--head_width', type=int, default=256, help='0: 4096*w')
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument('--clock', default='wall', choices=('wall', 'cpu'))
  formats = ('channels_last', 'contiguous')
  parser.add_argument('--torch_format', default=formats[0], choices=formats)
  parser.add_argument('--products', action='store_true', help='alone, too')
  settings = parser.parse_args()
  clock = time.process_time if settings.clock == 'cpu' else time.perf_counter
  last = settings.torch_format == 'channels_last'
  from benchmarks.train_step import machine

  print(machine())
  print(settings)
  alone = f'{"product":>9}' if settings.products else ''
  header = ''.join(
    f'{part + ": ours":>23}{"torch":>8}{alone}' for part in PARTS
  )
  print(f'\n{"milliseconds, times count":34}{header}')
  totals = [[0.0, 0.0, 0.0] for _ in PARTS]
  for layer, count in layers_of(settings).items():
    row = f'{f"{count} x {layer}":34}'
    bare = products(layer) if settings.products else [[] for _ in PARTS]
    parts = zip(totals, jax_parts(layer), torch_parts(layer, last), bare)
    for total, ours, theirs, ways in parts:
      found = milliseconds((ours, theirs, *ways), settings.repeats, clock)
      # Depthwise layers are no products: as long as they are.
      found = (*found[:2], min(found[2:], default=found[0]))
      total[:] = [sum(one) for one in zip(total, (count * f for f in found))]
      row += _cells([count * one for one in found], settings.products)
    print(row, flush=True)
  print(
    f'{"all convolutions":34}'
    + ''.join(_cells(total, settings.products) for total in totals)
  )
  ours, theirs = (sum(total[slot] for total in totals) for slot in (0, 1))
  print(f'together: ours {ours:.1f} ms, PyTorch {theirs:.1f} ms')


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
