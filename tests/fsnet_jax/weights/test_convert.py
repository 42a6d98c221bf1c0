import json

import ml_dtypes
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import fcn8
from fsnet_jax.weights import __main__ as command
from fsnet_jax.weights import convert, folders, inputs
from tests.fsnet_jax.weights import state_dicts
from tests.fsnet_jax.weights import torch_writer as tw

WIDTH = 0.125
IMAGENET_MEAN = np.array((0.485, 0.456, 0.406))
IMAGENET_STD = np.array((0.229, 0.224, 0.225))


def make(arch, arrays, **options):
  options = {'width': WIDTH, 'blocks': (1, 1, 1, 1), **options}
  return convert.convert(arrays, convert.Options(arch, **options))


def count(tree):
  if not isinstance(tree, dict):
    return 1
  return sum(count(value) for value in tree.values())


def hwio(kernel):
  return kernel.transpose(2, 3, 1, 0)


def test_resnet18():
  arrays = state_dicts.resnet18()
  tree, report = make('resnet18', arrays)
  params, stats = tree['params'], tree['batch_stats']
  # F normalises images as torchvision does: nothing is folded.
  np.testing.assert_array_equal(
    params['conv1']['kernel'], hwio(arrays['conv1.weight'])
  )
  np.testing.assert_array_equal(
    params['layer3_0']['downsample_conv']['kernel'],
    hwio(arrays['layer3.0.downsample.0.weight']),
  )
  for ours, theirs in (
    (params['layer2_1']['bn2']['scale'], 'layer2.1.bn2.weight'),
    (params['layer2_1']['bn2']['bias'], 'layer2.1.bn2.bias'),
    (stats['layer2_1']['bn2']['mean'], 'layer2.1.bn2.running_mean'),
    (stats['layer4_0']['downsample_bn']['var'],
     'layer4.0.downsample.1.running_var'),
  ):  # fmt: skip
    np.testing.assert_array_equal(ours, arrays[theirs])
  # 20 convolutions and as many norms of four arrays and a counter.
  assert count(tree) == len(report.used) == 20 + 20 * 4
  assert report.missing == [] and report.notes == []
  left = [n for n in report.left_over if 'num_batches' not in n]
  assert left == ['fc.bias', 'fc.weight']
  assert len(report.left_over) == 2 + 20


def test_vgg16_first_layer_sees_what_torchvision_saw():
  arrays = state_dicts.vgg16()
  tree, report = make('vgg16', arrays)
  params = tree['params']
  for layer, index in (('conv1_2', 2), ('conv2_1', 5), ('conv5_3', 28)):
    np.testing.assert_array_equal(
      params[layer]['kernel'], hwio(arrays[f'features.{index}.weight'])
    )
  window = np.random.default_rng(1).uniform(0, 255, (3, 3, 3))
  theirs = (window / 255 - IMAGENET_MEAN) / IMAGENET_STD
  ours = window - fcn8.MEAN_RGB
  first = params['conv1_1']
  np.testing.assert_allclose(
    np.einsum('hwi,hwio->o', ours, first['kernel']) + first['bias'],
    np.einsum('hwi,oihw->o', theirs, arrays['features.0.weight'])
    + arrays['features.0.bias'],
    rtol=1e-4,
    atol=1e-4,
  )
  assert 'at the border' in report.notes[0]
  assert len(report.used) == 26
  assert len(report.left_over) == 6


def test_input_of_its_own_changes_nothing():
  arrays = state_dicts.vgg16()
  tree, report = make('vgg16', arrays, input='rgb255')
  first = tree['params']['conv1_1']
  np.testing.assert_array_equal(
    first['kernel'], hwio(arrays['features.0.weight'])
  )
  np.testing.assert_array_equal(first['bias'], arrays['features.0.bias'])
  assert report.notes == []


def test_blue_first_is_reversed_and_shifted():
  kernel = np.random.default_rng(0).random((3, 3, 3, 4), np.float32)
  source, target = inputs.INPUTS['bgr255'], inputs.INPUTS['rgb255']
  folded, shift = inputs.fold(kernel, source, target)
  np.testing.assert_array_equal(folded, kernel[:, :, ::-1])
  window = np.random.default_rng(1).uniform(0, 255, (3, 3, 3))
  theirs = window[..., ::-1] - (103.939, 116.779, 123.68)
  np.testing.assert_allclose(
    np.einsum('hwi,hwio->o', window - fcn8.MEAN_RGB, folded) + shift,
    np.einsum('hwi,hwio->o', theirs, kernel),
    rtol=1e-4,
  )


def test_fcn8_takes_vgg16_with_its_linear_layers():
  arrays = state_dicts.vgg16()
  tree, report = make('fcn8', arrays)
  params = tree['params']
  kernel = params['fc6']['kernel']
  assert kernel.shape == (7, 7, 64, 16)
  # PyTorch flattens pool5 channel first.
  flat = arrays['classifier.0.weight']
  np.testing.assert_array_equal(kernel[2, 5, 33], flat[:, 33 * 49 + 2 * 7 + 5])
  np.testing.assert_array_equal(
    params['fc7']['kernel'][0, 0], arrays['classifier.3.weight'].T
  )
  assert 'score_fr' not in params
  missing = {path.split('/')[1] for path in report.missing}
  assert missing == {'score_fr', 'score_pool4', 'score_pool3'}
  assert report.left_over == ['classifier.6.bias', 'classifier.6.weight']
  with pytest.raises(UserError, match='lacks 6 arrays.*--strict'):
    make('fcn8', arrays, strict=True)


def synthcp_fcn8(classes=5):
  arrays = state_dicts.vgg16()
  named = {
    name.replace('features.', 'vgg.'): array
    for name, array in arrays.items()
    if name.startswith('features')
  }
  make = state_dicts.Maker(1)
  make.conv('vgg_head.0', 64, 16, 7)
  make.conv('vgg_head.3', 16, 16, 1)
  make.conv('vgg_head.6', 16, classes, 1)
  make.conv('score_pool4', 64, classes, 1)
  make.conv('score_pool3', 32, classes, 1)
  line = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
  plane = np.eye(classes, dtype=np.float32)[:, :, None, None]
  up = {'upscore2.w': plane * np.outer(line, line)}
  return {**named, **make.arrays, **up}


def test_fcn8_of_synthcp_is_whole():
  arrays = synthcp_fcn8()
  tree, report = make('fcn8', arrays)
  assert report.missing == [] and report.notes == []
  assert report.left_over == ['upscore2.w']
  np.testing.assert_array_equal(
    tree['params']['score_fr']['kernel'], hwio(arrays['vgg_head.6.weight'])
  )
  np.testing.assert_array_equal(
    tree['params']['vgg']['conv1_1']['kernel'], hwio(arrays['vgg.0.weight'])
  )
  arrays['upscore2.w'] = arrays['upscore2.w'] + np.float32(0.01)
  with pytest.raises(UserError, match='upscore2.w.*bilinear'):
    make('fcn8', arrays)


def test_resnet101_moves_the_mean_into_batch_norm():
  arrays = state_dicts.bottlenecks()
  tree, report = make('resnet101', arrays)
  window = np.random.default_rng(1).uniform(0, 255, (7, 7, 3))
  theirs = np.einsum(
    'hwi,oihw->o',
    (window / 255 - IMAGENET_MEAN) / IMAGENET_STD,
    arrays['conv1.weight'],
  )
  ours = np.einsum(
    'hwi,hwio->o', window - fcn8.MEAN_RGB, tree['params']['conv1']['kernel']
  )
  np.testing.assert_allclose(
    ours - tree['batch_stats']['bn1']['mean'],
    theirs - arrays['bn1.running_mean'],
    rtol=1e-4,
    atol=1e-4,
  )
  np.testing.assert_array_equal(
    tree['batch_stats']['layer4_0']['bn3']['var'],
    arrays['layer4.0.bn3.running_var'],
  )
  assert report.missing == []


@pytest.mark.slow
def test_deeplab_with_each_head():
  backbone = {
    f'Scale.{name}': a for name, a in state_dicts.bottlenecks().items()
  }
  heads = state_dicts.Maker(1)
  for index in range(4):
    heads.conv(f'Scale.layer5.conv2d_list.{index}', 256, 7, 3)
  tree, report = make('deeplabv2', {**backbone, **heads.arrays})
  assert report.input == 'rgb255' and report.missing == []
  np.testing.assert_array_equal(
    tree['params']['layer5_2']['kernel'],
    hwio(heads.arrays['Scale.layer5.conv2d_list.2.weight']),
  )
  np.testing.assert_array_equal(
    tree['params']['backbone']['conv1']['kernel'],
    hwio(backbone['Scale.conv1.weight']),
  )
  # The same file gives the backbone alone.
  alone, report = make('resnet101', {**backbone, **heads.arrays})
  assert report.input == 'rgb255'
  assert alone['params'].keys() == tree['params']['backbone'].keys()

  heads = state_dicts.Maker(1)
  for index in range(1, 6):
    size = 3 if index in (2, 3, 4) else 1
    heads.conv(f'aspp.aspp{index}', 256, 32, size, bias=False)
    heads.batch_norm(f'aspp.aspp{index}_bn', 32)
  heads.conv('aspp.conv2', 160, 32, 1, bias=False)
  heads.batch_norm('aspp.bn2', 32)
  heads.conv('aspp.conv3', 32, 6, 1)
  arrays = state_dicts.bottlenecks() | heads.arrays
  tree, report = make('deeplabv2', arrays)
  assert report.missing == []
  assert all(n.endswith('tracked') for n in report.left_over)
  np.testing.assert_array_equal(
    tree['batch_stats']['aspp']['aspp5_bn']['mean'],
    arrays['aspp.aspp5_bn.running_mean'],
  )
  assert tree['params']['classifier']['kernel'].shape == (1, 1, 32, 6)

  tree, report = make('deeplabv2', state_dicts.bottlenecks())
  assert report.input == 'torchvision'
  assert list(tree['params']) == ['backbone']


CONV = 'layer2.1.conv1.weight'


@pytest.mark.parametrize(
  ('changes', 'options', 'words'),
  [
    ({CONV: None}, {}, ['lacks 1 arrays', 'layer2_1/conv1/kernel']),
    ({'bn1.running_var': None}, {}, ['batch_stats/bn1/var']),
    ({CONV: np.ones((16, 8, 3, 3), np.float32)}, {}, [CONV, '(16, 8, 3, 3)']),
    ({CONV: np.ones((16, 144), np.int8)}, {}, [CONV, 'int8']),
    ({'bn1.weight': np.array([b'x'] * 8)}, {}, ['bn1.weight', 'type']),
    ({'bn1.bias': np.full(8, np.nan, np.float32)}, {}, ['not finite']),
    ({'bn1.bias': np.full(8, 1e300)}, {}, ['not finite']),
    ({'bn1.running_var': -np.ones(8, np.float32)}, {}, ['negative']),
    ({}, {'width': 0.25}, ['(8,)', '(16,)', '--width']),
    ({}, {'arch': 'vgg16'}, ['no vgg16', 'features.0.weight']),
    ({}, {'strict': True}, ['2 arrays', 'fc.bias', '--strict']),
    ({'layer9.weight': np.ones(3)}, {'strict': True}, ['layer9.weight']),
  ],
)  # fmt: skip
def test_a_wrong_state_dict_is_one_sentence(changes, options, words):
  arrays = {**state_dicts.resnet18(), **changes}
  arrays = {n: a for n, a in arrays.items() if a is not None}
  with pytest.raises(UserError) as caught:
    make(**{'arch': 'resnet18', 'arrays': arrays, **options})
  for word in words:
    assert word in str(caught.value)


def test_half_precision_becomes_float32():
  arrays = state_dicts.resnet18()
  half = {
    name: a if a.dtype.kind == 'i' else a.astype(ml_dtypes.bfloat16)
    for name, a in arrays.items()
  }
  tree, _ = make('resnet18', half)
  kernel = tree['params']['conv1']['kernel']
  assert kernel.dtype == np.float32
  np.testing.assert_allclose(kernel, hwio(arrays['conv1.weight']), rtol=1e-2)


def run(source, out, *more, arch='resnet18'):
  argv = ['convert', f'--arch={arch}', f'--from={source}', f'--out={out}']
  return command.main([*argv, f'--width={WIDTH}', *more])


def test_the_command(tmp_path, capsys):
  arrays = state_dicts.resnet18()
  source = tw.save(tmp_path / 'resnet.pth', arrays)
  out = tmp_path / 'made' / 'resnet18'
  assert run(source, out) == 0
  table = capsys.readouterr().out
  assert 'layer4.1.bn2.running_var' in table
  assert 'missing 0: none' in table
  assert 'left over 22: fc.bias, fc.weight, 20 times num_batches' in table
  assert [p.name for p in out.parent.iterdir()] == ['resnet18']
  expected, _ = make('resnet18', arrays)
  found = folders.read(out)
  np.testing.assert_equal(found, expected)
  description = json.loads((out / 'weights.json').read_text())
  assert description['arch'] == 'resnet18' and description['width'] == WIDTH
  assert description['source'] == 'resnet.pth'
  assert description['sha256'] == folders.sha256(source)
  assert 'fc.bias' in description['report']['left_over']

  assert run(source, out) == 2
  assert 'not empty' in capsys.readouterr().err
  # An empty folder is as good as none.
  (tmp_path / 'empty').mkdir()
  assert run(source, tmp_path / 'empty') == 0
  np.testing.assert_equal(folders.read(tmp_path / 'empty'), expected)


@pytest.mark.parametrize(
  ('more', 'words'),
  [
    (['--arch=resnet81'], ['resnet81', 'resnet18']),
    (['--from=none.pth'], ['none.pth', 'no file']),
    (['--width=0'], ['--width']),
    (['--width=wide'], ['wide']),
    (['--input=rgb'], ['rgb255']),
    (['--arch=vgg16'], ['no vgg16']),
    (['--strict'], ['fc.bias']),
    (['--outt=x'], ['--outt']),
    (['--from=' + 'x' * 300 + '.pth'], ['no file']),
    (['--out=' + 'x' * 300], ['cannot be written']),
  ],
)
def test_a_mistake_writes_nothing(tmp_path, capsys, more, words):
  source = tw.save(tmp_path / 'resnet.pth', state_dicts.resnet18())
  assert run(source, tmp_path / 'out', *more) == 2
  captured = capsys.readouterr()
  assert captured.out == '' and captured.err.startswith('error: ')
  assert captured.err.count('\n') == 1
  for word in words:
    assert word in captured.err
  assert list(tmp_path.iterdir()) == [source]


def test_a_malicious_file_runs_and_writes_nothing(tmp_path, capsys):
  canary = tmp_path / 'canary'
  program = {'conv1.weight': tw.call('os', 'system', f'touch {canary}')}
  source = tw.write_zip(tmp_path / 'evil.pth', tw.pickled(program))
  assert run(source, tmp_path / 'out') == 2
  assert 'os.system' in capsys.readouterr().err
  assert list(tmp_path.iterdir()) == [source]


def test_a_failed_write_leaves_nothing(tmp_path, capsys, monkeypatch):
  source = tw.save(tmp_path / 'resnet.pth', state_dicts.resnet18())
  file = tmp_path / 'file'
  file.touch()
  assert run(source, file) == 2
  assert 'is a file' in capsys.readouterr().err
  assert run(source, file / 'below') == 2
  assert 'cannot be written' in capsys.readouterr().err

  def full(*_):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(folders, 'write_text', full)
  assert run(source, tmp_path / 'out') == 2
  assert 'No space left' in capsys.readouterr().err
  assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'resnet.pth']


def test_names_of_a_file_cannot_steer_the_terminal(tmp_path, capsys):
  arrays = state_dicts.resnet18()
  arrays['head.\x1b[2J\x1b]0;title\x07'] = np.ones(2, np.float32)
  arrays['head.\u202ereversed\nline'] = np.ones(2, np.float32)
  source = tw.save(tmp_path / 'resnet.pth', arrays)
  assert run(source, tmp_path / 'red\x1b[31m') == 0
  shown = capsys.readouterr().out
  assert not any(letter in shown for letter in '\x1b\x07\u202e')
  assert 'reversed line' in shown
  # JSON has them as escapes of its own.
  text = (tmp_path / 'red\x1b[31m' / 'weights.json').read_text()
  assert '\x1b' not in text and 'u202ereversed' in text


def test_a_flipped_bit_in_a_folder_of_wildcards_is_one_sentence(tmp_path):
  source = tw.save(tmp_path / 'resnet.pth', state_dicts.resnet18())
  out = tmp_path / 'x[1]*{a}?'
  assert run(source, out) == 0
  folders.read(out)
  files = [path for path in out.rglob('d/*') if path.is_file()]
  for path in files:
    whole = path.read_bytes()
    middle = len(whole) // 2
    changed = bytes([whole[middle] ^ 4])
    path.write_bytes(whole[:middle] + changed + whole[middle + 1 :])
  with pytest.raises(UserError, match='is damaged .*; convert the file again'):
    folders.read(out)
