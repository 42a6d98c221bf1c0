"""Reads the pickles inside PyTorch files without unpickling them.

A pickle is a program, and `pickle.load` runs it. Here its instructions are
listed by `pickletools` and interpreted by this file, which knows only those
that build numbers, strings, lists, dicts and descriptions of tensors.
Nothing is imported and nothing is called; `pickle` is not used at all. What
a program would make by calling anything else becomes an `Opaque`, which is a
name without content.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from fsnet_jax.weights.formats.hostile import is_hostile


class BadPickle(ValueError):
  """The pickle is damaged, or holds what no state dict holds."""


class ForeignName(BadPickle):
  """The pickle wants something called that no state dict needs.

  Its message is the dotted name.
  """


class Storage(NamedTuple):
  """Where a tensor's values are: `count` of `dtype` under `key`."""

  dtype: np.dtype
  key: str
  count: int


class Tensor(NamedTuple):
  """A view of a storage; offset and strides count elements."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class Opaque(NamedTuple):
  """In the place of an object that a call would have made; none was made."""

  maker: str


class Pickled(NamedTuple):
  """What a pickle describes.

  Attributes:
    value: numbers, strings, bytes, None, tuples, lists, dicts with strings
      for keys (other items are dropped), `Tensor` and `Opaque` of such.
    storages: every storage that it refers to, by key.
    foreign: dotted names that it refers to and no state dict needs, in their
      order.
  """

  value: Any
  storages: dict[str, Storage]
  foreign: list[str]


_MARK = object()
_MAX_DIMENSIONS = 16
_MAX_SIZE_BITS = 128
# Of 50,000 tensors, far more than a network has: time and memory are bounded.
_MAX_OPERATIONS = 1_500_000
_MAX_STACK = 100_000
_MAX_FOREIGN = 100

_DTYPES = {
  'DoubleStorage': np.dtype('<f8'),
  'FloatStorage': np.dtype('<f4'),
  'HalfStorage': np.dtype('<f2'),
  'BFloat16Storage': np.dtype(ml_dtypes.bfloat16),
  'LongStorage': np.dtype('<i8'),
  'IntStorage': np.dtype('<i4'),
  'ShortStorage': np.dtype('<i2'),
  'CharStorage': np.dtype('i1'),
  'ByteStorage': np.dtype('u1'),
  'BoolStorage': np.dtype('?'),
  'ComplexFloatStorage': np.dtype('<c8'),
  'ComplexDoubleStorage': np.dtype('<c16'),
  # The integers of quantised tensors, whose scales are elsewhere.
  'QInt8Storage': np.dtype('i1'),
  'QUInt8Storage': np.dtype('u1'),
  'QInt32Storage': np.dtype('<i4'),
}


def _natural(value: Any) -> int:
  if type(value) is not int or value < 0:
    raise BadPickle('a size is no natural number')
  if value.bit_length() > _MAX_SIZE_BITS:
    raise BadPickle('a size is too large')
  return value


def _sizes(value: Any) -> tuple[int, ...]:
  if type(value) is not tuple or len(value) > _MAX_DIMENSIONS:
    raise BadPickle("a tensor's shape is no tuple of numbers")
  return tuple(_natural(size) for size in value)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_):
  if isinstance(storage, Opaque):
    return storage
  if not isinstance(storage, Storage):
    raise BadPickle('a tensor has no storage')
  tensor = Tensor(storage, _natural(offset), _sizes(shape), _sizes(strides))
  if len(tensor.shape) != len(tensor.strides):
    raise BadPickle("a tensor's shape and strides differ in length")
  return tensor


def _rebuild_parameter(data: Any, *_):
  if not isinstance(data, Tensor | Opaque):
    raise BadPickle('a parameter is no tensor')
  return data


def _rebuild_subclass(function: Any, kind: Any, arguments: Any, *_):
  """A tensor with attributes of its own, which are dropped."""
  name = function.name if isinstance(function, _Name) else ''
  if not name.startswith('torch._utils ') or name not in _CALLS:
    return Opaque('torch._tensor._rebuild_from_type_v2')
  if type(arguments) is not tuple:
    raise BadPickle('a call has no arguments')
  return _CALLS[name](*arguments)


def _ordered_dict(pairs: Any = ()):
  result: dict[Any, Any] = {}
  for pair in pairs:
    if type(pair) not in (list, tuple) or len(pair) != 2:
      raise BadPickle('an ordered dict is not made of pairs')
    _set(result, *pair)
  return result


def _size(values: Any = ()):
  return _sizes(values)


# What a state dict refers to, by name. These stand-ins are never reachable
# for a pickle as Python objects: only REDUCE applies them.
_CALLS: dict[str, Callable[..., Any]] = {
  'collections OrderedDict': _ordered_dict,
  'torch._utils _rebuild_tensor': _rebuild_tensor,
  'torch._utils _rebuild_tensor_v2': _rebuild_tensor,
  'torch._utils _rebuild_parameter': _rebuild_parameter,
  'torch._utils _rebuild_parameter_with_state': _rebuild_parameter,
  'torch._tensor _rebuild_from_type_v2': _rebuild_subclass,
  'torch Size': _size,
}


class _Name(NamedTuple):
  """A global, inert: module and qualified name with a space between."""

  name: str

  @property
  def dotted(self) -> str:
    return self.name.replace(' ', '.')

  @property
  def known(self) -> bool:
    return self.name in _CALLS or self.name.removeprefix('torch ') in _DTYPES


def _set(target: Any, key: Any, value: Any) -> None:
  if type(target) is not dict:
    raise BadPickle('an item is given to what has none')
  # No tensor has another name, and other keys (integers too) could be built
  # to take forever to hash or to find.
  if type(key) is str:
    target[key] = value


class _Machine:
  """The stack and the memory of a pickle, and the storages it refers to."""

  def __init__(self):
    self.stack: list[Any] = []
    self.memory: dict[int, Any] = {}
    self.storages: dict[str, Storage] = {}
    self.foreign: list[str] = []

  def pop(self) -> Any:
    value = self.stack.pop()
    if value is _MARK:
      raise BadPickle('a mark is where a value is expected')
    return value

  def pop_to_mark(self) -> list[Any]:
    values: list[Any] = []
    while (value := self.stack.pop()) is not _MARK:
      values.append(value)
    return values[::-1]

  def name(self, name: str) -> None:
    found = _Name(name)
    if is_hostile(name):
      raise ForeignName(found.dotted)
    if not found.known and len(self.foreign) < _MAX_FOREIGN:
      self.foreign.append(found.dotted)
    self.stack.append(found)

  def stack_name(self, _) -> None:
    name, module = self.pop(), self.pop()
    if type(name) is not str or type(module) is not str:
      raise BadPickle('a name is no string')
    self.name(f'{module} {name}')

  def reduce(self, _) -> None:
    arguments, function = self.pop(), self.pop()
    if type(arguments) is not tuple:
      raise BadPickle('a call has no arguments')
    self.stack.append(self.called(function, arguments))

  def called(self, function: Any, arguments: tuple) -> Any:
    """What stands for the result of a call; only our stand-ins are run."""
    if isinstance(function, Opaque):
      return function
    if not isinstance(function, _Name):
      raise BadPickle('something is called that is no function')
    if function.name in _CALLS:
      return _CALLS[function.name](*arguments)
    if function.known:
      raise BadPickle('a storage is called as a function')
    return Opaque(function.dotted)

  def new_object(self, count: int) -> None:
    """A class with `count` arguments below it, which are dropped."""
    for _ in range(count):
      self.pop()
    made = self.pop()
    if isinstance(made, _Name) and made.known:
      raise BadPickle('an object is called for as no state dict does')
    self.stack.append(self.called(made, ()))

  def build(self, _) -> None:
    # A module's state dict carries `_metadata` so; it is of no use here.
    self.pop()
    if type(self.stack[-1]) not in (dict, Opaque):
      raise BadPickle('a state is given to what has none')

  def persistent(self, _) -> None:
    parts = self.pop()
    if type(parts) is tuple and len(parts) > 1 and parts[0] == 'module':
      # A class of a module, and its source, in the format before 1.6.
      if not isinstance(parts[1], _Name):
        raise BadPickle('a reference is to no storage')
      self.stack.append(parts[1])
      return
    if type(parts) is not tuple or len(parts) < 5 or parts[0] != 'storage':
      raise BadPickle('a reference is to no storage')
    _, kind, key, _, count = parts[:5]
    if not isinstance(kind, _Name) or type(key) is not str:
      raise BadPickle('a storage has no type or no key')
    dtype = _DTYPES.get(kind.name.removeprefix('torch '))
    if dtype is None:
      self.stack.append(Opaque(kind.dotted))
      return
    if len(parts) > 5 and parts[5] is not None:
      raise BadPickle('a storage is a view of another')
    storage = Storage(dtype, key, _natural(count))
    if self.storages.setdefault(key, storage) != storage:
      raise BadPickle('one storage has two types or sizes')
    self.stack.append(storage)

  def tuple_of(self, count: int) -> None:
    values = [self.pop() for _ in range(count)]
    self.stack.append(tuple(values[::-1]))

  def extend(self, values: list[Any]) -> None:
    if type(self.stack[-1]) is Opaque:
      return
    if type(self.stack[-1]) is not list:
      raise BadPickle('something is appended to what is no list')
    self.stack[-1].extend(values)

  def set_items(self, values: list[Any]) -> None:
    if len(values) % 2:
      raise BadPickle('a key has no value')
    if type(self.stack[-1]) is Opaque:
      return
    for key, value in zip(values[::2], values[1::2]):
      _set(self.stack[-1], key, value)

  def set_item(self, _) -> None:
    value, key = self.pop(), self.pop()
    self.set_items([key, value])

  def frozen_set(self, _) -> None:
    self.pop_to_mark()
    self.stack.append(Opaque('frozenset'))

  def put(self, index: int) -> None:
    self.memory[index] = self.stack[-1]


def _ignore(machine: _Machine, argument: Any) -> None:
  pass


def _push(machine: _Machine, argument: Any) -> None:
  machine.stack.append(argument)


_LITERALS = (
  'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT',
  'BINUNICODE', 'SHORT_BINUNICODE', 'BINSTRING', 'SHORT_BINSTRING',
  'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8', 'BINUNICODE8',
)  # fmt: skip
_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
  'PROTO': _ignore,
  'FRAME': _ignore,
  **dict.fromkeys(_LITERALS, _push),
  'NONE': lambda m, _: m.stack.append(None),
  'NEWTRUE': lambda m, _: m.stack.append(True),
  'NEWFALSE': lambda m, _: m.stack.append(False),
  'MARK': lambda m, _: m.stack.append(_MARK),
  'EMPTY_TUPLE': lambda m, _: m.tuple_of(0),
  'TUPLE1': lambda m, _: m.tuple_of(1),
  'TUPLE2': lambda m, _: m.tuple_of(2),
  'TUPLE3': lambda m, _: m.tuple_of(3),
  'TUPLE': lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
  'EMPTY_LIST': lambda m, _: m.stack.append([]),
  'EMPTY_DICT': lambda m, _: m.stack.append({}),
  'EMPTY_SET': lambda m, _: m.stack.append(Opaque('set')),
  'ADDITEMS': lambda m, _: m.extend(m.pop_to_mark()),
  'FROZENSET': _Machine.frozen_set,
  'APPEND': lambda m, _: m.extend([m.pop()]),
  'APPENDS': lambda m, _: m.extend(m.pop_to_mark()),
  'SETITEM': _Machine.set_item,
  'SETITEMS': lambda m, _: m.set_items(m.pop_to_mark()),
  'BINPUT': _Machine.put,
  'LONG_BINPUT': _Machine.put,
  'MEMOIZE': lambda m, _: m.put(len(m.memory)),
  'BINGET': lambda m, index: m.stack.append(m.memory[index]),
  'LONG_BINGET': lambda m, index: m.stack.append(m.memory[index]),
  'GLOBAL': _Machine.name,
  'STACK_GLOBAL': _Machine.stack_name,
  'REDUCE': _Machine.reduce,
  'NEWOBJ': lambda m, _: m.new_object(1),
  'NEWOBJ_EX': lambda m, _: m.new_object(2),
  'BUILD': _Machine.build,
  'BINPERSID': _Machine.persistent,
}  # fmt: skip


def read_pickle(file: io.BufferedIOBase) -> Pickled:
  """Reads one pickle, as data.

  Args:
    file: at the pickle's first byte; left after its last. It should hold no
      more bytes than may be read.

  Raises:
    ForeignName: it asks for what only a hostile file asks for (`hostile`).
    BadPickle: it is damaged, uses another instruction, or is too long.
  """
  machine = _Machine()
  try:
    # A BufferedIOBase is IO[bytes], though none of its bases says so.
    # pyrefly: ignore[bad-argument-type]
    operations = pickletools.genops(file)
    for number, (operation, argument, _) in enumerate(operations):
      if operation.name == 'STOP':
        return Pickled(machine.pop(), machine.storages, machine.foreign)
      if operation.name not in _OPERATIONS:
        raise BadPickle(f'instruction {operation.name} has no place here')
      if number > _MAX_OPERATIONS or len(machine.stack) > _MAX_STACK:
        raise BadPickle('it is too long')
      _OPERATIONS[operation.name](machine, argument)
  except BadPickle:
    raise
  except (ValueError, TypeError, IndexError, KeyError) as error:
    raise BadPickle(f'{type(error).__name__}: {error}') from error
  raise BadPickle('it does not end')
