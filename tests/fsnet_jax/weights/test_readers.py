import json
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from common_lib.errors import UserError
from fsnet_jax.weights import readers
from tests.fsnet_jax.weights import torch_writer as tw


@pytest.fixture
def arrays():
  rng = np.random.default_rng(0)
  return {
    'conv.weight': rng.standard_normal((4, 3, 2, 2)).astype(np.float32),
    'half': np.arange(6, dtype=np.float16).reshape(2, 3),
    'brain': np.arange(5, dtype=np.float32).astype(ml_dtypes.bfloat16),
    'double': rng.random(3),
    'bn.num_batches_tracked': np.array(7),
    'mask': np.array([True, False]),
    'empty': np.zeros((0, 3), np.float32),
  }


def assert_same(found, expected):
  assert list(found) == list(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype, name
    assert found[name].shape == array.shape, name
    np.testing.assert_array_equal(found[name], array)


def fails(path, *words):
  with pytest.raises(UserError) as caught:
    readers.read_tensors(path)
  message = str(caught.value)
  assert path.name in message and '\n' not in message
  for word in words:
    assert word in message
  return message


def test_both_formats_of_torch(tmp_path, arrays):
  new = tw.save(tmp_path / 'new.pth', arrays)
  assert_same(readers.read_tensors(new), arrays)
  old = tw.save_legacy(tmp_path / 'old.pth', arrays)
  assert_same(readers.read_tensors(old), arrays)


def test_safetensors_and_npz(tmp_path, arrays):
  path = tmp_path / 'a.safetensors'
  safetensors.numpy.save_file(arrays, path)
  found = readers.read_tensors(path)
  assert_same({name: found[name] for name in arrays}, arrays)
  del arrays['brain']  # has no place in NumPy's format
  arrays['fortran'] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
  for save in (np.savez, np.savez_compressed):
    save(tmp_path / 'a.npz', **arrays)
    assert_same(readers.read_tensors(tmp_path / 'a.npz'), arrays)


def test_wrappers_and_prefixes_go(tmp_path, arrays):
  def wrap(state):
    state = {f'module._orig_mod.{n}': t for n, t in state.items()}
    hooks = tw.call('collections', 'OrderedDict', [['version', 1]])
    state = tw.value(state) + tw.value({'_metadata': hooks}) + b'b'
    return {'epoch': 3, 'state_dict': state, 'optimizer': {'lr': 0.1}}

  path = tw.save(tmp_path / 'a.pth.tar', arrays, wrap)
  assert_same(readers.read_tensors(path), arrays)


def test_views_of_one_storage(tmp_path):
  data = np.arange(12, dtype=np.float32)
  program = tw.pickled(
    {
      'rows': tw.tensor('0', 'FloatStorage', 12, (2, 3), (3, 1), 6),
      'columns': tw.tensor('0', 'FloatStorage', 12, (3, 2), (1, 3)),
      'one': tw.call(
        'torch._utils',
        '_rebuild_parameter',
        tw.tensor('0', 'FloatStorage', 12, (1, 1), (10**30, 5), 11),
        True,
        tw.call('collections', 'OrderedDict'),
      ),
    }
  )
  path = tw.write_zip(tmp_path / 'a.pt', program, {'0': data.tobytes()})
  found = readers.read_tensors(path)
  np.testing.assert_array_equal(found['rows'], data[6:].reshape(2, 3))
  np.testing.assert_array_equal(found['columns'], data[:6].reshape(2, 3).T)
  np.testing.assert_array_equal(found['one'], [[11]])


# Programs that would make `canary` if they were run.
def programs(canary):
  shell = f'touch {canary}'
  python = f'open({str(canary)!r}, "w")'
  return {
    'os.system': tw.call('os', 'system', shell),
    'posix.system': tw.call('posix', 'system', shell),
    'subprocess.Popen': tw.call('subprocess', 'Popen', ['touch', str(canary)]),
    'builtins.eval': tw.call('builtins', 'eval', python),
    '__builtin__.exec': tw.call('__builtin__', 'exec', python),
    'builtins.getattr': tw.call('builtins', 'getattr', 'a', 'upper'),
    'numpy.core.multiarray._reconstruct': tw.name(
      'numpy.core.multiarray', '_reconstruct'
    ),
    'torch.load': tw.call('torch', 'load', str(canary)),
    'torch.hub.load': tw.call('torch.hub', 'load', str(canary)),
    'torch._utils._rebuild_tensor_v2.__globals__': tw.name(
      'torch._utils', '_rebuild_tensor_v2.__globals__'
    ),
    'collections.OrderedDict.fromkeys': tw.name(
      'collections', 'OrderedDict.fromkeys'
    ),
    # As protocol 4 names it.
    'os.popen': tw.value('os') + tw.value('popen') + b'\x93',
  }


@pytest.mark.parametrize('asked', list(programs('')))
@pytest.mark.parametrize('legacy', [False, True])
def test_nothing_is_run(tmp_path, asked, legacy):
  canary = tmp_path / 'canary'
  program = tw.pickled({'weight': programs(canary)[asked]})
  path = tmp_path / 'evil.pth'
  if legacy:
    path.write_bytes(tw.legacy_start() + program + tw.pickled([]))
  else:
    tw.write_zip(path, program)
  fails(path, asked, 'nothing was run')
  assert sorted(tmp_path.iterdir()) == [path]


def ordered(*arguments):
  return tw.call('collections', 'OrderedDict', *arguments)


@pytest.mark.parametrize(
  ('program', 'word'),
  [
    # Object instructions, extension registry, out-of-band buffers.
    (tw.name('collections', 'OrderedDict') + b')\x81', 'object is called'),
    (b'(i__main__\nevil\n', 'INST'),
    (b'\x82\x01', 'EXT1'),
    (b'\x97', 'NEXT_BUFFER'),
    (b'\x8e' + struct.pack('<Q', 1 << 60), 'expected'),
    (tw.tensor('0', 'FloatStorage', 4, (4,), (1,)) + b'}b', 'state'),
    (tw.name('collections', 'OrderedDict') + b'}b', 'state'),
    (tw.name('torch', 'FloatStorage') + b')R', 'called'),
    (tw.value('name') + b')R', 'called'),
    (ordered('ab'), 'pairs'),
    (ordered(3), 'TypeError'),
    # Keys that no tensor has are dropped, with what they lead to.
    (ordered([[(1, 2), 3]]), 'no state dict'),
    (b'}' + tw.value((1,)) + b'Ns', 'no state dict'),
    (b']NNs', 'item'),
    (tw.value(('storage', 1, '0', 'cpu', 4)) + b'Q', 'type'),
    (tw.value(('module', 1, '0', 'cpu', 4)) + b'Q', 'storage'),
    (b'0', 'POP'),
    (b't', 'IndexError'),
    (b'h\x07', 'KeyError'),
    (b'((0', 'POP'),
    (b'(\x85', 'mark'),
    (b'\xff', 'unknown'),
    (b'NNNe', 'IndexError'),
  ],
)
def test_other_programs_are_refused(tmp_path, program, word):
  path = tw.write_zip(tmp_path / 'a.pth', b'\x80\x02' + program + b'.')
  fails(path, word)


def test_memory_cannot_be_asked_for(tmp_path):
  # CPython's unpickler would make room for four thousand million entries.
  program = b'\x80\x02}r' + struct.pack('<I', 0xFFFFFFFF) + b'.'
  fails(tw.write_zip(tmp_path / 'memo.pth', program))
  deep = b'\x80\x02' + b'(' * 100_000 + b'N' + b't' * 100_000 + b'.'
  fails(tw.write_zip(tmp_path / 'deep.pth', deep))
  doubled = b'\x80\x02' + tw.value((1,)) + b'q\x00h\x00\x86' * 200 + b'.'
  fails(tw.write_zip(tmp_path / 'doubled.pth', doubled))
  long = b'\x80\x02' + b'N' * (9 << 20)
  fails(tw.write_zip(tmp_path / 'long.pth', long), 'larger')


@pytest.mark.parametrize(
  ('shape', 'strides', 'offset', 'count'),
  [
    ((5,), (1,), 0, 4),
    ((2,), (1,), 3, 4),
    ((2, 2), (3, 1), 0, 4),
    ((1 << 40,), (0,), 0, 4),
    ((1 << 40, 1 << 40), (0, 0), 0, 4),
    ((2,), (1 << 70,), 0, 4),
    ((1,), (1,), 1 << 70, 4),
    ((-1,), (1,), 0, 4),
    ((1,), (1,), -1, 4),
    ((2,), (-1,), 1, 4),
    ((4,), (1, 1), 0, 4),
    ((1,) * 17, (1,) * 17, 0, 4),
    ((4,), (1,), 0, 5),
    ((4,), (1,), 0, 1 << 60),
    ((4,), (1,), 0, 3),
    ((True,), (1,), 0, 4),
  ],
)
def test_a_tensor_stays_in_its_storage(tmp_path, shape, strides, offset, count):
  tensor = tw.tensor('0', 'FloatStorage', count, shape, strides, offset)
  path = tmp_path / 'a.pth'
  tw.write_zip(path, tw.pickled({'w': tensor}), {'0': bytes(16)})
  fails(path)


def test_archives_that_are_wrong(tmp_path, arrays):
  path = tmp_path / 'a.pth'
  good = tw.tensor('0', 'FloatStorage', 4, (4,), (1,))
  program = tw.pickled({'w': good})
  tw.write_zip(path, program)
  fails(path, 'archive/data/0 is missing')
  tw.write_zip(path, program, {'0': bytes(16)}, zipfile.ZIP_DEFLATED)
  fails(path, 'compressed')
  two = tw.tensor('0', 'LongStorage', 4, (4,), (1,))
  tw.write_zip(path, tw.pickled({'a': good, 'b': two}), {'0': bytes(32)})
  fails(path, 'two types')
  for member in ('archive/constants.pkl', 'other/data.pkl'):
    tw.write_zip(path, program, {'0': bytes(16)})
    with zipfile.ZipFile(path, 'a') as archive:
      archive.writestr(member, b'')
    fails(path)
  np.savez(tmp_path / 'b.npz', a=np.ones(3))
  (tmp_path / 'b.npz').rename(path)
  fails(path, 'not one of torch.save')


def test_every_cut_is_noticed(tmp_path, arrays):
  for save in (tw.save, tw.save_legacy):
    path = save(tmp_path / 'a.pth', arrays)
    data = path.read_bytes()
    for end in range(0, len(data) - 1, 61):
      path.write_bytes(data[:end])
      fails(path)


@pytest.mark.slow
def test_no_flipped_byte_is_a_traceback(tmp_path, arrays):
  rng = np.random.default_rng(0)
  for save in (tw.save, tw.save_legacy):
    path = save(tmp_path / 'a.pth', arrays)
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 150):
      damaged = data.copy()
      damaged[place] ^= 1 << rng.integers(8)
      path.write_bytes(damaged)
      try:
        readers.read_tensors(path)
      except UserError as error:
        assert 'a.pth' in str(error)


def test_wrong_npz(tmp_path):
  path = tmp_path / 'a.npz'
  np.savez(path, a=np.array([object()]))
  fails(path, 'object')
  np.savez(path, a=np.zeros(2, [('x', 'f4')]))
  fails(path, 'plain arrays')
  np.savez_compressed(path, a=np.zeros(80 << 20, np.uint8))
  fails(path, '80 MiB')
  header = b'\x93NUMPY\x01\x00' + struct.pack('<H', 76)
  text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}"
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a.npy', header + text.ljust(75).encode() + b'\n')
  fails(path, 'length')
  path.write_bytes(b'nonsense')
  fails(path)


def test_wrong_safetensors(tmp_path):
  path = tmp_path / 'a.safetensors'

  def write(entry, data=bytes(16)):
    text = json.dumps({'w': entry}).encode()
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)

  write({'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]})
  assert_same(readers.read_tensors(path), {'w': np.zeros(4, np.float32)})
  for entry in (
    {'dtype': 'F32', 'shape': [5], 'data_offsets': [0, 16]},
    {'dtype': 'F32', 'shape': [5], 'data_offsets': [0, 20]},
    {'dtype': 'F32', 'shape': [1 << 62, 4], 'data_offsets': [0, 16]},
    {'dtype': 'F8_E5M2', 'shape': [16], 'data_offsets': [0, 16]},
    {'dtype': 'nonsense', 'shape': [4], 'data_offsets': [0, 16]},
  ):
    write(entry)
    fails(path)
  path.write_bytes(struct.pack('<Q', 1 << 60) + b'{}')
  fails(path)


def test_files_of_other_kinds(tmp_path):
  for file in ('none.pth', 'none.npz', 'none.safetensors'):
    fails(tmp_path / file, 'no file')
  text = tmp_path / 'weights.txt'
  text.touch()
  fails(text, '.safetensors')
  path = tmp_path / 'a.pth'
  path.touch()
  fails(path, 'torch.save')
  path.write_bytes(bytes(257) + b'ustar' + bytes(250))
  fails(path, '0.1.10')
  path.write_bytes(b'\x80\x04\x95')
  fails(path)
  tw.write_zip(path, tw.pickled({'epoch': 3}))
  fails(path, 'state_dict')
  tw.write_zip(path, tw.pickled([1, 2]))
  fails(path, 'state_dict')
