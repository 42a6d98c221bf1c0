"""One training step of FSNet, by ours or by PyTorch, ready to be timed.

`settings` is a dictionary with `network` (fcn8, deeplab_v2 or
efficientnet_unet, which is at full width alone), `image_size`, `batch_size`,
`width`, `head_width`, `padding`, `blocks`, `decoder` and `dtype` (float32, or
bfloat16 for compute in it with float32 parameters). Phase 1 trains S alone,
phase 2 both. Steps wait for their loss.
"""

import os
import resource
import time

# Side of the matrices whose product is called the device's peak.
_PEAK_SIZE = {'cpu': 2048, 'gpu': 8192, 'tpu': 8192}


def own_model(settings):
  """S and F of this project."""
  import jax.numpy as jnp

  from fsnet_jax.models import fsnet
  from fsnet_jax.models.failure import failure_net
  from fsnet_jax.models.segmentation import (
    deeplab_v2,
    efficientnet_unet,
    fcn8,
  )

  common = {'width': settings['width'], 'dtype': jnp.dtype(settings['dtype'])}
  if settings['network'] == 'deeplab_v2':
    segmentation = deeplab_v2.DeepLabV2(
      blocks=tuple(settings['blocks']), dropout_rate=0.0, **common
    )
  elif settings['network'] == 'efficientnet_unet':
    segmentation = efficientnet_unet.EfficientNetUNet(dtype=common['dtype'])
  else:
    segmentation = fcn8.FCN8(
      head_width=settings['head_width'],
      padding=settings['padding'],
      input_scale=1 / 64,
      **common,
    )
  failure = failure_net.FailureNet(decoder=settings['decoder'], **common)
  return fsnet.FSNet(segmentation, failure)


def lower(name, settings, phase):
  """Our step, not compiled: (lowered, state, batch).

  Args:
    name: `jax`, or `jax-plain` for plain convolutions on every back end.
    settings: as above.
    phase: 1 or 2.
  """
  import jax
  import jax.numpy as jnp

  from benchmarks.peers import torch_reference
  from fsnet_jax.models.cpu import conv_forms
  from fsnet_jax.steps import optimizers, train_step

  model = own_model(settings)
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
  with conv_forms.use('plain' if name == 'jax-plain' else 'auto'):
    lowered = jax.jit(step, donate_argnums=0).lower(state, batch)
  return lowered, jax.device_put(state), batch


def jax_stepper(name, settings, phase):
  """A function that takes one step of ours, and the seconds to compile."""
  started = time.perf_counter()
  lowered, state, batch = lower(name, settings, phase)
  compiled = lowered.compile()
  seconds = time.perf_counter() - started
  holder = [state]

  def run():
    holder[0], scalars = compiled(holder[0], batch)
    return float(scalars['loss'])

  return run, seconds


def torch_stepper(name, settings, phase):
  """A function that takes one step of PyTorch's, and 0 s to compile.

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
  batch = trainer.on_device(*torch_reference.batch_of(settings))
  return lambda: trainer.step(phase, *batch), 0.0


def gib(name):
  """Peak memory so far: of the device, or of this process on a CPU."""
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
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return (peak or usage.ru_maxrss * 1024) / 2**30


def floating_point_operations(settings, phase):
  """Of one step with plain convolutions, as XLA counts them."""
  lowered, _, _ = lower('jax-plain', settings, phase)
  cost = lowered.cost_analysis()
  assert cost is not None  # CPUs and GPUs have one.
  return cost['flops']


def matmul_peak(dtype):
  """Operations a second of a large matrix product: (rate, side)."""
  import jax
  import jax.numpy as jnp

  side = _PEAK_SIZE[jax.default_backend()]
  matrix = jnp.ones((side, side), dtype)
  multiply = jax.jit(jnp.matmul)
  multiply(matrix, matrix).block_until_ready()
  best = float('inf')
  for _ in range(10):
    started = time.perf_counter()
    multiply(matrix, matrix).block_until_ready()
    best = min(best, time.perf_counter() - started)
  return 2 * side**3 / best, side


def share_the_device():
  """Keeps JAX from taking all memory of a GPU that others use too."""
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
