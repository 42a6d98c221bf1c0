"""Processor time of S, of its mirrored pass and of its passes with dropout.

    taskset -c 0 python -m benchmarks.monitor.dropout_maps   # demo FCN8
    taskset -c 0 python -m benchmarks.monitor.dropout_maps --width=1 \
        --head_width=0 --image_size=256,512 --batch_size=1

What per-pixel networks look at beside S's own pass: the logits of the mirrored
image (`config.fit.pixel.flip`), and `mc_dropout.uncertainty` of so many passes
(`config.fit.pixel.dropout_samples`). All that S has to do for them is compiled
in one program, so that the maps share what S computes anyway. Rounds of all
alternate, and the time is that of all threads of the process, so that a busy
machine disturbs all alike, and little; printed are medians, an image.
"""

import argparse
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


def programs(
  network: SegmentationNetwork, samples: Sequence[int]
) -> dict[str, Callable[..., Any]]:
  """By name, `(variables, images, index) -> what S says`, compiled."""

  def alone(variables: Any, images: Any, index: Any) -> Any:
    del index
    return network.apply(variables, images).logits

  def flip(variables: Any, images: Any, index: Any) -> Any:
    mirrored = network.apply(variables, images[:, :, ::-1]).logits
    return alone(variables, images, index), mirrored[:, :, ::-1]

  def maps(count: int) -> Callable[..., Any]:
    def run(variables: Any, images: Any, index: Any) -> Any:
      said = mc_dropout.uncertainty(
        network,
        variables,
        images,
        index,
        key=jax.random.key(0),
        samples=count,
      )
      return alone(variables, images, index), said

    return run

  every = {'S alone': alone, 'S, mirrored too': flip}
  every |= {f'S, {count} with dropout': maps(count) for count in samples}
  return {name: jax.jit(one) for name, one in every.items()}


def measure(settings: argparse.Namespace) -> dict[str, float]:
  """Milliseconds an image, by the name of a program."""
  network = FCN8(
    width=settings.width,
    head_width=settings.head_width,
    padding='same',
    input_scale=1 / 64,
  )
  height, width = settings.image_size
  spec = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
  shape = (settings.batch_size, height, width, 3)
  images = np.random.default_rng(0).uniform(0, 255, shape)
  arguments = jax.device_put(
    (
      host_init(network, 0, spec),
      images.astype(np.float32),
      np.arange(settings.batch_size, dtype=np.int32),
    )
  )
  every = programs(network, settings.samples)
  times: dict[str, list[float]] = {name: [] for name in every}
  for number in range(settings.repeats + 1):
    for name, run in every.items():
      start = time.process_time()
      jax.block_until_ready(run(*arguments))
      if number:  # The first compiles.
        times[name].append(time.process_time() - start)
  return {
    name: 1e3 * statistics.median(values) / settings.batch_size
    for name, values in times.items()
  }


def report(found: dict[str, float]) -> str:
  """A line a program."""
  alone = next(iter(found.values()))
  lines = [
    f'{name:>20}: {value:8.2f} ms an image, {value / alone:5.2f} x S'
    for name, value in found.items()
  ]
  return '\n'.join(lines)


def _whole_numbers(text: str) -> tuple[int, ...]:
  return tuple(int(part) for part in text.split(','))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog='python -m benchmarks.monitor.dropout_maps'
  )
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--head_width', type=int, default=256)
  parser.add_argument('--image_size', type=_whole_numbers, default=(64, 128))
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--samples', type=_whole_numbers, default=(1, 10, 30))
  parser.add_argument('--repeats', type=int, default=7)
  return parser.parse_args(argv)


if __name__ == '__main__':
  restart_with_huge_pages()
  print(report(measure(parse())))
