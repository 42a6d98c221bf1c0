"""Collectives of a training step that is compiled for many devices.

    python -m benchmarks.pods.step --devices=64 --network=deeplab_v2

Compiles the step as the trainer has it, for that many virtual CPU devices with
the batch split and the state whole on each, with plain convolutions, as on GPUs
and TPUs. Nothing is run. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import time
from typing import Any

from benchmarks.pods import collectives
from benchmarks.subjects import steppers

# Half the time to compile; what travels between devices is the same.
_SOON: dict[str, Any] = {
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}


def compile_step(settings: dict[str, Any], phase: int) -> tuple[str, int, int]:
  """Compiles for all devices that there are.

  Args:
    settings: see `steppers`; the batch is that of all devices.
    phase: 1 or 2.

  Returns:
    The compiled program's text, and the numbers of parameters and of running
    statistics of what is trained.
  """
  import jax
  import jax.numpy as jnp

  from fsnet_jax.models.cpu import conv_forms
  from fsnet_jax.runtime import mesh as mesh_lib
  from fsnet_jax.steps import train_step

  model, optimizer = steppers.own_model(settings), steppers.own_optimizer()
  size = settings['image_size']
  state = train_step.create_state(
    model, optimizer, seed=0, image_size=size, phase2_start=0
  )
  mesh = mesh_lib.make_mesh()
  whole, split = mesh_lib.replicated(mesh), mesh_lib.batch_sharding(mesh)
  shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), state
  )
  images = (settings['batch_size'], *size)
  batch = {
    'image': jax.ShapeDtypeStruct((*images, 3), jnp.uint8, sharding=split),
    'label': jax.ShapeDtypeStruct(images, jnp.uint8, sharding=split),
  }
  step = train_step.make_train_step(
    model, optimizer, phase=phase, options=train_step.LossOptions()
  )
  with conv_forms.use('plain'):
    lowered = jax.jit(
      step, donate_argnums=0, out_shardings=(whole, whole)
    ).lower(shapes, batch)
  text = lowered.compile(_SOON).as_text()
  assert text is not None  # CPUs have one.
  trained = ('segmentation',) if phase == 1 else ('segmentation', 'failure')

  def count(trees: Any) -> int:
    return sum(x.size for name in trained for x in jax.tree.leaves(trees[name]))

  return text, count(state.params), count(state.batch_stats)


def summary(found: list[collectives.Collective]) -> dict[str, dict[str, int]]:
  """Operations, elements, scalars and bytes by kind."""
  total: dict[str, dict[str, int]] = collections.defaultdict(
    lambda: dict.fromkeys(('count', 'elements', 'scalars', 'bytes'), 0)
  )
  for one in found:
    own = total[one.kind]
    own['count'] += 1
    own['elements'] += one.elements
    own['scalars'] += one.scalars
    own['bytes'] += one.bytes
  return dict(total)


def main() -> None:
  """Prints what was found."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--devices', type=int, default=8)
  parser.add_argument('--network', default='fcn8', help='see train_step')
  parser.add_argument('--phase', type=int, default=2)
  parser.add_argument('--width', type=float, default=1.0)
  parser.add_argument('--head_width', type=int, default=0, help='0: 4096*width')
  parser.add_argument('--blocks', default='3,4,23,3', help='of DeepLabV2')
  parser.add_argument('--image_size', default='256,512', help='height,width')
  parser.add_argument('--images', type=int, default=8, help='a device')
  options = parser.parse_args()
  # Before jax is imported, which reads them once.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['JAX_NUM_CPU_DEVICES'] = str(options.devices)
  settings = {
    'network': options.network,
    'image_size': tuple(map(int, options.image_size.split(','))),
    'batch_size': options.images * options.devices,
    'width': options.width,
    'dtype': 'float32',
    'head_width': options.head_width or None,
    'padding': 'same',
    'blocks': tuple(map(int, options.blocks.split(','))),
    'decoder': 'skips',
  }
  started = time.perf_counter()
  text, parameters, statistics = compile_step(settings, options.phase)
  one = settings | {'batch_size': options.images}
  found = {
    'network': options.network,
    'width': options.width,
    'devices': options.devices,
    'images': options.images,
    'parameters': parameters,
    'statistics': statistics,
    'operations': steppers.floating_point_operations(one, options.phase),
    'collectives': summary(collectives.find(text)),
    'seconds': time.perf_counter() - started,
  }
  print(json.dumps(found))


if __name__ == '__main__':
  main()
