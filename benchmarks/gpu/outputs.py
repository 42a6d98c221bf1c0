"""Outputs of every network on this back end, as a small file.

    JAX_PLATFORMS=cpu python -m benchmarks.gpu.outputs --out=cpu_outputs.npz

What `benchmarks.gpu.correctness` compares: each segmentation network at a small
width; F of the joint phase with both of its decoders, and the parts of the
robust F with their mean, all over drawn logits and features, so that a class
that is nearly another's equal moves nothing; and one joint training step. Of
each output 512 numbers are kept, with the largest of all and a digest of the
variables: where those differ, so do the networks, whoever runs them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.subjects import random_variables, steppers
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.failure.pixel_inference import centred
from fsnet_jax.models.failure.pixel_maps import pixel_maps
from fsnet_jax.models.failure.pixel_net import PixelFailureNet
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.unet import UNet
from fsnet_jax.steps import train_step

SIZE, BATCH, WIDTH, CLASSES = (64, 128), 2, 0.25, 19
# Of `fit.pixel.centering`.
_CENTRING = 0.5
_KEPT = 512
NETWORKS: Mapping[str, Any] = {
  'fcn8': FCN8(width=WIDTH, head_width=128, padding='same', input_scale=1 / 64),
  'deeplab_v2': DeepLabV2(width=WIDTH, input_scale=1 / 64),
  'unet': UNet(width=WIDTH),
  'efficientnet_unet': EfficientNetUNet(),
}
FAILURE: Mapping[str, Any] = {
  'joint': FailureNet(width=WIDTH),
  'literal': FailureNet(width=WIDTH, decoder='literal'),
  'conv': FailureNet(width=WIDTH, msp_residual=True),
  'pixel': PixelFailureNet(CLASSES),
}
STEP = 'joint step of fcn8'


@dataclasses.dataclass(frozen=True)
class Program:
  """A function whose outputs are compared.

  Attributes:
    function: takes variables and arrays; gives outputs by name.
    variables: NumPy arrays, the same on every machine.
    arrays: what else it takes.
  """

  function: Callable[..., dict[str, Any]]
  variables: Any
  arrays: tuple[Any, ...]


def segmentation_program(name: str) -> Program:
  """A segmentation network's logits and S_E(x)."""
  network = NETWORKS[name]
  images, *_ = _drawn()
  shapes = jax.eval_shape(network.init, jax.random.key(0), images)

  def run(variables: Any, images: Any) -> dict[str, Any]:
    said = network.apply(variables, images)
    return {'logits': said.logits, 'features': said.features}

  return Program(run, random_variables.draw(shapes), (images,))


def failure_program() -> Program:
  """Failure logits of F's forms, and of the robust preset's mean."""
  arrays = _drawn()

  def init(
    name: str, images: Any, logits: Any, flipped: Any, features: Any
  ) -> Any:
    seen = (images, logits, features)
    if name == 'pixel':
      seen = (pixel_maps(images, logits, flipped),)
    return FAILURE[name].init(jax.random.key(0), *seen)

  variables = {
    name: random_variables.draw(
      jax.eval_shape(functools.partial(init, name), *arrays)
    )
    for name in FAILURE
  }

  def run(
    variables: Any, images: Any, logits: Any, flipped: Any, features: Any
  ) -> dict[str, Any]:
    found = {
      name: FAILURE[name].apply(variables[name], images, logits, features)
      for name in ('joint', 'literal', 'conv')
    }
    maps = pixel_maps(images, logits, flipped)
    own = FAILURE['pixel'].apply(variables['pixel'], maps)
    valid = jnp.ones(maps.first.shape)
    own = centred(own, maps.first, valid, CLASSES, _CENTRING)
    found['pixel'] = maps.miss_logit + own
    # As `learned_detectors.corrections.phase3` weighs them.
    joint, conv = found['joint'], found['conv'] - miss_logit(logits)
    found['robust'] = maps.miss_logit + (4 * own + joint + conv) / 6
    return found

  return Program(run, variables, arrays)


def step_program() -> Program:
  """Losses and gradient norm of one joint step."""
  settings = {
    'network': 'fcn8',
    'image_size': SIZE,
    'batch_size': BATCH,
    'width': 0.125,
    'dtype': 'float32',
    'head_width': 64,
    'padding': 'same',
    'blocks': (1, 1, 1, 1),
    'decoder': 'skips',
  }
  model = steppers.own_model(settings)
  optimizer = steppers.own_optimizer()
  state = train_step.create_state(
    model, optimizer, seed=0, image_size=SIZE, phase2_start=0
  )
  step = train_step.make_train_step(
    model, optimizer, phase=2, options=train_step.LossOptions()
  )

  def run(state: Any, batch: Any) -> dict[str, Any]:
    return step(state, batch)[1]

  images, labels = steppers.batch_of(settings)
  return Program(run, state, ({'image': images, 'label': labels},))


def _drawn() -> tuple[np.ndarray, ...]:
  """Images, logits, those of the mirrored images, and features of FCN8."""
  rng = np.random.default_rng(0)
  shape = (BATCH, *SIZE)
  images = rng.integers(0, 256, (*shape, 3)).astype(np.float32)
  logits = rng.standard_normal((*shape, CLASSES), dtype=np.float32)
  # One class stands out.
  first = rng.integers(0, CLASSES, shape)
  logits += 6 * (np.arange(CLASSES) == first[..., None])
  flipped = logits + 0.5 * rng.standard_normal(logits.shape, dtype=np.float32)
  grid = (BATCH, SIZE[0] // 32, SIZE[1] // 32, 128)
  features = rng.standard_normal(grid, dtype=np.float32)
  return images, logits, flipped.astype(np.float32), features


# By name; a network is drawn when its program is made.
PROGRAMS: Mapping[str, Callable[[], Program]] = {
  **{name: functools.partial(segmentation_program, name) for name in NETWORKS},
  'failure': failure_program,
  STEP: step_program,
}


def make(names: str) -> dict[str, Program]:
  """Programs by their names, with commas between; all for an empty text."""
  chosen = names.split(',') if names else list(PROGRAMS)
  return {name: PROGRAMS[name]() for name in chosen}


def compute(
  programs: Mapping[str, Program], precision: str | None
) -> dict[str, np.ndarray]:
  """Runs programs on the default back end.

  Args:
    programs: by name.
    precision: of products of float32 ('highest' for all of its bits); None:
      the back end's own choice.

  Returns:
    By 'program/output', the numbers that are kept, the last one being the
    largest magnitude of all.
  """
  with jax.default_matmul_precision(precision):
    lowered = [
      jax.jit(one.function).lower(one.variables, *one.arrays)
      for one in programs.values()
    ]
  with ThreadPoolExecutor() as pool:
    compiled = list(pool.map(lambda program: program.compile(), lowered))
  found = {}
  for (name, one), run in zip(programs.items(), compiled):
    outputs = jax.device_get(run(one.variables, *one.arrays))
    for output, values in outputs.items():
      found[f'{name}/{output}'] = _kept(np.asarray(values, np.float32))
  return found


def _kept(values: np.ndarray) -> np.ndarray:
  flat = values.reshape(-1)
  where = np.random.default_rng(0).integers(0, len(flat), _KEPT)
  chosen = flat[where] if len(flat) > _KEPT else flat
  return np.append(chosen, np.abs(flat).max())


def digests(programs: Mapping[str, Program]) -> dict[str, np.ndarray]:
  """By 'digest/program', a digest of its variables and arrays."""
  return {
    f'digest/{name}': np.asarray(
      random_variables.digest((one.variables, one.arrays))
    )
    for name, one in programs.items()
  }


def main() -> None:
  """Writes the file."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--out', required=True, help='file, ending in .npz')
  parser.add_argument('--programs', default='', help='by commas; default: all')
  options = parser.parse_args()
  programs = make(options.programs)
  found = compute(programs, 'highest')
  made = f'jax {jax.__version__}, {jax.default_backend()}'
  arrays: dict[str, Any] = {'made': made, **digests(programs), **found}
  np.savez_compressed(options.out, **arrays)
  print(f'{len(found)} outputs of {len(programs)} programs by {made}')


if __name__ == '__main__':
  main()
