"""SynthCP's networks and losses against the same written in PyTorch.

Weights are random; values and gradients are compared in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fsnet_jax.learned_detectors.generator import losses
from fsnet_jax.models.baselines import discriminator, spade
from fsnet_jax.models.baselines.synthcp_comparison import ComparisonNet
from fsnet_jax.models.layers import class_maps
from tests.fsnet_jax.models import quick
from tests.parity import comparison

EXACT = 1e-8
CLASSES = 5


@pytest.fixture(autouse=True)
def _double():
  with jax.enable_x64(True):
    yield


def _tensor(x):
  return torch.tensor(np.asarray(x))


def _set_conv(layer, ours):
  kernel = np.asarray(ours['kernel']).transpose(3, 2, 0, 1)
  weight = getattr(layer, 'weight_orig', layer.weight)
  weight.data = _tensor(np.ascontiguousarray(kernel))
  if 'bias' in ours:
    layer.bias.data = _tensor(ours['bias'])


def _set_vectors(layer, ours, size, inputs):
  """Ours is over (rows, columns, in), PyTorch's over (in, rows, columns)."""
  v = np.asarray(ours['v']).reshape(size, size, inputs).transpose(2, 0, 1)
  u = np.asarray(ours['u'])
  layer.weight_u.data = _tensor(u / np.linalg.norm(u))
  layer.weight_v.data = _tensor((v / np.linalg.norm(v)).ravel())


class TorchSpade(nn.Module):
  def __init__(self, channels, hidden, ours, stats):
    super().__init__()
    self.norm = nn.BatchNorm2d(channels, affine=False)
    self.norm.running_mean = _tensor(stats['norm']['mean'])
    self.norm.running_var = _tensor(stats['norm']['var'])
    self.shared = nn.Conv2d(CLASSES, hidden, 3, padding=1)
    self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
    self.beta = nn.Conv2d(hidden, channels, 3, padding=1)
    for name in ('shared', 'gamma', 'beta'):
      _set_conv(getattr(self, name), ours[name])

  def forward(self, x, planes):
    small = F.interpolate(planes, size=x.shape[2:], mode='nearest')
    hidden = torch.relu(self.shared(small))
    return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


def _spectral(inputs, outputs, size, ours, vectors, **options):
  layer = nn.utils.spectral_norm(
    nn.Conv2d(inputs, outputs, size, **options).double()
  )
  _set_conv(layer, ours)
  _set_vectors(layer, vectors, size, inputs)
  return layer


class TorchBlock(nn.Module):
  def __init__(self, inputs, outputs, hidden, ours):
    super().__init__()
    params, stats, vectors = (
      ours[name] for name in ('params', 'batch_stats', 'spectral')
    )
    middle = min(inputs, outputs)
    for name, channels in (
      ('norm1', inputs),
      ('norm2', middle),
      ('norm_shortcut', inputs),
    ):
      setattr(
        self, name, TorchSpade(channels, hidden, params[name], stats[name])
      )
    for name, a, b, size in (
      ('conv1', inputs, middle, 3),
      ('conv2', middle, outputs, 3),
      ('shortcut', inputs, outputs, 1),
    ):
      options = {'padding': size // 2, 'bias': size == 3}
      layer = _spectral(a, b, size, params[name], vectors[name], **options)
      setattr(self, name, layer)

  def forward(self, x, planes):
    y = self.conv1(F.leaky_relu(self.norm1(x, planes), 0.2))
    y = self.conv2(F.leaky_relu(self.norm2(y, planes), 0.2))
    return y + self.shortcut(self.norm_shortcut(x, planes))


def _labels(height, width):
  labels = np.random.default_rng(5).integers(0, CLASSES + 1, (2, height, width))
  labels[labels == CLASSES] = 255
  return jnp.asarray(labels)


def _planes(labels):
  return class_maps.one_hot(labels, CLASSES).astype(jnp.float64)


def _wide(tree):
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), tree)


@pytest.mark.parametrize('train', [True, False])
def test_spade_block(train):
  """In training: statistics of the batch, and one step of power iteration."""
  block = spade.SpadeBlock(4, 3, CLASSES, jnp.float64)
  x, labels = comparison.noise(2, 4, 8, 6), _labels(8, 16)
  labels = jnp.repeat(labels, 2, axis=1)  # 16 x 16 over 4 x 8: two factors.
  variables = _block_variables(block, x, labels)
  model = TorchBlock(6, 4, 3, variables).double().train(train)
  reference = model(comparison.nchw(x), comparison.nchw(_planes(labels)))
  reference.square().sum().backward()

  def loss(params):
    y, updated = block.apply(
      {**variables, 'params': params},
      jnp.asarray(x),
      labels,
      train,
      mutable=['batch_stats', 'spectral'],
    )
    return jnp.square(y).sum(), (y, updated)

  grads, (ours, updated) = quick.jit(jax.grad(loss, has_aux=True))(
    variables['params']
  )
  comparison.assert_close(ours, comparison.nhwc(reference), 'block', EXACT)
  for name, part, weight in (
    ('conv1', grads['conv1'], model.conv1.weight_orig),
    *(
      (name, grads['norm1'][name], getattr(model.norm1, name).weight)
      for name in ('shared', 'gamma', 'beta')
    ),
  ):
    kernel = np.asarray(part['kernel']).transpose(3, 2, 0, 1)
    comparison.assert_close(kernel, weight.grad, f'gradient, {name}', EXACT)
  u = np.asarray(updated['spectral']['conv1']['u'])
  comparison.assert_close(
    u / np.linalg.norm(u), model.conv1.weight_u, 'u', EXACT
  )
  mean = updated['batch_stats']['norm1']['norm']['mean']
  comparison.assert_close(mean, model.norm1.norm.running_mean, 'mean', EXACT)


def _block_variables(block, x, labels):
  # Shapes through the module itself: `train` is an argument of its own.
  shapes = jax.eval_shape(
    lambda: block.init(jax.random.key(0), jnp.asarray(x), labels, False)
  )
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    noise = rng.standard_normal(leaf.shape)
    return np.abs(noise) + 0.5 if path[-1].key == 'var' else noise

  return _wide(jax.tree_util.tree_map_with_path(draw, shapes))


class TorchDiscriminator(nn.Module):
  def __init__(self, ours):
    super().__init__()
    params, vectors = ours['params'], ours['spectral']
    self.layers = nn.ModuleList()
    inputs = CLASSES + 3
    for number, (_, stride) in enumerate(discriminator.LAYERS):
      name = f'conv{number}'
      outputs = params[name]['kernel'].shape[-1]
      options = {'stride': stride, 'padding': 2, 'bias': number == 0}
      if number:
        layer = _spectral(
          inputs, outputs, 4, params[name], vectors[name], **options
        )
      else:
        layer = nn.Conv2d(inputs, outputs, 4, **options)
        _set_conv(layer, params[name])
      self.layers.append(layer)
      inputs = outputs
    self.judge = nn.Conv2d(inputs, 1, 4, padding=2)
    _set_conv(self.judge, params['judge'])

  def forward(self, x):
    outputs = []
    for number, layer in enumerate(self.layers):
      x = layer(x)
      x = F.leaky_relu(F.instance_norm(x) if number else x, 0.2)
      outputs.append(x)
    return [*outputs, self.judge(x)]


def test_discriminator_and_its_losses():
  network = discriminator.MultiscaleDiscriminator(1 / 32, jnp.float64)
  planes = _planes(_labels(32, 48))
  pictures = np.tanh(comparison.noise(2, 32, 48, 3))
  variables = _wide(comparison.variables_of(network, planes, pictures))
  ours = quick.jit(network.apply)(variables, planes, jnp.asarray(pictures))
  x = torch.cat([comparison.nchw(planes), comparison.nchw(pictures)], 1)
  theirs = []
  for scale in range(2):
    own = {k: v[f'scale{scale}'] for k, v in variables.items()}
    theirs.append(TorchDiscriminator(own).double().eval()(x))
    x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
  for scale in range(2):
    for layer in range(5):
      comparison.assert_close(
        ours[scale][layer],
        comparison.nhwc(theirs[scale][layer]),
        f'scale {scale}, layer {layer}',
        1e-7,
      )
  _assert_losses(ours, theirs)


def _assert_losses(ours, theirs):
  """Image 0 stands for the photographs, image 1 for the drawn ones."""
  real = [[x[:1] for x in scale] for scale in ours]
  fake = [[x[1:] for x in scale] for scale in ours]
  torch_real = [[x[:1] for x in scale] for scale in theirs]
  torch_fake = [[x[1:] for x in scale] for scale in theirs]
  pairs = list(zip(torch_real, torch_fake))
  hinge = [
    torch.relu(1 - r[-1]).mean() + torch.relu(1 + f[-1]).mean()
    for r, f in pairs
  ]
  matched = sum(F.l1_loss(b, a) for r, f in pairs for a, b in zip(r[:4], f[:4]))
  adversarial = -sum(f[-1].mean() for f in torch_fake) / 2
  for found, expected in (
    (losses.discriminator_hinge(real, fake), sum(hinge) / 2),
    (losses.feature_matching(real, fake), matched / 2),
    (losses.generator_hinge(fake), adversarial),
  ):
    np.testing.assert_allclose(found, expected.item(), rtol=1e-6)


def test_perceptual_loss_weighs_layers():
  rng = np.random.default_rng(0)
  real = [rng.normal(size=(1, 2, 2, 3)) for _ in range(5)]
  fake = [rng.normal(size=(1, 2, 2, 3)) for _ in range(5)]
  weights = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0]
  expected = sum(
    w * F.l1_loss(_tensor(a), _tensor(b)).item()
    for w, a, b in zip(weights, real, fake)
  )
  found = losses.perceptual(
    [jnp.asarray(x) for x in real], [jnp.asarray(x) for x in fake]
  )
  np.testing.assert_allclose(found, expected, rtol=1e-9)


def _unit(x, ours, stats):
  """1x1 convolution, batch norm with running statistics, ReLU."""
  kernel = np.asarray(ours['conv']['kernel']).transpose(3, 2, 0, 1)
  x = F.conv2d(x, _tensor(np.ascontiguousarray(kernel)))
  x = F.batch_norm(
    x,
    _tensor(stats['bn']['mean']),
    _tensor(stats['bn']['var']),
    _tensor(ours['bn']['scale']),
    _tensor(ours['bn']['bias']),
  )
  return torch.relu(x)


def test_comparison_heads():
  """Everything but ResNet18, which has a parity test of its own."""
  network = ComparisonNet(CLASSES, 1 / 8, dtype=jnp.float64)
  pictures = tuple(comparison.images(32, 64, batch=1) for _ in range(2))
  pictures = (pictures[0], 255 - pictures[1])
  logits = 3 * comparison.noise(1, 32, 64, CLASSES)
  variables = _wide(_comparison_variables(network, pictures, logits))
  (right, ious), inner = quick.jit(
    lambda v, p, s: network.apply(v, p, s, capture_intermediates=True)
  )(variables, pictures, jnp.asarray(logits))
  params, stats = variables['params'], variables['batch_stats']
  found = inner['intermediates']
  w1 = _unit(
    torch.softmax(comparison.nchw(logits), 1), params['w1'], stats['w1']
  )
  comparison.assert_close(
    found['w1']['__call__'][0], comparison.nhwc(w1), 'w1', EXACT
  )
  encoded = [found[f'encoder{n}']['__call__'][0] for n in (1, 2)]
  scaled, head = [], params['decoder']
  for scale in range(4):
    both = torch.cat([comparison.nchw(stages[scale]) for stages in encoded], 1)
    name = f'scale{scale + 1}'
    x = _unit(both, head[name], stats['decoder'][name])
    scaled.append(
      F.interpolate(x, (32, 64), mode='bilinear', align_corners=False)
    )
  kernel = np.concatenate([head[f'score{n}']['kernel'] for n in range(1, 5)], 2)
  reference = F.conv2d(
    torch.cat(scaled, 1),
    _tensor(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))),
    _tensor(head['bias']),
  )
  comparison.assert_close(right, reference[:, 0].numpy(), 'pixels', EXACT)
  pooled = F.linear(
    both.mean((2, 3)),
    _tensor(np.asarray(params['iou']['kernel']).T.copy()),
    _tensor(params['iou']['bias']),
  )
  comparison.assert_close(ious, pooled.numpy(), 'IoU', 1e-6)


def _comparison_variables(network, pictures, logits):
  shapes = [jax.ShapeDtypeStruct(p.shape, jnp.float32) for p in pictures]
  tree = jax.eval_shape(
    lambda *a: network.init(jax.random.key(0), a[:2], a[2]),
    *shapes,
    jax.ShapeDtypeStruct(logits.shape, jnp.float32),
  )
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    noise = rng.standard_normal(leaf.shape)
    if path[-1].key == 'var':
      return 0.5 + np.abs(noise)
    if path[-1].key == 'kernel':
      return noise * np.sqrt(2 / np.prod(leaf.shape[:-1]))
    return 0.1 * noise + (path[-1].key == 'scale')

  return jax.tree_util.tree_map_with_path(draw, tree)
