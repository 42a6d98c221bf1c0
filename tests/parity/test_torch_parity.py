"""Our networks against the same networks written in PyTorch.

Values and gradients are compared in float64, where a wrong connection cannot
hide behind rounding and rounding cannot flip a ReLU or the winner of a
max-pool. Outputs are compared in float32 as well.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks.peers import torch_models, torch_weights
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure import failure_net, resnet
from fsnet_jax.models.segmentation import fcn8
from tests.fsnet_jax.models import quick
from tests.parity import comparison

EXACT = 1e-9
SINGLE = 1e-4
WIDTH = 0.125


@pytest.fixture(autouse=True)
def _double():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize(
  ('padding', 'size', 'forms'),
  [
    ('pad99', (37, 51), 'cpu'),
    ('same', (32, 64), 'plain'),
  ],
)
def test_fcn8(padding, size, forms):
  settings = {
    'num_classes': 5,
    'width': WIDTH,
    'head_width': 32,
    'padding': padding,
    'dropout_rate': 0.0,
    'skip_scale': (0.01, 0.003),
    'input_scale': 1 / 64,
  }
  network = fcn8.FCN8(**settings, dtype=jnp.float64)
  images = jnp.asarray(comparison.images(*size, batch=1))
  params = comparison.variables_of(network, images)['params']
  model = torch_models.FCN8(**settings).double()
  torch_weights.load(model, params)
  logits, features = model(comparison.nchw(images))
  weights = comparison.noise(1, *size, 5)
  (logits * comparison.nchw(weights)).sum().backward()

  def loss(params):
    output = network.apply({'params': params}, images, train=True)
    return (output.logits * weights).sum(), output

  with conv_forms.use(forms):
    gradients, output = quick.jit(jax.grad(loss, has_aux=True))(params)
  logits, features = comparison.nhwc(logits), comparison.nhwc(features)
  comparison.assert_close(output.logits, logits, 'logits', EXACT)
  comparison.assert_close(output.features, features, 'features', EXACT)
  comparison.assert_gradients_close(gradients, model, EXACT)

  single = fcn8.FCN8(**settings)
  with conv_forms.use(forms):
    single = quick.jit(single.apply)(
      {'params': comparison.as_float32(params)}, images.astype(jnp.float32)
    )
  assert single.logits.dtype == jnp.float32
  comparison.assert_close(single.logits, logits, 'float32', SINGLE)


@pytest.mark.parametrize(
  ('size', 'channels', 'train', 'forms'),
  [
    ((64, 32), 4, True, 'cpu'),
    ((49, 71), 7, True, 'plain'),
    ((49, 71), 3, False, 'cpu'),
  ],
)
def test_resnet18(size, channels, train, forms):
  network = resnet.ResNet18(WIDTH, jnp.float64)
  x = jnp.asarray(comparison.noise(2, *size, channels))
  variables = comparison.variables_of(network, x)
  model = torch_models.ResNet18(channels, WIDTH).double().train(train)
  torch_weights.load(model, variables['params'], variables['batch_stats'])
  stages = model(comparison.nchw(x))
  weights = [comparison.noise(*comparison.nhwc(s).shape) for s in stages]
  sum(
    (s * comparison.nchw(w)).sum() for s, w in zip(stages, weights)
  ).backward()

  def loss(params):
    output, updated = network.apply(
      {**variables, 'params': params}, x, train, mutable=['batch_stats']
    )
    total = sum((s * w).sum() for s, w in zip(output, weights))
    return total, (output, updated['batch_stats'])

  with conv_forms.use(forms):
    gradients, (ours, statistics) = quick.jit(jax.grad(loss, has_aux=True))(
      variables['params']
    )
  for index, (mine, theirs) in enumerate(zip(ours, stages)):
    theirs = comparison.nhwc(theirs)
    comparison.assert_close(mine, theirs, f'stage {index}', EXACT)
  comparison.assert_gradients_close(gradients, model, EXACT)
  # Of the stages' sizes follows how many values each variance is over.
  counts = [2 * w.shape[1] * w.shape[2] for w in weights]
  counts.insert(0, 2 * -(-size[0] // 2) * -(-size[1] // 2))
  assert_statistics_close(variables, statistics, model, counts, train)


def assert_statistics_close(variables, ours, model, counts, train):
  """PyTorch records the unbiased variance, we the biased one."""
  before = torch_weights.to_torch(variables['batch_stats'])
  after = torch_weights.to_torch(ours)
  theirs = model.state_dict()
  for name, value in after.items():
    expected = theirs[name]
    if not train:
      assert torch.equal(value, before[name]), name
      continue
    if name.endswith('running_var'):
      stage = int(name[5]) if name.startswith('layer') else 0
      n = counts[stage]
      batch = (expected - 0.9 * before[name]) / 0.1
      expected = 0.9 * before[name] + 0.1 * batch * (n - 1) / n
    comparison.assert_close(value, expected, name, EXACT)


W = failure_net.INPUTS[1:5]
CLASSES, CHANNELS = 5, 12


def failure_inputs(size, stride):
  """Images, segmentation logits and features for F, float64."""
  grid = [-(-n // stride) for n in size]
  images = jnp.asarray(comparison.images(*size))
  logits = jnp.asarray(3 * comparison.noise(2, *size, CLASSES))
  return images, logits, jnp.asarray(comparison.noise(2, *grid, CHANNELS))


def failure_model(settings, stride, train, variables):
  """The same network in PyTorch, with the same values."""
  model = torch_models.FailureNet(
    CHANNELS, CLASSES, WIDTH, **settings, z_stride=stride
  )
  model = model.double().train(train)
  trees = variables['params'], variables['batch_stats']
  return torch_weights.load(model, *trees)


@pytest.mark.parametrize(
  ('settings', 'size', 'stride', 'train'),
  [
    ({'decoder': 'skips'}, (34, 51), 32, True),
    (
      {'decoder': 'skips', 'branches': 'single', 'blocks': 1},
      (64, 32),
      8,
      False,
    ),
    (
      {
        'decoder': 'literal',
        'inputs': ('x', 'w2', 'seg_features'),
        'blocks': 1,
      },
      (64, 96),
      32,
      True,
    ),
    ({'decoder': 'four_scale', 'inputs': W, 'blocks': 1}, (64, 32), 8, True),
  ],
)
def test_failure_net(settings, size, stride, train):
  network = failure_net.FailureNet(WIDTH, **settings, dtype=jnp.float64)
  inputs = failure_inputs(size, stride)
  variables = comparison.variables_of(network, *inputs)
  model = failure_model(settings, stride, train, variables)
  theirs = [comparison.nchw(x).requires_grad_() for x in inputs]
  logits = model(*theirs)
  weights = comparison.noise(2, *size)
  (logits * torch.tensor(weights)).sum().backward()

  def loss(params, inputs):
    output, _ = network.apply(
      {**variables, 'params': params}, *inputs, train, mutable=['batch_stats']
    )
    return (output * weights).sum(), output

  step = quick.jit(jax.grad(loss, (0, 1), has_aux=True))
  (gradients, to_inputs), output = step(variables['params'], inputs)
  logits = logits.detach().numpy()
  comparison.assert_close(output, logits, 'logits', EXACT)
  comparison.assert_gradients_close(gradients, model, EXACT)
  # What flows back, into the segmentation network above all; what F does not
  # see gets nothing.
  for name, ours, tensor in zip(('x', 'l', 'e'), to_inputs, theirs):
    if tensor.grad is None:
      assert not np.any(ours), name
    else:
      expected = comparison.nhwc(tensor.grad)
      comparison.assert_close(ours, expected, name, EXACT)
  seen = {'x', 'seg_features'} & set(network.inputs)
  unseen = sum(tensor.grad is None for tensor in theirs)
  assert unseen == 2 - len(seen)


def test_failure_net_in_float32():
  inputs = failure_inputs((40, 64), 32)
  network = failure_net.FailureNet(WIDTH)
  variables = comparison.variables_of(network, *inputs)
  model = failure_model({}, 32, False, variables)
  expected = model(*[comparison.nchw(x) for x in inputs]).detach().numpy()
  arguments = comparison.as_float32((variables, *inputs))
  output = quick.jit(network.apply)(*arguments)
  assert output.dtype == jnp.float32
  comparison.assert_close(output, expected, 'logits', SINGLE)
