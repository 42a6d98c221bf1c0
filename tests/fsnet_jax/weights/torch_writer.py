"""Files in PyTorch's two formats, written byte by byte without PyTorch."""

import struct
import zipfile

import numpy as np

STORAGES = {
  'float32': 'FloatStorage',
  'float64': 'DoubleStorage',
  'float16': 'HalfStorage',
  'bfloat16': 'BFloat16Storage',
  'int64': 'LongStorage',
  'uint8': 'ByteStorage',
  'bool': 'BoolStorage',
}


def name(module, attribute):
  """A reference to a function or class."""
  return f'c{module}\n{attribute}\n'.encode()


def value(x):
  """Numbers, strings, None, tuples, lists and dicts; bytes are opcodes."""
  if isinstance(x, bytes):
    return x
  if x is None or isinstance(x, bool):
    return {None: b'N', True: b'\x88', False: b'\x89'}[x]
  if isinstance(x, int):
    size = max(1, (x.bit_length() + 8) // 8)
    return b'\x8a' + bytes([size]) + x.to_bytes(size, 'little', signed=True)
  if isinstance(x, float):
    return b'G' + struct.pack('>d', x)
  if isinstance(x, str):
    text = x.encode()
    return b'X' + struct.pack('<I', len(text)) + text
  if isinstance(x, tuple):
    return b'(' + b''.join(map(value, x)) + b't'
  if isinstance(x, list):
    return b'](' + b''.join(map(value, x)) + b'e'
  items = b''.join(value(k) + value(v) for k, v in x.items())
  return b'}(' + items + b'u'


def call(module, attribute, *arguments):
  """A call of a function."""
  return name(module, attribute) + value(arguments) + b'R'


def tensor(key, kind, count, shape, strides, offset=0, legacy=False):
  """A tensor over a storage."""
  reference = ('storage', name('torch', kind), key, 'cpu', count)
  storage = value(reference + ((None,) if legacy else ())) + b'Q'
  hooks = call('collections', 'OrderedDict')
  arguments = (storage, offset, shape, strides, False, hooks)
  return call('torch._utils', '_rebuild_tensor_v2', *arguments)


def tensor_of(key, array, legacy=False):
  """A contiguous array as a tensor."""
  strides = tuple(n // array.itemsize for n in array.strides)
  kind = STORAGES[array.dtype.name]
  return tensor(key, kind, array.size, array.shape, strides, legacy=legacy)


def pickled(x):
  """A whole pickle."""
  return b'\x80\x02' + value(x) + b'.'


def write_zip(path, program, storages=None, compression=zipfile.ZIP_STORED):
  """A zip archive with the given pickle and storages."""
  with zipfile.ZipFile(path, 'w', compression) as archive:
    archive.writestr('archive/data.pkl', program)
    archive.writestr('archive/byteorder', 'little')
    for key, data in (storages or {}).items():
      archive.writestr(f'archive/data/{key}', data)
    archive.writestr('archive/version', '3\n')
  return path


def save(path, arrays, wrap=lambda state: state):
  """A state dict in the zip format."""
  arrays = {n: np.asarray(a, order='C') for n, a in arrays.items()}
  state = {n: tensor_of(str(i), a) for i, (n, a) in enumerate(arrays.items())}
  storages = {str(i): a.tobytes() for i, a in enumerate(arrays.values())}
  return write_zip(path, pickled(wrap(state)), storages)


def legacy_start():
  """What a file of the old format begins with."""
  system = {'protocol_version': 1001, 'little_endian': True}
  magic = 0x1950A86A20F9469CFC6C
  return b''.join(map(pickled, (magic, 1001, system)))


def save_legacy(path, arrays):
  """A state dict in the format before version 1.6."""
  keys = [f'{94000 + i}' for i in range(len(arrays))]
  state = {
    n: tensor_of(key, a, legacy=True)
    for key, (n, a) in zip(keys, arrays.items())
  }
  parts = [legacy_start(), pickled(state), pickled(keys)]
  for array in arrays.values():
    parts.append(struct.pack('<q', array.size) + array.tobytes())
  path.write_bytes(b''.join(parts))
  return path
