"""DeepLabV2 and U-Net against the same networks written in PyTorch.

As in `test_torch_parity`: every layer, gradient and running statistic in
float64, outputs in float32.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen
from torch import nn
from torch.nn import functional

from benchmarks.peers import torch_deeplab, torch_unet, torch_weights
from fsnet_jax.models.cpu import conv_forms, pooling, resizing
from fsnet_jax.models.layers import batch_norms, transposed
from fsnet_jax.models.segmentation import deeplab_v2, unet
from tests.fsnet_jax.models import quick
from tests.parity import comparison

EXACT = 1e-9
SINGLE = 1e-4


@pytest.fixture(autouse=True)
def _double():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (7, 8), (33, 64)])
@pytest.mark.parametrize('ceil_mode', [False, True])
def test_max_pool_3x3(size, ceil_mode):
  x = comparison.noise(2, *size, 3)
  ours = pooling.max_pool_3x3(jnp.asarray(x), ceil_mode)
  theirs = functional.max_pool2d(
    comparison.nchw(x), 3, 2, 1, ceil_mode=ceil_mode
  )
  np.testing.assert_array_equal(ours, comparison.nhwc(theirs))


@pytest.mark.parametrize(
  ('size', 'target'),
  [
    ((33, 65), (256, 512)),
    ((1, 5), (4, 33)),
    ((5, 7), (5, 1)),
    ((9, 8), (4, 5)),
  ],
)
def test_resize_align_corners(size, target):
  x = jnp.asarray(comparison.noise(2, *size, 3))
  weights = comparison.noise(2, *target, 3)
  ours, pull = jax.vjp(lambda x: resizing.resize_align_corners(x, target), x)
  tensor = comparison.nchw(x).requires_grad_()
  theirs = torch_deeplab.resize_corners(tensor, target)
  comparison.assert_close(ours, comparison.nhwc(theirs), 'values', EXACT)
  (theirs * comparison.nchw(weights)).sum().backward()
  gradient = comparison.nhwc(tensor.grad)
  comparison.assert_close(pull(weights)[0], gradient, 'gradient', EXACT)


def torch_layers(model):
  """A dict that a forward pass fills: output by the name of each layer."""
  found = {}
  for name, module in model.named_modules():
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
      module.register_forward_hook(
        lambda _, inputs, output, name=name: found.update({name: output})
      )
  return found


def flax_layers(intermediates):
  """Output by PyTorch's name of each layer."""
  found = {}
  leaves = jax.tree_util.tree_leaves_with_path(intermediates)
  for path, value in leaves:
    *names, _, _ = path  # '__call__' and the number of the call.
    names = [entry.key for entry in names]
    found[torch_weights.layer_name(names)] = value
  return found


def is_layer(module, method):
  kinds = (linen.Conv, transposed.UpConv, batch_norms.BatchNorm)
  return isinstance(module, kinds) and method == '__call__'


def pass_of(network, variables, images, weights, train):
  """Output, layers, statistics and gradients, in float64."""

  def loss_fn(params):
    output, updated = network.apply(
      variables | {'params': params},
      images,
      train,
      mutable=['batch_stats', 'intermediates'],
      capture_intermediates=is_layer,
    )
    return (output.logits * weights).sum(), (output, updated)

  if train:
    return jax.grad(loss_fn, has_aux=True)(variables['params'])
  return None, loss_fn(variables['params'])[1]


def assert_agreement(network, model, size, train):
  """Layers, output, gradients (in training) and running statistics.

  Args:
    network: ours, in float64.
    model: PyTorch's, which returns the logits first.
    size: of the images.
    train: of the pass.

  Returns:
    Variables, images and PyTorch's logits.
  """
  images = jnp.asarray(comparison.images(*size))
  variables = comparison.variables_of(network, images)
  model = model.double().train(train)
  trees = variables['params'], variables['batch_stats']
  torch_weights.load(model, *trees)
  before = torch_weights.to_torch(variables['batch_stats'])
  expected = torch_layers(model)
  logits = model(comparison.nchw(images))[0]
  weights = comparison.noise(*size, network.num_classes)
  (logits * comparison.nchw(weights[None])).sum().backward()

  run = functools.partial(pass_of, network, train=train)
  # Plain convolutions compile soonest; `test_conv_forms` has the others.
  with conv_forms.use('plain'):
    gradients, (output, updated) = quick.jit(run)(variables, images, weights)
  ours = flax_layers(updated['intermediates'])
  assert set(ours) == set(expected)
  for name, theirs in expected.items():
    theirs = comparison.nhwc(theirs)
    comparison.assert_close(ours[name], theirs, name, EXACT)
  logits = comparison.nhwc(logits)
  comparison.assert_close(output.logits, logits, 'logits', EXACT)
  if train:
    comparison.assert_gradients_close(gradients, model, EXACT)
  state = model.state_dict()
  for name, value in torch_weights.to_torch(updated['batch_stats']).items():
    assert torch.equal(value, before[name]) == (not train), name
    comparison.assert_close(value, state[name], name, EXACT)
  return variables, images, logits


def assert_single_close(network, variables, images, logits):
  """The network in float32 against logits in float64."""
  single = network.clone(dtype=jnp.float32)
  arguments = comparison.as_float32((variables, images))
  with conv_forms.use('plain'):
    output = quick.jit(single.apply)(*arguments)
  assert output.logits.dtype == jnp.float32
  comparison.assert_close(output.logits, logits, 'float32', SINGLE)


@pytest.mark.parametrize(
  ('head', 'size', 'train'),
  [
    ('synthcp', (33, 41), True),
    ('synthcp', (48, 64), False),
    ('v2', (40, 33), False),
  ],
)
def test_deeplab_v2(head, size, train):
  settings = {
    'num_classes': 5,
    'width': 1 / 16,
    'head': head,
    'blocks': (1, 2, 1, 1),
    'input_scale': 1 / 64,
  }
  network = deeplab_v2.DeepLabV2(**settings, dtype=jnp.float64)
  model = torch_deeplab.DeepLabV2(**settings)
  results = assert_agreement(network, model, size, train)
  if size == (48, 64):
    assert_single_close(network, *results)


@pytest.mark.parametrize('form', ['plain', 'cpu'])
def test_transposed_convolution(form):
  x = jnp.asarray(comparison.noise(2, 3, 5, 4))
  layer = transposed.UpConv(6, jnp.float64)
  params = comparison.variables_of(layer, x)['params']
  model = nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1).double()
  torch_weights.load(nn.ModuleDict({'up': model}), {'up': params})
  with conv_forms.use(form):
    ours = layer.apply({'params': params}, x)
  theirs = comparison.nhwc(model(comparison.nchw(x)))
  comparison.assert_close(ours, theirs, form, EXACT)


@pytest.mark.parametrize('train', [True, False])
def test_unet(train):
  settings = {'num_classes': 5, 'width': 1 / 64}
  network = unet.UNet(**settings, dtype=jnp.float64)
  model = torch_unet.UNet(**settings)
  results = assert_agreement(network, model, (32, 48), train)
  if not train:
    assert_single_close(network, *results)
