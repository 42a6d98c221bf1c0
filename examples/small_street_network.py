"""Trains a small network on drawn streets: a user's own network, to try with.

    python -m examples.small_street_network
    python -m examples.small_street_network --logits=runs/logits \
        --images=streets/other_city:train,streets/other_city:test

The first command trains `small_network.SmallNetwork` on `streets/day:train` and
leaves the network in `runs/street_network/`, in three forms of which a user has
one: `model.onnx` with `model.json` (segmentation.name=onnx), `weights.pt` for
`examples.small_street_network:predict` (python), and, with the second command,
the logits of each image as an array (logits).

The training images of a segmentation network are no place to learn its errors:
they are too rare there. `streets/day:train` and the same streets in other
weather (`streets/fog:train`, `streets/night:train`, `streets/rain:train`) are
therefore not for the failure network. All other splits are: the network has
never seen `streets/other_city` (another city: train a failure network on its
`:train` and test on its `:test`), nor any `:validation` or `:test`.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import pickle
import time

import numpy as np
import torch

from common_lib.class_table import CITYSCAPES
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from examples import commands, model_files, small_network
from input_pipeline.datasets import DataRequest, Source, open_source

TRAINED_ON = 'streets/day:train'
OUTPUT = 'runs/street_network/model.onnx'
WEIGHTS = 'weights.pt'
# Where `predict` finds the weights, unless they lie in the default folder.
VARIABLE = 'STREET_NETWORK'


def weights_file() -> pathlib.Path:
  """Where the weights of `predict` are, whether there are any or not."""
  default = pathlib.Path(OUTPUT).with_name(WEIGHTS)
  return expanded(os.environ.get(VARIABLE) or str(default)).absolute()


# Files that decide what `predict` returns: stored outputs of others are then
# not taken for its own (segmentation.name=python).
DEPENDS_ON = (weights_file(),)


def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The trained network as a function: `segmentation.name=python`.

  It reads the file that the environment variable STREET_NETWORK names, or
  `runs/street_network/weights.pt`, once.

  Args:
    images: uint8 [b h w 3], RGB, h and w divisible by 8.

  Returns:
    Logits float32 [b h w 19], features float32 [b h/2 w/2 32].

  Raises:
    UserError: there are no weights.
  """
  return small_network.predict(_network(weights_file()), images)


@functools.lru_cache(maxsize=1)
def _network(path: pathlib.Path) -> small_network.SmallNetwork:
  """Reads the weights of a trained network."""
  fix = 'train it first: python -m examples.small_street_network'
  network = small_network.SmallNetwork(CITYSCAPES.num_classes)
  try:
    network.load_state_dict(torch.load(path, weights_only=True))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}; {fix}') from error
  except (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
  ) as error:
    raise UserError(f'{path}: these are not its weights; {fix}') from error
  return network.eval()


def train(
  output: pathlib.Path, request: DataRequest, steps: int
) -> small_network.SmallNetwork:
  """Trains the network and writes its files.

  Args:
    output: the ONNX file; the weights and `model.json` lie beside it.
    request: size, number and cache of the images.
    steps: gradient steps.

  Returns:
    The network, in evaluation mode.
  """
  images, labels = _arrays(open_source(TRAINED_ON, request))
  started = time.monotonic()
  network = small_network.train(
    images, labels, CITYSCAPES.num_classes, steps, say
  )
  seconds = time.monotonic() - started
  difference = model_files.export(
    network, output, small_network.INPUT, small_network.OUTPUTS
  )
  torch.save(network.state_dict(), output.with_name(WEIGHTS))
  parameters = sum(one.numel() for one in network.parameters())
  say(
    f'{output}: {parameters:,} parameters, {len(images)} images of {TRAINED_ON}'
    f', {steps} steps in {seconds:.0f} s; onnxruntime and PyTorch differ by '
    f'{difference:.0e} of the largest value'
  )
  return network


def _arrays(source: Source) -> tuple[np.ndarray, np.ndarray]:
  """All images, uint8 [n h w 3], and labels, uint8 [n h w]."""
  scenes = [source[index] for index in range(len(source))]
  return (
    np.stack([scene['image'] for scene in scenes]),
    np.stack([scene['label'] for scene in scenes]),
  )


def write_logits(
  network: small_network.SmallNetwork, source: Source, folder: pathlib.Path
) -> None:
  """Writes the logits of every image as `<id>.npy`.

  Args:
    network: in evaluation mode.
    source: of images.
    folder: is made; files of the same names are replaced.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for index in range(len(source)):
    scene = source[index]
    logits, _ = small_network.predict(network, scene['image'][None])
    # All 32 bits, so that this route gives the numbers of the others.
    np.save(folder / f'{scene["id"]}.npy', logits[0])


def main(arguments: list[str] | None = None) -> None:
  """Trains, or writes logits.

  Args:
    arguments: of the command line; None for the process's own.
  """
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--output', default=OUTPUT, help='the .onnx file')
  parser.add_argument('--steps', type=commands.count, default=600)
  parser.add_argument('--size', type=commands.size, default=(64, 128))
  parser.add_argument(
    '--num_images', type=commands.count, help='of each split; default: its own'
  )
  parser.add_argument('--cache_dir', default='data', help='of drawn images')
  parser.add_argument(
    '--logits', help='a folder: trains nothing, writes an array an image'
  )
  parser.add_argument(
    '--images',
    default='streets/day:test',
    help='whose logits: data sets, joined by commas',
  )
  flags = parser.parse_args(arguments)
  output = expanded(flags.output)
  number = flags.num_images
  splits = ('train', 'validation', 'test') if number else ()
  request = DataRequest(
    flags.size,
    cache_dir=flags.cache_dir,
    num_examples=dict.fromkeys(splits, number),
  )
  if not flags.logits:
    network = train(output, request, flags.steps)
    images, labels = _arrays(open_source('streets/day:test', request))
    accuracy = small_network.accuracy(network, images, labels)
    say(f'streets/day:test: {accuracy:.1%} of the pixels are classified right')
    return
  network = _network(output.with_name(WEIGHTS))
  sources = [open_source(spec, request) for spec in flags.images.split(',')]
  total = sum(len(source) for source in sources)
  mebibytes = total * np.prod(flags.size) * CITYSCAPES.num_classes * 4 / 2**20
  folder = expanded(flags.logits)
  say(f'{folder}: {total} arrays, {mebibytes:.0f} MiB')
  try:
    for source in sources:
      write_logits(network, source, folder)
  except OSError as error:
    raise UserError(f'{folder}: {quoted(error)}; choose another') from error


if __name__ == '__main__':
  commands.run(main)
