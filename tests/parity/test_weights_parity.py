"""Files of torch.save, converted, compute what PyTorch computes."""

import copy
import warnings

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import torch_deeplab, torch_models
from fsnet_jax.models.failure import resnet
from fsnet_jax.models.segmentation import deeplab_v2, fcn8, resnet101, vgg
from fsnet_jax.weights import __main__ as command
from fsnet_jax.weights import convert, folders, readers
from tests.fsnet_jax.models import quick
from tests.parity import comparison

WIDTH = 0.125
RELATIVE = 1e-4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def generic(model):
  """Values with no zero or one that hides a wrong connection."""
  generator = torch.Generator().manual_seed(0)

  def noise(like):
    return torch.randn(like.shape, generator=generator)

  state = model.state_dict()
  for name, value in state.items():
    if name.endswith('running_var'):
      value.copy_(0.5 + noise(value).abs())
    elif value.ndim == 1 and not name.endswith('tracked'):
      value.copy_(('weight' in name) + 0.1 * noise(value))
    elif value.ndim > 1:
      value.copy_(noise(value) * (2 / value[0].numel()) ** 0.5)
  return model.eval()


def converted(tmp_path, state, arch, *more, legacy=False):
  """Through a file of torch.save and the command line."""
  path = tmp_path / f'{arch}.pth'
  torch.save(state, path, _use_new_zipfile_serialization=not legacy)
  out = tmp_path / f'{arch}-{len(list(tmp_path.iterdir()))}'
  argv = ['convert', f'--arch={arch}', f'--from={path}', f'--out={out}']
  assert command.main([*argv, f'--width={WIDTH}', *more]) == 0
  return folders.read(out)


def nchw(x):
  return torch.tensor(np.moveaxis(x, -1, 1))


def close(ours, theirs, what, relative=RELATIVE):
  comparison.assert_close(ours, comparison.nhwc(theirs), what, relative)


def pictures(height, width):
  return comparison.images(height, width, 1).astype(np.float32)


@pytest.mark.parametrize('legacy', [False, True])
def test_both_formats_of_torch_save(tmp_path, legacy):
  # With storages that are shared, offset, transposed and of every type.
  base = torch.arange(24, dtype=torch.float32)
  state = {
    'whole': base,
    'rows': base[6:18].reshape(3, 4),
    'transposed': base.reshape(4, 6).T,
    'parameter': nn.Parameter(torch.randn(2, 3)),
    'double': torch.randn(3).double(),
    'half': torch.randn(3).half(),
    'brain': torch.randn(3).bfloat16(),
    'count': torch.tensor(7),
    'bytes': torch.arange(3, dtype=torch.uint8),
    'mask': torch.tensor([True, False]),
    'empty': torch.zeros(0, 3),
    'last': torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
  }
  path = tmp_path / 'a.pth'
  for saved in (state, {'epoch': 1, 'model': state, 'loss': 0.5}):
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    found = readers.read_tensors(path)
    assert list(found) == list(state)
    for name, tensor in state.items():
      tensor = tensor.detach()
      if tensor.dtype == torch.bfloat16:
        assert found[name].dtype == ml_dtypes.bfloat16
        tensor, found[name] = tensor.float(), found[name].astype(np.float32)
      assert found[name].dtype == tensor.numpy().dtype
      np.testing.assert_array_equal(found[name], tensor.numpy())


def test_whole_modules_and_optimisers_are_refused_or_skipped(tmp_path, capsys):
  model = nn.Sequential(nn.Conv2d(3, 8, 3))
  path = tmp_path / 'a.pth'
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    torch.save(model, path)
  argv = ['convert', '--arch=vgg16', f'--from={path}', f'--out={tmp_path}/o']
  assert command.main(argv) == 2
  message = capsys.readouterr().err
  assert 'torch.nn.modules.container.Sequential' in message
  assert 'state_dict()' in message and not (tmp_path / 'o').exists()
  optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
  model(torch.ones(1, 3, 8, 8)).sum().backward()
  optimizer.step()
  state = {'net': model.state_dict(), 'optimizer': optimizer.state_dict()}
  torch.save(state, path)
  found = readers.read_tensors(path)
  np.testing.assert_array_equal(found['0.weight'], model[0].weight.detach())
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    scripted = torch.jit.trace(model, torch.ones(1, 3, 8, 8))
    torch.jit.save(scripted, path)
  assert command.main(argv) == 2
  assert 'TorchScript' in capsys.readouterr().err


def test_resnet18(tmp_path):
  model = generic(torch_models.ResNet18(3, WIDTH))
  model.fc = nn.Linear(64, 10)
  variables = converted(tmp_path, model.state_dict(), 'resnet18', legacy=True)
  x = comparison.noise(2, 49, 71, 3).astype(np.float32)
  ours = quick.jit(resnet.ResNet18(WIDTH).apply)(variables, x)
  for index, (mine, theirs) in enumerate(zip(ours, model(nchw(x)))):
    close(mine, theirs, f'stage {index}')


class VGG(nn.Module):
  """torchvision's VGG16: its names, its layers, narrow."""

  def __init__(self, head=16, ceil_mode=False):
    super().__init__()
    reference = torch_models.FCN8(width=WIDTH, head_width=head)
    layers = [layer for stage in reference.stages for layer in stage]
    self.features = copy.deepcopy(nn.Sequential(*layers))
    for layer in self.features:
      if isinstance(layer, nn.MaxPool2d):
        layer.ceil_mode = ceil_mode
    self.classifier = nn.Sequential(
      nn.Linear(64 * 49, head), nn.ReLU(), nn.Dropout(),
      nn.Linear(head, head), nn.ReLU(), nn.Dropout(), nn.Linear(head, 10),
    )  # fmt: skip


def test_vgg16(tmp_path):
  model = generic(VGG())
  # Of a width at which `--input` changes nothing: exact to the border.
  variables = converted(tmp_path, model.state_dict(), 'vgg16', '--input=rgb255')
  x = 100 * comparison.noise(1, 75, 70, 3).astype(np.float32)
  pools = quick.jit(vgg.VGG16(WIDTH, ceil_mode=False).apply)(variables, x)
  close(pools['pool5'], model.features(nchw(x)), 'pool5')


def test_vgg16_on_torchvision_images(tmp_path):
  model = generic(VGG(ceil_mode=True))
  variables = converted(tmp_path, model.state_dict(), 'vgg16')
  images = pictures(96, 96)
  x = images - np.array(fcn8.MEAN_RGB, np.float32)
  pools = quick.jit(vgg.VGG16(WIDTH).apply)(variables, x)
  seen = nchw(images) / 255 - torch_models.per_channel(MEAN, torch.ones(1))
  seen = seen / torch_models.per_channel(STD, torch.ones(1))
  pool3 = model.features[:17](seen)
  # Cells that see no padding, then all.
  close(pools['pool3'][:, 4:8, 4:8], pool3[:, :, 4:8, 4:8], 'inside')
  close(pools['pool3'], pool3, 'border', 0.02)


def test_fcn8_of_torchvisions_vgg16(tmp_path):
  model = generic(VGG(ceil_mode=True))
  variables = converted(tmp_path, model.state_dict(), 'fcn8', '--input=rgb255')
  params = variables['params']
  # 26 pixels and 99 on each side are 224: the classifier's own size.
  x = pictures(26, 26) - np.array(fcn8.MEAN_RGB, np.float32)
  seen = functional.pad(nchw(x), (99, 99, 99, 99))
  pool5 = model.features(seen)
  theirs = model.classifier[:5](pool5.flatten(1))[:, :, None, None]
  network = fcn8.FCN8(width=WIDTH, head_width=16, features='fc7')
  # Scores are not in the file, nor in this comparison.
  kernel = np.zeros((1, 1, 16, 19), np.float32)
  params['score_fr'] = {'kernel': kernel, 'bias': np.zeros(19, np.float32)}
  pool5 = np.moveaxis(pool5.detach().numpy(), 1, -1)
  fc6 = np.einsum('bhwi,hwio->bo', pool5, params['fc6']['kernel'])
  fc6 = np.maximum(fc6 + params['fc6']['bias'], 0)[:, None, None]
  encoded = fcn8.Encoded(pool5[:, :1, :1], fc6, None, None)
  _, ours = network.apply(variables, encoded, method='score')
  close(ours, theirs, 'fc7')


def synthcp_state(model):
  """The state of `torch_models.FCN8` as SynthCP names it."""
  layers = [layer for stage in model.stages for layer in stage]
  none = nn.Identity()
  named = nn.ModuleDict(
    {
      'vgg': nn.Sequential(*layers),
      'vgg_head': nn.Sequential(
        model.fc6, none, none, model.fc7, none, none, model.score_fr
      ),
      'score_pool4': model.score_pool4,
      'score_pool3': model.score_pool3,
    }
  )
  up2 = {'upscore2.w': model.up2, 'upscore_pool4.w': model.up2}
  return {**named.state_dict(), **up2, 'upscore8.w': model.up8}


def test_fcn8_of_synthcp(tmp_path):
  settings = {'num_classes': 5, 'width': WIDTH, 'head_width': 16}
  model = torch_models.FCN8(**settings)
  buffers = model.up2.clone(), model.up8.clone()
  generic(model)
  model.up2, model.up8 = buffers
  state = {f'module.{n}': v for n, v in synthcp_state(model).items()}
  state = {'epoch': 3, 'state_dict': state}
  variables = converted(tmp_path, state, 'fcn8')
  images = pictures(33, 45)
  ours = quick.jit(fcn8.FCN8(**settings).apply)(variables, images)
  logits, pool5 = model(nchw(images))
  close(ours.logits, logits, 'logits')
  close(ours.features, pool5, 'pool5')


@pytest.mark.parametrize(
  ('head', 'size'), [('synthcp', (40, 56)), ('v2', (41, 55))]
)
def test_deeplab(tmp_path, head, size):
  settings = {'num_classes': 5, 'width': WIDTH, 'head': head}
  settings['blocks'] = (1, 2, 2, 1)
  model = generic(torch_deeplab.DeepLabV2(**settings))
  path = tmp_path / 'deeplab.pth'
  state = {f'Scale.{n}': v for n, v in model.state_dict().items()}
  torch.save(state, path)
  arrays = readers.read_tensors(path)
  options = convert.Options('deeplabv2', WIDTH, blocks=settings['blocks'])
  variables, report = convert.convert(arrays, options)
  assert report.missing == []
  images = pictures(*size)
  ours = quick.jit(deeplab_v2.DeepLabV2(**settings).apply)(variables, images)
  logits, stages, _ = model(nchw(images))
  close(ours.logits, logits, 'logits')
  close(ours.features, stages[-1], 'layer4')


def test_resnet101_on_torchvision_images():
  blocks = (1, 1, 2, 1)
  model = generic(torch_deeplab.DeepLabV2(width=WIDTH, blocks=blocks))
  state = model.state_dict()
  arrays = {n: v.numpy() for n, v in state.items() if 'aspp' not in n}
  options = convert.Options('resnet101', WIDTH, blocks=blocks)
  variables, _ = convert.convert(arrays, options)
  images = pictures(96, 96)
  x = images - np.array(fcn8.MEAN_RGB, np.float32)
  network = resnet101.ResNet101(WIDTH, blocks)
  ours = quick.jit(network.apply)(variables, x)
  # `model.stages` subtracts its own mean: undo that.
  like = torch.ones(1)
  seen = nchw(images) / 255 - torch_models.per_channel(MEAN, like)
  seen = seen / torch_models.per_channel(STD, like)
  seen = seen + torch_models.per_channel(torch_models.MEAN_255, like)
  theirs = model.stages(seen)
  inside = slice(4, 18)
  close(ours[0][:, inside, inside], theirs[0][:, :, inside, inside], 'layer1')
  close(ours[3], theirs[3], 'layer4', 0.02)
