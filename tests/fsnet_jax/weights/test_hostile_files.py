"""A battery of hostile files: nothing is run, nothing grows, all is said."""

import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.weights import readers
from fsnet_jax.weights.formats import hostile, pickles
from tests.fsnet_jax.weights import hostile_files
from tests.fsnet_jax.weights import torch_writer as tw

CALLS = list(hostile_files.calls(''))
INERT = hostile_files.inert()
STRUCTURES = hostile_files.structures()


def write(path, value):
  storages = {'0': hostile_files.VALUES}
  return tw.write_zip(path, tw.pickled(value), storages)


def refused(path):
  """The message of a file that is refused, which takes little memory."""
  before = sorted(path.parent.iterdir())
  tracemalloc.start()
  try:
    with pytest.raises(UserError) as caught:
      readers.read_tensors(path)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  message = str(caught.value)
  assert path.name in message
  assert '\n' not in message and len(message) < 800
  assert peak < (64 << 20) + 60 * path.stat().st_size
  assert sorted(path.parent.iterdir()) == before
  return message


@pytest.mark.parametrize('title', CALLS)
def test_a_harmful_call_is_refused_wherever_it_stands(tmp_path, title):
  harm = hostile_files.calls(tmp_path / 'canary')[title]
  good = {'conv.weight': hostile_files.GOOD}
  for value in (
    harm,
    {'weight': harm},
    {**good, 'bias': harm},
    {'state_dict': good, 'epoch': [1, {'args': (harm,)}]},
    {'optimizer': {'state': harm}, 'state_dict': good},
  ):
    message = refused(write(tmp_path / 'evil.pth', value))
    assert 'nothing was run' in message
  path = tmp_path / 'old.pth'
  path.write_bytes(tw.legacy_start() + tw.pickled(harm) + tw.pickled([]))
  assert 'nothing was run' in refused(path)


@pytest.mark.parametrize('title', list(INERT))
def test_other_calls_are_not_made(tmp_path, title):
  value = INERT[title]
  refused(write(tmp_path / 'alone.pth', value))
  refused(write(tmp_path / 'weight.pth', {'weight': value}))
  good = {'conv.weight': hostile_files.GOOD}
  for beside in (
    {**good, 'x': value},
    {'x': value, 'state_dict': good, 'y': [value, (value,)]},
    {'model': {'state_dict': good}, 'optimizer': {'state': {'a': value}}},
  ):
    if title == 'a storage of its own kind' and beside.keys() >= good.keys():
      continue  # It may be a tensor: refused, and tested elsewhere.
    path = write(tmp_path / 'beside.pth', beside)
    found = readers.read_tensors(path)
    assert list(found) == ['conv.weight']
    np.testing.assert_array_equal(found['conv.weight'], [1, 2, 3, 4])


@pytest.mark.parametrize('title', list(STRUCTURES))
def test_a_pickle_that_is_wrong_is_refused(tmp_path, title, monkeypatch):
  # Checked types make each of them slow here.
  monkeypatch.setattr(pickles, '_MAX_OPERATIONS', 10_000)
  path = tmp_path / 'wrong.pth'
  storages = {'0': hostile_files.VALUES}
  refused(tw.write_zip(path, STRUCTURES[title], storages))
  old = tmp_path / 'old.pth'
  old.write_bytes(tw.legacy_start() + STRUCTURES[title] + tw.pickled([]))
  refused(old)


def test_names_in_messages_have_no_escapes(tmp_path):
  red = '\x1b[31mred\x07'
  for value in (
    tw.call(red, 'f\x1b[2J'),
    {red: 1, 'x': 2},
    {'w': tw.tensor(red, 'FloatStorage', 4, (4,), (1,))},
    tw.call('os', red),
  ):
    message = refused(write(tmp_path / 'a.pth', value))
    assert not any(letter in message for letter in '\x1b\x07\u202e')
  message = refused(write(tmp_path / 'a.pth', tw.call('e' * 100_000, 'f')))
  assert len(message) < 600


def test_zip_bombs(tmp_path):
  path = tmp_path / 'bomb.pth'
  program = tw.pickled({'w': hostile_files.GOOD})
  tw.write_zip(path, program, {'0': bytes(50 << 20)}, zipfile.ZIP_DEFLATED)
  assert 'compressed' in refused(path)
  # One piece of data under many names: the sizes are more than the file's.
  tw.write_zip(path, program, {'000': bytes(1 << 20)})
  _overlap(path, b'archive/data/000', 500)
  assert 'larger than the file' in refused(path)
  twice(path, 'archive/data.pkl', program)
  assert 'one name' in refused(path)
  # A size that is not that of what follows.
  tw.write_zip(path, program, {'0': bytes(16)})
  data = bytearray(path.read_bytes())
  place = data.index(b'PK\x01\x02')
  data[place + 20 : place + 28] = struct.pack('<II', 1 << 30, 1 << 30)
  path.write_bytes(data)
  refused(path)


def twice(path, name, content):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(name, content)
    with pytest.warns(UserWarning, match='Duplicate'):
      archive.writestr(name, content)


def _overlap(path, name, count):
  """Repeats an entry of a zip's directory under other names."""
  data = path.read_bytes()
  start, end = data.index(b'PK\x01\x02'), data.index(b'PK\x05\x06')
  entries = data[start:end]
  place = entries.index(name) - 46
  entry = entries[place : place + 46 + len(name)]
  more = b''.join(
    entry.replace(name, name[:-3] + f'{i:03}'.encode()) for i in range(1, count)
  )
  tail = bytearray(data[end:])
  total = struct.unpack_from('<H', tail, 10)[0] + count - 1
  struct.pack_into('<HHI', tail, 8, total, total, len(entries) + len(more))
  path.write_bytes(data[:start] + entries + more + tail)


def header(text, data=b''):
  """An array of NumPy's format with a header of one's own."""
  text = text.encode('latin1').ljust(118) + b'\n'
  return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text + data


def shaped(shape, descr="'<f4'", order='False'):
  return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


@pytest.mark.parametrize(
  ('text', 'data'),
  [
    (shaped('(True, 4)'), bytes(16)),
    (shaped('(4, True)'), bytes(16)),
    (shaped('(False,)'), b''),
    (shaped('(-4,)'), bytes(16)),
    (shaped('(-1, -4)'), bytes(16)),
    (shaped('(4.0,)'), bytes(16)),
    (shaped("('4',)"), bytes(16)),
    (shaped('((4,),)'), bytes(16)),
    (shaped('4'), bytes(16)),
    (shaped('[4]'), bytes(16)),
    (shaped('None'), bytes(16)),
    (shaped('(1099511627776,)'), bytes(16)),
    (shaped('(4611686018427387904, 4)'), bytes(16)),
    (shaped('(0, 9223372036854775807, 9)'), b''),
    (shaped('(' + '1,' * 40 + ')'), bytes(4)),
    (shaped('(5,)'), bytes(16)),
    (shaped('(3,)'), bytes(16)),
    (shaped('(4,)', "'|O'"), bytes(32)),
    (shaped('(4,)', "'<U4'"), bytes(64)),
    (shaped('(4,)', "'<M8[s]'"), bytes(32)),
    (shaped('(1,)', "[('x', '<f4')]"), bytes(4)),
    (shaped('(1,)', "('<f4', (4,))"), bytes(16)),
    (shaped('(4,)', "'<f3'"), bytes(16)),
    (shaped('(4,)', "'evil'"), bytes(16)),
    (shaped('(4,)', '3'), bytes(16)),
    (shaped('(4,)', "[('x', 'O')]"), bytes(16)),
    (shaped('(4,)', order='2'), bytes(16)),
    (shaped('__import__("os").system("touch canary")'), bytes(16)),
    ('{}', b''),
    ('[', b''),
    ('(' * 100, b''),
    ('-' * 110 + '1', b''),
    ('\x00', b''),
    ("{'descr': '<f4'}", b''),
    ('{[]: 1}', b''),
  ],
)
def test_headers_of_numpy(tmp_path, text, data):
  path = tmp_path / 'a.npz'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a.npy', header(text, data))
  refused(path)


def test_columns_first_are_read_as_such(tmp_path):
  path = tmp_path / 'a.npz'
  values = np.arange(6, dtype='<f4')
  with zipfile.ZipFile(path, 'w') as archive:
    text = shaped('(2, 3)', order='True')
    archive.writestr('a.npy', header(text, values.tobytes()))
  found = readers.read_tensors(path)['a']
  np.testing.assert_array_equal(found, [[0, 2, 4], [1, 3, 5]])


def test_archives_of_numpy(tmp_path):
  path = tmp_path / 'a.npz'
  good = header(shaped('(4,)'), bytes(16))
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_LZMA) as archive:
    archive.writestr('a.npy', good)
  assert 'compressed' in refused(path)
  twice(path, 'a.npy', good)
  assert 'one name' in refused(path)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a.npy', b'\x93NUMPY\x09\x00')
  assert 'version' in refused(path)
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('\x1b[2J.npy', header(shaped('(1,)'), bytes(65 << 20)))
  assert '\x1b' not in refused(path)


def test_data_of_people_is_not_called_hostile():
  for name in (
    'numpy.core.multiarray scalar', 'numpy dtype', 'argparse Namespace',
    'datetime datetime', 'collections Counter', 'pathlib PosixPath',
    'code.utils.meter AverageMeter', 'builtins set', 'builtins getattr',
    'torch device', 'torch.optim.lr_scheduler StepLR', '_codecs encode',
    'functools partial', 'models.yolo DetectionModel', 'enum Enum',
    'torch.storage _load_from_bytes',
  ):  # fmt: skip
    assert not hostile.is_hostile(name), name
