"""Monte-Carlo dropout: our 50 passes against 50 whole ones, in one run.

    python -m benchmarks.mc_dropout                       # FCN8 at width 1/8
    python -m benchmarks.mc_dropout --width=1 --head_width=0 \
        --image_size=256,512 --naive_passes=2 --repeats=2

Ours encodes the image once, repeats the layers with dropout at their own
stride and upsamples the mean of their scores. The naive way runs the whole
network for each pass, in JAX and, where it is installed, in PyTorch; a few
passes are timed and multiplied, which flatters it by nothing, for each costs
the same. Both in JAX draw the same masks: the greatest difference of their mean
logits over the timed passes is printed too. Rounds of all alternate, so that a
busy machine disturbs all alike; printed are the median and the fastest.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.models import mc_dropout
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

_SEED = 0


def seconds(function: Callable[[], Any]) -> float:
  """Wall time of a call, its result computed."""
  start = time.perf_counter()
  jax.block_until_ready(function())
  return time.perf_counter() - start


def whole_pass(network: SegmentationNetwork) -> Callable[..., Any]:
  """One pass of the whole network with dropout, compiled.

  Returns:
    `(variables, images, index, number) -> logits`, with the masks that
    `mc_dropout.mean_logits` draws for sample `number`.
  """

  @jax.jit
  def run(variables, images, index, number):
    encoded = network.apply(variables, images, method='encode')

    def scores(one, place):
      key = jax.random.fold_in(jax.random.key(_SEED), place)
      key = jax.random.fold_in(key, number)
      batch = jax.tree.map(lambda leaf: leaf[None], one)
      rngs = {'dropout': key}
      return network.apply(variables, batch, True, method='score', rngs=rngs)[0]

    coarse = jax.vmap(scores)(encoded, index)[:, 0]
    size = images.shape[1:3]
    return network.apply(variables, encoded, coarse, size, method='upsample')

  return run


def ours(network: SegmentationNetwork, samples: int) -> Callable[..., Any]:
  """`mc_dropout.mean_logits` of so many samples, compiled."""

  @jax.jit
  def run(variables, images, index):
    return mc_dropout.mean_logits(
      network, variables, images, index, seed=_SEED, samples=samples
    )

  return run


def torch_pass(settings: argparse.Namespace) -> Callable[[], Any] | None:
  """One whole pass with dropout in PyTorch; None where it is not installed."""
  if not importlib.util.find_spec('torch'):
    return None
  import torch

  from benchmarks.peers import torch_models

  network = torch_models.FCN8(
    width=settings.width,
    head_width=settings.head_width,
    padding=settings.padding,
    input_scale=1 / 64,
  )
  network = network.train().to(memory_format=torch.channels_last)
  images = torch.rand(settings.batch_size, 3, *settings.image_size) * 255
  images = images.to(memory_format=torch.channels_last)

  def run():
    with torch.inference_mode():
      return network(images)

  return run


def difference(one_pass, network, arguments, passes: int) -> float:
  """Greatest difference of the mean logits of both ways."""
  variables, images, index = arguments
  naive = sum(one_pass(variables, images, index, n) for n in range(passes))
  found = ours(network, passes)(variables, images, index)
  return float(jnp.max(jnp.abs(found - naive / passes)))


def compare(settings: argparse.Namespace) -> None:
  """Times both ways and prints the ratio."""
  network = FCN8(
    width=settings.width,
    head_width=settings.head_width,
    padding=settings.padding,
    input_scale=1 / 64,
  )
  height, width = settings.image_size
  shape = (settings.batch_size, height, width, 3)
  images = np.random.default_rng(_SEED).uniform(0, 255, shape)
  spec = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
  arguments = jax.device_put(
    (
      host_init(network, _SEED, spec),
      images.astype(np.float32),
      np.arange(settings.batch_size, dtype=np.int32),
    )
  )
  one_pass, fast = whole_pass(network), ours(network, settings.samples)
  gap = difference(one_pass, network, arguments, settings.naive_passes)
  jax.block_until_ready(fast(*arguments))

  def naive():
    return [one_pass(*arguments, n) for n in range(settings.naive_passes)]

  share = settings.samples / settings.naive_passes
  times: dict[str, list[float]] = {'ours': [], 'naive': []}
  theirs = torch_pass(settings)
  if theirs is not None:
    times['torch'] = []
    theirs()
  for _ in range(settings.repeats):
    times['ours'].append(seconds(lambda: fast(*arguments)))
    times['naive'].append(share * seconds(naive))
    if theirs is not None:
      start = time.perf_counter()
      for _ in range(settings.naive_passes):
        theirs()
      times['torch'].append(share * (time.perf_counter() - start))
  _report(settings, times, gap)


def _report(
  settings: argparse.Namespace, times: dict[str, list[float]], gap: float
) -> None:
  print(
    f'FCN8, width {settings.width:g}, {settings.image_size[0]}x'
    f'{settings.image_size[1]}, batch {settings.batch_size}, '
    f'{settings.samples} passes, {jax.devices()[0].device_kind}'
  )
  medians = {name: statistics.median(values) for name, values in times.items()}
  for name, values in times.items():
    how = ''
    if name != 'ours':
      how = f'  ({settings.naive_passes} passes timed, multiplied)'
    print(
      f'{name:>6}: median {1e3 * medians[name]:9.1f} ms, fastest '
      f'{1e3 * min(values):9.1f} ms{how}'
    )
  for name in list(times)[1:]:
    fastest = min(times[name]) / min(times['ours'])
    ratio = medians[name] / medians['ours']
    print(f'{name} / ours: {ratio:.1f} (of the fastest: {fastest:.1f})')
  print(f'greatest difference of mean logits: {gap:.1e}')


def _size(text: str) -> tuple[int, int]:
  height, width = (int(side) for side in text.split(','))
  return height, width


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(prog='python -m benchmarks.mc_dropout')
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--head_width', type=int, default=256)
  parser.add_argument('--padding', choices=('same', 'pad99'), default='same')
  parser.add_argument('--image_size', type=_size, default=(64, 128))
  parser.add_argument('--batch_size', type=int, default=1)
  parser.add_argument('--samples', type=int, default=50)
  parser.add_argument('--naive_passes', type=int, default=10)
  parser.add_argument('--repeats', type=int, default=5)
  return parser.parse_args(argv)


if __name__ == '__main__':
  restart_with_huge_pages()
  compare(parse())
