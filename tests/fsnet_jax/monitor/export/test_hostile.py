"""Exported files that somebody damaged, or made to do harm."""

import dataclasses
import functools
import io
import json
import zipfile

import jax
import numpy as np
import pytest
from jax import export
from onnx import TensorProto, helper, numpy_helper

from common_lib.class_table import CITYSCAPES
from common_lib.class_table_file import to_json
from common_lib.errors import UserError
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.backends import archive, card
from fsnet_jax.monitor.backends.card import Card, part_of
from fsnet_jax.monitor.backends.jax_file import WEIGHTS, program_name

_SIZE = 4, 6
_PROGRAM = program_name(_SIZE)


def _plain(weights, images):
  failure = jax.nn.sigmoid(images.astype(np.float32).mean(-1) * weights[0])
  return images[..., 0], failure, failure > np.float32(0.5)


def _with_callback(weights, images):
  labels, failure, flagged = _plain(weights, images)
  shape = jax.ShapeDtypeStruct(failure.shape, np.float32)
  failure = jax.ffi.ffi_call('xla_ffi_python_cpu_callback', shape)(failure)
  return labels, failure, flagged


def _large_inside(weights, images):
  labels, failure, flagged = _plain(weights, images)
  large = jax.numpy.broadcast_to(weights[0], (1 << 20, 1 << 20))
  return labels, failure + large.sum(), flagged


@functools.cache
def _program(function=_plain, size=_SIZE, batch='b', checks=()):
  (count,) = export.symbolic_shape('b') if batch == 'b' else (batch,)
  exporter = export.export(
    jax.jit(function), platforms=('cpu',), disabled_checks=checks
  )
  flat = [jax.ShapeDtypeStruct((), np.float32)]
  images = jax.ShapeDtypeStruct((count, *size, 3), np.uint8)
  return bytes(exporter(flat, images).serialize())


def _parts(program=None):
  return {
    WEIGHTS: np.float32(0.01).tobytes(),
    _PROGRAM: _program() if program is None else program,
  }


def _card(parts, **changes):
  found = Card(
    classes=CITYSCAPES,
    threshold=0.4,
    statement='At most 5 %.',
    detector='fsnet',
    run='a run',
    versions={'jax': jax.__version__},
    sizes=(_SIZE,),
    weights=(('float32', ()),),
    parts={name: part_of(content) for name, content in parts.items()},
    reference=None,
  )
  return dataclasses.replace(found, **changes)


def _zip(members, how=zipfile.ZIP_STORED):
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', how) as made:
    for name, content in members:
      made.writestr(name, content)
  return file.getvalue()


def _whole(text=None, **changes):
  """A good archive, or one with another text of its card."""
  parts = _parts()
  text = card.to_json(_card(parts, **changes)) if text is None else text
  return _zip([(archive.CARD, text), *parts.items()])


def _edited(**changes):
  """A good archive but for some entries of its card."""
  value = json.loads(card.to_json(_card(_parts())))
  return _whole(json.dumps(value | changes))


def _of(program):
  parts = _parts(program)
  return _zip([(archive.CARD, card.to_json(_card(parts))), *parts.items()])


def _flipped():
  """One bit of the weights, with the CRC that fits."""
  parts = _parts() | {WEIGHTS: np.float32(0.02).tobytes()}
  text = card.to_json(_card(_parts()))
  return _zip([(archive.CARD, text), *parts.items()])


def _declared_large():
  """Says that a member has 4 GB - 2, in both of its headers."""
  content = bytearray(_whole())
  with zipfile.ZipFile(io.BytesIO(content)) as made:
    directory = made.start_dir
  at = content.index(b'PK\1\2', directory)
  for offset in (at + 20, at + 24):
    content[offset : offset + 4] = (0xFFFFFFFE).to_bytes(4, 'little')
  return bytes(content)


_DAMAGED = {
  'empty': (lambda: b'', 'not a zip'),
  'text': (lambda: b'hello' * 99, 'not a zip'),
  'cut': (lambda: _whole()[:-40], 'not a zip'),
  'no card': (lambda: _zip(_parts().items()), 'no card'),
  'compressed': (
    lambda: _zip([(archive.CARD, b'0' * 10**7)], zipfile.ZIP_DEFLATED),
    'compressed',
  ),
  'larger than the file': (_declared_large, 'larger than the file'),
  'card too large': (lambda: _whole(b' ' * (card.MOST_BYTES + 1)), 'too large'),
  'nested': (lambda: _whole(b'[' * 100_000), 'recursion'),
  'digits': (lambda: _edited(threshold=10**400), 'threshold'),
  'no number': (lambda: _edited(threshold='high'), 'threshold'),
  'statistics': (lambda: _edited(reference={'brightness': []}), 'reference'),
  'newer': (lambda: _edited(schema=99), 'newer version'),
  'classes': (lambda: _edited(classes=[]), 'not a JSON object'),
  'size': (lambda: _edited(sizes=[[1 << 15, 1 << 15]]), 'too large'),
  'no size': (lambda: _edited(sizes=[]), 'sizes'),
  'negative': (lambda: _edited(weights=[['float32', [-1]]]), 'shape'),
  'object': (lambda: _edited(weights=[['object', []]]), 'unknown type'),
  'more weights': (
    lambda: _edited(weights=[['float32', [9]]]),
    'not as many as its card',
  ),
  'changed': (_flipped, 'not those that were written'),
  'other name': (
    lambda: _zip([(archive.CARD, _text()), ('../evil', b'x')]),
    'other parts',
  ),
  'many': (
    lambda: _zip([(f'{i}', b'') for i in range(100)]),
    'too many parts',
  ),
  'no program': (lambda: _of(b'\0' * 64), 'cannot be read by jax'),
  'another size': (lambda: _of(_program(size=(8, 8))), 'other arrays'),
  'callback': (
    lambda: _of(_program(_with_callback, batch=1, checks=_ANY)),
    'calls code',
  ),
  'large inside': (lambda: _of(_program(_large_inside)), 'too large'),
}
_ANY = (
  export.DisabledSafetyCheck.custom_call('xla_ffi_python_cpu_callback'),
  export.DisabledSafetyCheck.custom_call('xla_python_cpu_callback'),
)


def _text():
  return card.to_json(_card(_parts()))


def _one_sentence(error):
  text = str(error.value)
  assert '\n' not in text and len(text) < 600 and 'Traceback' not in text


def test_the_undamaged_one_is_a_monitor(tmp_path):
  path = tmp_path / 'm.jaxexport'
  path.write_bytes(_whole())
  monitor = Monitor.load(path)
  result = monitor(np.full((2, *_SIZE, 3), 100, np.uint8))
  # sigmoid(100 * 0.01)
  np.testing.assert_allclose(result.failure, 1 / (1 + np.exp(-1.0)), atol=1e-6)
  assert result.flagged.all() and monitor.threshold == 0.4
  assert monitor.statement == 'At most 5 %.'


@pytest.mark.parametrize('name', _DAMAGED)
def test_a_jaxexport_file(name, tmp_path):
  make, words = _DAMAGED[name]
  path = tmp_path / 'm.jaxexport'
  path.write_bytes(make())
  with pytest.raises(UserError, match=f'(?i){words}') as error:
    Monitor.load(path)
  assert str(path) in str(error.value)
  _one_sentence(error)


def _tflite(content, before=b'TFL3' * 99, **changes):
  parts = {'model': before}
  text = card.to_json(_card(parts, weights=(), **changes))
  return before + content(text)


_TFLITE = {
  'empty': (lambda: b'', 'not a zip'),
  'a bare model': (lambda: b'TFL3' * 99, 'not a zip'),
  'a model of another length': (
    lambda: _tflite(lambda text: _zip([(archive.CARD, text)]))[5:],
    'no exported monitor',
  ),
  'longer than the file': (
    lambda: _zip(
      [(archive.CARD, _replaced('"size": 396', '"size": 100000000000'))]
    ),
    'other parts|not a',
  ),
}


def _replaced(old, new):
  parts = {'model': b'TFL3' * 99}
  text = card.to_json(_card(parts, weights=())).decode()
  assert old in text
  return text.replace(old, new)


@pytest.mark.parametrize('name', _TFLITE)
def test_a_tflite_file(name, tmp_path):
  make, words = _TFLITE[name]
  path = tmp_path / 'm.tflite'
  path.write_bytes(make())
  with pytest.raises(UserError, match=f'(?i){words}') as error:
    Monitor.load(path)
  _one_sentence(error)


def _onnx(
  initializer=None, classes=None, nodes=(), threshold='0.4', reference=''
):
  """A monitor that finds everything right, with more in it."""
  images = helper.make_tensor_value_info(
    'images', TensorProto.UINT8, [1, 4, 6, 3]
  )
  kinds = {'labels': 2, 'failure': 1, 'flagged': 9}
  outputs = [
    helper.make_tensor_value_info(name, kind, [1, 4, 6, 3])
    for name, kind in kinds.items()
  ]
  casts = [
    helper.make_node('Cast', ['images'], [name], to=kind)
    for name, kind in kinds.items()
  ]
  graph = helper.make_graph(
    [*nodes, *casts],
    'g',
    [images],
    outputs,
    [initializer] if initializer else [],
  )
  model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10
  )
  helper.set_model_props(
    model,
    {
      'fsnet.classes': to_json(CITYSCAPES) if classes is None else classes,
      'fsnet.threshold': threshold,
      'fsnet.reference': reference,
    },
  )
  return model.SerializeToString()


def _tensor(dims, location=None):
  tensor = numpy_helper.from_array(np.ones(4, np.float32), 'w')
  del tensor.dims[:]
  tensor.dims.extend(dims)
  if location:
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)
  return tensor


def _constant(tensor):
  return helper.make_node('Constant', [], ['c'], value=tensor)


_ONNX = {
  'empty': (lambda: b'', 'cannot be run'),
  'cut': (lambda: _onnx()[:-9], 'cannot be run'),
  'values that are not there': (
    lambda: _onnx(_tensor([1 << 40, 1 << 20])),
    'says that it has 1.15e.18 values',
  ),
  'a negative size': (lambda: _onnx(_tensor([-4])), 'negative size'),
  'weights elsewhere': (
    lambda: _onnx(_tensor([4], '/etc/passwd')),
    'in another file',
  ),
  'weights beside it': (lambda: _onnx(_tensor([4], 'w.bin')), 'another file'),
  'weights elsewhere in an attribute': (
    lambda: _onnx(nodes=[_constant(_tensor([4], '../w.bin'))]),
    'another file',
  ),
  'nested classes': (
    lambda: _onnx(classes='[' * 99_999),
    'no exported monitor',
  ),
  'long classes': (
    lambda: _onnx(classes=' ' * (card.MOST_BYTES + 1)),
    'no exported monitor',
  ),
  'a threshold of words': (lambda: _onnx(threshold='nan'), 'no threshold'),
  'statistics of nothing': (
    lambda: _onnx(reference='{"brightness": [0.5]}'),
    'damaged statistics',
  ),
  'nested statistics': (lambda: _onnx(reference='[' * 99_999), 'damaged'),
}


def test_the_undamaged_onnx_file(tmp_path):
  path = tmp_path / 'm.onnx'
  path.write_bytes(_onnx(_tensor([4]), nodes=[_constant(_tensor([2, 2]))]))
  assert Monitor.load(path).threshold == 0.4


@pytest.mark.parametrize('name', _ONNX)
def test_an_onnx_file(name, tmp_path):
  make, words = _ONNX[name]
  path = tmp_path / 'm.onnx'
  path.write_bytes(make())
  with pytest.raises(UserError, match=words) as error:
    Monitor.load(path)
  _one_sentence(error)


def test_neither_a_folder_nor_a_known_file(tmp_path):
  (tmp_path / 'm.pb').touch()
  for name in ('m.pb', 'none.tflite'):
    with pytest.raises(UserError, match=r'\.onnx, \.jaxexport, \.tflite'):
      Monitor.load(tmp_path / name)
