"""A run as .jaxexport and .tflite, and `fsnet_monitor.py` beside the ONNX."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from importlib import util

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import onnxruntime
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers.transposed import UpConv
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.backends import archive
from fsnet_jax.monitor.backends.card import part_of
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.jax_file import JaxBackend
from fsnet_jax.monitor.backends.tflite_file import MODEL, TfliteBackend
from fsnet_jax.monitor.export import (
  from_run,
  jax_export,
  onnx_export,
  standalone,
  tflite_export,
)
from fsnet_jax.runtime import tflite
from tests.paths import ROOT

pytestmark = pytest.mark.slow
_SIZE = 32, 64


def _images(count, size=_SIZE):
  rng = np.random.default_rng(count)
  return rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def backend(finished):
  jaxtyping.config.update('jaxtyping_disable', True)
  yield CheckpointBackend.open(finished[0])
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.fixture(scope='module')
def folder(backend, tmp_path_factory):
  """m.jaxexport of two sizes, m.tflite, half.tflite, m.onnx; what was said."""
  folder = tmp_path_factory.mktemp('formats')
  images = _images(3)
  said = {
    'jaxexport': jax_export.export(
      backend, images, folder / 'm.jaxexport', 'run', ((64, 64),)
    ),
    'tflite': tflite_export.export(backend, images, folder / 'm.tflite', 'run'),
    'half': tflite_export.export(
      backend, images, folder / 'half.tflite', 'run', 'float16'
    ),
  }
  onnx_export.export(backend, images, folder / 'm.onnx', 'run')
  standalone.write(folder)
  return folder, said


@pytest.mark.parametrize('name', ['m.jaxexport', 'm.tflite'])
def test_the_file_says_what_the_run_says(backend, folder, name):
  """Of images of its own size, and of others, which are resized."""
  run, file = Monitor(backend), Monitor.load(folder[0] / name)
  assert file.classes == run.classes and not file.is_calibrated
  assert file.threshold == 0.5 and file.statement == ''
  for images in (_images(1), _images(5), _images(2, (20, 50))):
    mine, theirs = file(images), run(images)
    same = mine.labels == theirs.labels
    assert same.mean() > 0.999
    np.testing.assert_allclose(
      mine.failure[same], theirs.failure[same], atol=1e-5
    )
    assert mine.labels.dtype == np.uint8 and mine.flagged.dtype == bool
    assert mine.failure.dtype == np.float32
    assert mine.failure.shape == images.shape[:3]


@pytest.mark.parametrize('size', [_SIZE, (64, 64)])
def test_jaxexport_is_jit_at_each_of_its_sizes(backend, folder, size):
  file = JaxBackend.open(folder[0] / 'm.jaxexport')
  assert file.sizes == (_SIZE, (64, 64))
  images = _images(4, size)
  with conv_forms.use('plain'):
    labels, failure, _ = jax.jit(backend.function())(images)
  own, mine = file(images)
  np.testing.assert_array_equal(own, labels)
  np.testing.assert_allclose(mine, failure, atol=1e-6)


def test_a_transposed_convolution_in_tflite():
  """The converter gets one of an input with zeros between its cells wrong."""
  layer = UpConv(5)
  shape = (1, 4, 6, 3)
  variables = layer.init(jax.random.key(0), jnp.zeros(shape))

  def doubled(images):
    return {'y': layer.apply(variables, images.astype(jnp.float32) / 255)}

  images = _images(1, shape[1:3])
  with conv_forms.use('plain'):
    expected = doubled(images)['y']
  with conv_forms.use('undilated'):
    np.testing.assert_allclose(doubled(images)['y'], expected, atol=1e-6)
    content = tflite.converted(doubled, shape[1:3], 'float32')
  run = tflite.runner(tflite.interpreter(content, 'a test'))
  np.testing.assert_allclose(run(images=images)['y'], expected, atol=1e-6)


def test_weights_are_in_the_archive_once(backend, folder):
  with zipfile.ZipFile(folder[0] / 'm.jaxexport') as archive:
    sizes = {one.filename: one.file_size for one in archive.infolist()}
    card = json.loads(archive.read('card.json'))
  _, tree = backend.function_and_weights()
  count = sum(np.size(one) for one in jax.tree.leaves(tree))
  assert sizes['weights.bin'] == 4 * count
  assert set(sizes) == {
    'card.json',
    'weights.bin',
    '32x64.stablehlo',
    '64x64.stablehlo',
  }
  assert card['sizes'] == [[32, 64], [64, 64]]
  assert card['detector'] == 'fsnet' and card['versions']['jax']


def test_jaxexport_needs_jax_and_numpy_alone(folder):
  code = (
    'import sys\n'
    "for name in ('flax', 'tensorflow', 'orbax', 'optax', 'grain', 'PIL'):\n"
    '  sys.modules[name] = None\n'
    'import numpy as np\n'
    'from fsnet_jax.monitor import Monitor\n'
    f'monitor = Monitor.load({str(folder[0] / "m.jaxexport")!r})\n'
    'print(monitor(np.zeros((2, 32, 64, 3), np.uint8)).failure.shape)\n'
    'print(sorted({n.split(".")[0] for n in sys.modules if sys.modules[n]}\n'
    '  & {"flax", "tensorflow", "orbax", "ml_collections", "optax"}))\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.splitlines() == ['(2, 32, 64)', '[]'], done.stderr[-900:]


def test_half_precision_is_said_to_be_less_exact(backend, folder):
  path, said = folder
  assert 'float16' in said['half'] and 'the class at' in said['half']
  assert 'float32' in said['tflite']
  small, large = ((path / f'{n}.tflite').stat().st_size for n in ('half', 'm'))
  assert small < 0.8 * large
  half, run = TfliteBackend.open(path / 'half.tflite'), backend
  images = _images(3)
  difference = np.abs(half(images)[1] - run(images)[1]).max()
  assert 1e-5 < difference < 0.05


def test_half_precision_promises_nothing(backend, folder, monkeypatch):
  """A threshold was calibrated on other numbers."""
  monkeypatch.setattr(
    CheckpointBackend, 'statement', property(lambda self: 'At most 5 %.')
  )
  cards = jax_export.cards
  sizes = (_SIZE, (64, 64))
  assert cards.of_run(backend, 'r', {}, sizes=sizes[:1]).statement == (
    'At most 5 %.'
  )
  assert cards.of_run(backend, 'r', {}, sizes=sizes).statement == (
    'Images of 32x64: At most 5 %.'
  )
  assert not cards.of_run(
    backend, 'r', {}, sizes=sizes[:1], is_exact=False
  ).statement


@pytest.mark.parametrize(
  ('name', 'kind'), [('jaxexport', JaxBackend), ('tflite', TfliteBackend)]
)
def test_a_file_that_computes_something_else_is_not_written(
  backend, tmp_path, monkeypatch, name, kind
):
  original = kind.__call__

  def other(self, images):
    labels, failure = original(self, images)
    return labels, failure + np.float32(0.001)

  monkeypatch.setattr(kind, '__call__', other)
  path = tmp_path / f'm.{name}'
  writer = {'jaxexport': jax_export, 'tflite': tflite_export}[name]
  with pytest.raises(UserError, match='was not written'):
    writer.export(backend, _images(3), path, 'run')
  assert not path.exists()


@pytest.mark.parametrize('damage', ['size', 'model', 'cut'])
def test_a_tflite_model_that_is_not_the_cards(folder, tmp_path, damage):
  """Whoever writes one can write a card with its SHA-256 as well."""
  card, parts = archive.read(folder[0] / 'm.tflite', MODEL)
  content = parts[MODEL]
  if damage == 'size':
    card = dataclasses.replace(card, sizes=((64, 64),))
  else:
    content = {'model': b'TFL3' * 999, 'cut': content[:9999]}[damage]
  card = dataclasses.replace(card, parts={MODEL: part_of(content)})
  path = tmp_path / 'm.tflite'
  path.write_bytes(archive.written(card, {}, before=content))
  with pytest.raises(UserError, match='no exported monitor') as error:
    Monitor.load(path)
  assert '\n' not in str(error.value)


def test_sizes_that_networks_do_not_take(backend, tmp_path):
  with pytest.raises(UserError, match='has 33x64.*multiples of 32'):
    jax_export.export(
      backend, _images(1), tmp_path / 'm.jaxexport', 'run', ((33, 64),)
    )
  assert not any(tmp_path.iterdir())


def test_what_the_command_refuses(tmp_path):
  with pytest.raises(UserError, match=r'writes \.onnx, \.jaxexport, \.tflite'):
    from_run.export(None, tmp_path, tmp_path / 'm.pb')


def test_packages_that_are_missing(folder, monkeypatch):
  original = util.find_spec
  gone = ('jax', 'ai_edge_litert', 'tensorflow', 'PIL')
  monkeypatch.setattr(
    util, 'find_spec', lambda n, *a: None if n in gone else original(n, *a)
  )
  with pytest.raises(UserError, match='pip install jax'):
    Monitor.load(folder[0] / 'm.jaxexport')
  with pytest.raises(UserError, match='-r requirements-tflite.txt'):
    Monitor.load(folder[0] / 'm.tflite')


_STANDALONE = """
import sys

class Block:
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in {blocked}:
      raise ImportError(name)

sys.meta_path.insert(0, Block())
sys.path.insert(0, '.')
import numpy as np
from fsnet_monitor import Monitor

monitor = Monitor('m.onnx')
result = monitor(np.load('images.npy'))
np.savez('found.npz', **result._asdict())
print(monitor.classes[13], monitor.colors[13], monitor.threshold)
print(monitor.is_calibrated, repr(monitor.statement), monitor.size)
print(monitor(np.zeros((1, 8, 9, 3), np.uint8)).labels.shape)
try:
  monitor(np.zeros((1, 32, 64, 3)))
except ValueError as error:
  print(error)
"""


def test_the_standalone_file_in_a_robots_tree(backend, folder, tmp_path):
  """Copied into an empty folder, with numpy and onnxruntime alone."""
  for name in ('m.onnx', standalone.NAME):
    shutil.copy(folder[0] / name, tmp_path)
  images = _images(3)
  np.save(tmp_path / 'images.npy', images)
  blocked = ['jax', 'flax', 'tensorflow', 'onnx', 'fsnet_jax', 'common_lib']
  code = _STANDALONE.format(blocked=[*blocked, 'input_pipeline', 'PIL', 'cv2'])
  done = subprocess.run(
    [sys.executable, '-I', '-c', code],
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-900:]
  assert done.stdout.splitlines() == [
    'car (0, 0, 142) 0.5',
    "False '' None",
    '(1, 8, 9)',
    'images are float64 (1, 32, 64, 3), not uint8 [b h w 3]',
  ]
  found, run = np.load(tmp_path / 'found.npz'), Monitor(backend)(images)
  same = found['labels'] == run.labels
  assert same.mean() > 0.999
  np.testing.assert_allclose(
    found['failure'][same], run.failure[same], atol=1e-5
  )
  np.testing.assert_array_equal(found['flagged'], found['failure'] > 0.5)
  np.testing.assert_allclose(found['image_risk'], run.image_risk, atol=1e-4)


def test_the_standalone_file_is_short_and_never_lost(tmp_path):
  path = tmp_path / standalone.NAME
  assert 'numpy and onnxruntime' in standalone.write(tmp_path)
  ours = path.read_bytes()
  assert len(ours.splitlines()) <= 150
  # Of an older version: ours all the same.
  older = b'"""Older."""\n'
  path.write_bytes(
    f'{standalone._HEADER}{hashlib.sha256(older).hexdigest()}\n'.encode()
    + older
  )
  standalone.write(tmp_path)
  assert path.read_bytes() == ours
  changed = ours.replace(b'UNCALIBRATED = 0.5', b'UNCALIBRATED = 0.4')
  path.write_bytes(changed)
  assert 'left as it is' in standalone.write(tmp_path)
  assert path.read_bytes() == changed


def test_a_batch_of_fixed_size_is_filled_up(folder):
  """As a network from elsewhere may have it."""
  spec = util.spec_from_file_location(
    'fsnet_monitor', folder[0] / standalone.NAME
  )
  module = util.module_from_spec(spec)
  spec.loader.exec_module(module)
  monitor = module.Monitor(folder[0] / 'm.onnx')
  images = _images(5)
  whole = monitor(images)
  monitor._batch = 2
  fixed = monitor(images)
  for mine, theirs in zip(fixed, whole, strict=True):
    np.testing.assert_allclose(mine, theirs, atol=1e-6)
  assert fixed.labels.shape == (5, *_SIZE)
  session = onnxruntime.InferenceSession(folder[0] / 'm.onnx')
  assert session.get_inputs()[0].shape[0] == 'batch'
