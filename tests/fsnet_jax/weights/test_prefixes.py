"""What stands before a network's names is found at any depth."""

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.weights import convert, prefixes, readers
from tests.fsnet_jax.weights import state_dicts
from tests.fsnet_jax.weights import torch_writer as tw

WIDTH = 0.125
SHORT = (1, 1, 1, 1)


def make(arch, arrays):
  options = convert.Options(arch, WIDTH, blocks=SHORT)
  return convert.convert(arrays, options, 'F.pth')


def prefixed(prefix, arrays):
  return {prefix + name: array for name, array in arrays.items()}


PREFIXES = [
  'module.', '_orig_mod.', 'model.', 'model._orig_mod.', 'model.module.',
  'model.encoder.', 'module.model._orig_mod.encoder.module.backbone.',
  'net.0.', 'a.b.c.d.e.f.g.', 'layer1.', 'state_dict.model.',
]  # fmt: skip


@pytest.mark.parametrize('prefix', PREFIXES)
@pytest.mark.parametrize('arch', ['resnet18', 'resnet101', 'vgg16', 'fcn8'])
def test_any_prefix_gives_the_same_network(tmp_path, prefix, arch):
  arrays = {
    'resnet18': state_dicts.resnet18,
    'resnet101': state_dicts.bottlenecks,
    'vgg16': state_dicts.vgg16,
    'fcn8': state_dicts.vgg16,
  }[arch]()
  path = tw.save(tmp_path / 'a.pth', prefixed(prefix, arrays))
  found, report = make(arch, readers.read_tensors(path))
  expected, _ = make(arch, arrays)
  np.testing.assert_equal(found, expected)
  # The report has the names of the file.
  assert all(n.endswith(tuple(arrays)) for _, n, _ in report.used)


def test_wrapped_modules_within(tmp_path):
  arrays = state_dicts.vgg16()
  inside = {
    name.replace('features.', 'features.module._orig_mod.'): array
    for name, array in arrays.items()
  }
  path = tw.save(tmp_path / 'a.pth', inside)
  assert list(readers.read_tensors(path)) == list(arrays)
  # Not where two would have one name.
  both = {'module.bias': np.ones(2), 'bias': np.zeros(2)}
  assert prefixes.without_wrappers(both) == both


def test_a_network_among_other_parts():
  encoder = state_dicts.resnet18()
  rng = np.random.default_rng(0)
  other = {
    'model.decoder.conv1.weight': rng.random((8, 64, 3, 3), np.float32),
    'model.decoder.bn1.weight': np.ones(8, np.float32),
    'criterion.weight': np.ones(19, np.float32),
    'conv1.weight': np.ones((8, 3, 7, 7), np.float32),
  }
  found, report = make('resnet18', {**other, **prefixed('model.e.', encoder)})
  expected, _ = make('resnet18', encoder)
  np.testing.assert_equal(found, expected)
  assert set(other) <= set(report.left_over)


def test_two_networks_are_not_chosen_between():
  both = {
    **prefixed('encoder1.', state_dicts.resnet18(seed=1)),
    **prefixed('encoder2.', state_dicts.resnet18(seed=2)),
  }
  with pytest.raises(UserError, match='more than once.*encoder1.*encoder2'):
    make('resnet18', both)
  # One that stands alone is meant, whatever copies there are.
  plain = state_dicts.resnet18(seed=3)
  found, _ = make('resnet18', {**both, **plain})
  np.testing.assert_equal(found, make('resnet18', plain)[0])


def test_state_dicts_below_other_keys(tmp_path):
  arrays = state_dicts.resnet18()

  def wrap(state):
    moments = {'state': {'conv1': state['conv1.weight']}}
    return {'epoch': 3, 'weights': {'student': state}, 'optimizer': moments}

  path = tw.save(tmp_path / 'a.pth', arrays, wrap)
  found = readers.read_tensors(path)
  assert list(found) == ['weights.student.' + name for name in arrays]
  np.testing.assert_equal(
    make('resnet18', found)[0], make('resnet18', arrays)[0]
  )


def test_three_names_are_shown_where_nothing_fits(tmp_path):
  arrays = {f'blocks.{i}.attn.qkv.weight': np.ones(2) for i in range(5)}
  with pytest.raises(UserError) as caught:
    make('resnet18', arrays)
  message = str(caught.value)
  for index in range(3):
    assert f'blocks.{index}.attn.qkv.weight' in message
  assert 'blocks.3' not in message and 'conv1.weight' in message
  # Also where the first layer happens to fit.
  first = {'conv1.weight': np.ones((8, 3, 7, 7), np.float32)}
  with pytest.raises(UserError, match='lacks 99 arrays.*blocks.0.*blocks.1'):
    make('resnet18', {**first, **arrays})
  # And where there is no state dict at all.
  path = tw.write_zip(
    tmp_path / 'a.pth', tw.pickled({'lr': 0.1, 'epoch': 2, 'name': 'x'})
  )
  with pytest.raises(UserError, match='it has lr, epoch, name'):
    readers.read_tensors(path)


def test_names_with_escapes_are_shown_without_them():
  arrays = {'\x1b[31mred': np.ones(2), '\u202etxt': np.ones(2)}
  with pytest.raises(UserError) as caught:
    make('resnet18', arrays)
  assert '\x1b' not in str(caught.value) and '\u202e' not in str(caught.value)
  long = {'x' * 100_000 + str(i): np.ones(2) for i in range(3)}
  with pytest.raises(UserError) as caught:
    make('resnet18', long)
  assert len(str(caught.value)) < 600


def test_candidates_end_where_components_do():
  names = [
    'a.conv1.weight',
    'preconv1.weight',
    'x|y|conv1.weight',
    'conv1.bias',
  ]
  assert prefixes.candidates(names, 'conv1.weight') == ['a.', 'x|y|']
  assert prefixes.candidates(['conv1.weight'], 'conv1.weight') == ['']
  assert prefixes.candidates([], 'conv1.weight') == []
