"""One training step of FSNet, by ours or by PyTorch, ready to be timed.

`settings` is a dictionary with `network` (fcn8, deeplab_v2, unet or
efficientnet_unet, which is at full width alone), `image_size`, `batch_size`,
`width`, `head_width`, `padding`, `blocks`, `decoder` and `dtype` (float32, or
bfloat16 for compute in it with float32 parameters). Phase 1 trains S alone,
phase 2 both. Steps wait for their loss, and take the norm of the gradient of
all that is trained, which training logs, unless `gradient_norm` is False.
`threads` is how many virtual devices `jax-devices` has.
"""

import os
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# Side of the matrices whose product is called the device's peak.
_PEAK_SIZE = {'cpu': 2048, 'gpu': 8192, 'tpu': 8192}


class Stepper(NamedTuple):
  """A training step, ready to be timed.

  Attributes:
    run: takes one step and returns its loss.
    compile_seconds: what it took; 0 for what compiles in its first step.
    operations: floating-point operations of a step; None if not known.
    compiled: the program of ours; None of PyTorch's.
  """

  run: Callable[[], float]
  compile_seconds: float
  operations: float | None
  compiled: Any = None


def own_model(settings):
  """S and F of this project."""
  import jax.numpy as jnp

  from fsnet_jax.models import fsnet
  from fsnet_jax.models.failure import failure_net
  from fsnet_jax.models.segmentation import (
    deeplab_v2,
    efficientnet_unet,
    fcn8,
    unet,
  )

  common = {'width': settings['width'], 'dtype': jnp.dtype(settings['dtype'])}
  if settings['network'] == 'deeplab_v2':
    segmentation = deeplab_v2.DeepLabV2(
      blocks=tuple(settings['blocks']), dropout_rate=0.0, **common
    )
  elif settings['network'] == 'efficientnet_unet':
    segmentation = efficientnet_unet.EfficientNetUNet(dtype=common['dtype'])
  elif settings['network'] == 'unet':
    segmentation = unet.UNet(**common)
  else:
    segmentation = fcn8.FCN8(
      head_width=settings['head_width'],
      padding=settings['padding'],
      input_scale=1 / 64,
      **common,
    )
  failure = failure_net.FailureNet(decoder=settings['decoder'], **common)
  return fsnet.FSNet(segmentation, failure)


def own_optimizer():
  """Of the paper's protocol, with constant rates."""
  import jax.numpy as jnp

  from fsnet_jax.steps import optimizers

  return optimizers.make_optimizer(
    segmentation_lr=lambda step: jnp.float32(2e-4),
    momentum=0.99,
    weight_decay=5e-4,
    failure_lr=2e-4,
  )


def batch_of(settings):
  """A random batch: uint8 images [b h w 3] and labels [b h w]."""
  rng = np.random.default_rng(0)
  shape = (settings['batch_size'], *settings['image_size'])
  images = rng.integers(0, 256, (*shape, 3), np.uint8)
  return images, rng.integers(0, 19, shape, np.uint8)


def has_norm(settings):
  """Whether a step takes the norm of the gradient."""
  return settings.get('gradient_norm', True)


def lower(name, settings, phase):
  """Our step, not compiled: (lowered, state, batch).

  Args:
    name: `jax`; `jax-plain` for plain convolutions on every back end; or
      `jax-devices` for a batch that all devices share, as training has it.
    settings: as above.
    phase: 1 or 2.
  """
  import jax

  from fsnet_jax.models.cpu import conv_forms
  from fsnet_jax.runtime.machine import memory
  from fsnet_jax.steps.train_step import (
    LossOptions,
    create_state,
    make_train_step,
  )

  model = own_model(settings)
  optimizer = own_optimizer()
  state = create_state(
    model,
    optimizer,
    seed=0,
    image_size=settings['image_size'],
    phase2_start=0,
  )
  state, batch, shardings = _placed(name, state, settings)
  step = make_train_step(model, optimizer, phase=phase, options=LossOptions())

  def train_step(state, batch):
    state, scalars = step(state, batch)
    # XLA leaves out what nobody reads.
    wanted = ('loss', 'gradient_norm') if has_norm(settings) else ('loss',)
    return state, {key: scalars[key] for key in wanted}

  with conv_forms.use('plain' if name == 'jax-plain' else 'auto'):
    jitted = jax.jit(
      train_step,
      donate_argnums=0,
      out_shardings=shardings,
      compiler_options=memory.options_of_steps(model.segmentation),
    )
    lowered = jitted.lower(state, batch)
  return lowered, state, batch


def _placed(name, state, settings):
  """State and batch where the step wants them, and where its results go."""
  import jax

  from fsnet_jax.runtime import mesh as mesh_lib

  images, labels = batch_of(settings)
  batch = {'image': images, 'label': labels}
  if name != 'jax-devices':
    return jax.device_put(state), jax.device_put(batch), None
  mesh = mesh_lib.make_mesh()
  whole = mesh_lib.replicated(mesh)
  state = mesh_lib.put_replicated(state, mesh)
  return state, mesh_lib.put_batch(batch, mesh), (whole, whole)


def jax_stepper(name, settings, phase):
  """A step of ours; arguments as those of `lower`."""
  import jax

  from fsnet_jax.models.cpu import conv_forms

  if name == 'jax-devices':
    jax.config.update('jax_num_cpu_devices', settings['threads'])
  started = time.perf_counter()
  lowered, state, batch = lower(name, settings, phase)
  compiled = lowered.compile()
  seconds = time.perf_counter() - started
  # Rewritten convolutions count other operations than plain ones.
  plain = name == 'jax-plain' or not conv_forms.rewriting()
  operations = _operations(lowered) if plain else None
  holder = [state]

  def run():
    holder[0], scalars = compiled(holder[0], batch)
    return float(scalars['loss'])

  return Stepper(run, seconds, operations, compiled)


def torch_stepper(name, settings, phase):
  """A step of PyTorch's.

  Args:
    name: `torch`, `torch-channels_last`, or `torch-compile`: channels last
      and through `torch.compile`, which compiles in the first step.
    settings: as above; bfloat16 is PyTorch's automatic mixed precision.
    phase: 1 or 2.
  """
  import torch

  from benchmarks.peers import torch_reference

  torch.manual_seed(0)
  # What XLA does with float32 on such devices, too.
  torch.backends.cuda.matmul.allow_tf32 = True
  torch.backends.cudnn.allow_tf32 = True
  torch.backends.cudnn.benchmark = True
  trainer = torch_reference.Trainer(
    settings, name != 'torch', compiled=name == 'torch-compile'
  )
  batch = trainer.on_device(*batch_of(settings))
  norm = has_norm(settings)
  return Stepper(lambda: trainer.step(phase, *batch, norm), 0.0, None)


def gib(name):
  """Peak memory so far, in GiB: of the device, or of this process on a CPU."""
  peak = 0
  if name.startswith('torch'):
    import torch

    if torch.cuda.is_available():
      peak = torch.cuda.max_memory_allocated()
  else:
    import jax

    statistics = jax.devices()[0].memory_stats() or {}
    if jax.default_backend() != 'cpu':
      peak = statistics.get('peak_bytes_in_use', 0)
  return peak / 2**30 or resident('VmHWM') or _peak_of_all()


def resident(field):
  """This process's `VmRSS`, or `VmHWM`, its peak, in GiB.

  Args:
    field: of `/proc/self/status`.

  Returns:
    None on a system that has no such file.
  """
  if not os.path.exists('/proc/self/status'):
    return None
  with open('/proc/self/status') as file:
    lines = [line.split() for line in file if line.startswith(f'{field}:')]
  return int(lines[0][1]) / 2**20 if lines else None


def _peak_of_all():
  """Of this process; on Linux, it begins with that of who started it."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def floating_point_operations(settings, phase):
  """Of one step with plain convolutions, as XLA counts them; None if not."""
  lowered, _, _ = lower('jax-plain', settings, phase)
  return _operations(lowered)


def _operations(lowered: Any) -> float | None:
  try:
    cost = lowered.cost_analysis()
  except (NotImplementedError, RuntimeError):
    return None  # Not every back end counts.
  return cost['flops'] if cost else None


def matmul_peak(dtype, side=None):
  """Operations a second of a large matrix product: (rate, side)."""
  import jax
  import jax.numpy as jnp

  side = side or _PEAK_SIZE[jax.default_backend()]
  # Random: a chip that multiplies ones draws less power, and runs faster.
  matrix = jax.random.normal(jax.random.key(0), (side, side), dtype)
  multiply = jax.jit(jnp.matmul)
  multiply(matrix, matrix).block_until_ready()
  best = float('inf')
  for _ in range(10):
    started = time.perf_counter()
    multiply(matrix, matrix).block_until_ready()
    best = min(best, time.perf_counter() - started)
  return 2 * side**3 / best, side


def cores():
  """How many cores this process may run on."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def use_threads(count):
  """Threads of this process and of those that it starts, on a CPU.

  To be called before jax or PyTorch are used: they read it once.
  """
  os.environ['NPROC'] = os.environ['OMP_NUM_THREADS'] = str(count)


def share_the_device():
  """Keeps JAX from taking all memory of a GPU that others use too."""
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
