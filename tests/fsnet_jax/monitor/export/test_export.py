"""A run as an ONNX file: the same monitor, without this package's networks."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pytest

from common_lib.errors import UserError
from configs import fsnet_fcn8
from fsnet_jax import cli
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.unet import UNet
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.backends.onnx_file import OnnxBackend
from fsnet_jax.monitor.export.onnx_writer import jaxpr_to_onnx
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import BATCH, Graph
from tests.paths import ROOT

pytestmark = pytest.mark.slow
_SIZE = 32, 64


_FCN8 = FCN8(width=0.05, padding='same', head_width=16)


@pytest.mark.parametrize(
  ('network', 'decoder'),
  [
    (_FCN8, 'skips'),
    (_FCN8, 'four_scale'),
    (_FCN8, 'literal'),
    (FCN8(width=0.05, padding='pad99', head_width=16), 'skips'),
    (UNet(width=0.05), 'skips'),
    (EfficientNetUNet(width=0.1), 'skips'),
    (DeepLabV2(width=0.05, blocks=(1, 1, 1, 1)), 'skips'),
  ],
  ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_every_network_and_form_of_f(network, decoder):
  image = jax.ShapeDtypeStruct((1, *_SIZE, 3), jnp.float32)
  s = host_init(network, 0, image)
  failure = FailureNet(width=0.05, blocks=1, decoder=decoder, msp_residual=True)
  output = jax.eval_shape(lambda x: network.apply(s, x), image)
  f = host_init(failure, 1, image, output.logits, output.features)

  def both(images):
    pixels = images.astype(jnp.float32)
    said = network.apply(s, pixels)
    return said.logits, failure.apply(f, pixels, said.logits, said.features)

  shape = jax.ShapeDtypeStruct((BATCH, *_SIZE, 3), jnp.uint8)
  graph = Graph('images')
  closed = jaxpr_to_onnx.traced(both, shape)
  names = jaxpr_to_onnx.write(closed, graph, ['images'])
  sizes = ['b', *_SIZE]
  model = graph.model(
    {'images': ('uint8', [*sizes, 3])},
    {
      'logits': (names[0], 'float32', [*sizes, 19]),
      'failure': (names[1], 'float32', sizes),
    },
    {},
  )
  session = onnxruntime.InferenceSession(model.SerializeToString())
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, *_SIZE, 3)).astype(np.uint8)
  found = session.run(['logits', 'failure'], {'images': images})
  # Compiled in one piece, and kept: op by op takes many times as long.
  expected = jax.jit(both)(jnp.asarray(images))
  for mine, theirs in zip(found, expected, strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope='module')
def exported(finished, tmp_path_factory):
  """The shrunken demo, and its monitor as a file."""
  workdir, _ = finished
  path = tmp_path_factory.mktemp('export') / 'monitor.onnx'
  jaxtyping.config.update('jaxtyping_disable', True)
  config = fsnet_fcn8.get_config()
  stored = json.loads((workdir / 'config.json').read_text())
  config.update_from_flattened_dict(
    {
      name: stored
      for name, stored in _flat(stored).items()
      if not name.startswith(('eval.roots', 'eval.fitted'))
    }
  )
  cli.export(config, workdir, path)
  yield workdir, path
  jaxtyping.config.update('jaxtyping_disable', False)


def _flat(tree, prefix=''):
  found = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      found |= _flat(value, f'{prefix}{name}.')
    else:
      value = tuple(value) if isinstance(value, list) else value
      found[f'{prefix}{name}'] = value
  return found


def _images(count, size=_SIZE):
  rng = np.random.default_rng(count)
  return rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)


def test_the_file_says_what_the_run_says(exported):
  workdir, path = exported
  run, file = Monitor.load(workdir), Monitor.load(path)
  assert file.classes == run.classes and not file.is_calibrated
  # Of the run's size; larger and smaller, which is resized inside.
  sizes = [_SIZE, _SIZE, (90, 160), (20, 31)]
  for count, size in zip((1, 5, 2, 3), sizes, strict=True):
    images = _images(count, size)
    mine, theirs = file(images), run(images)
    assert mine.labels.shape == mine.failure.shape == (count, *size)
    same = mine.labels == theirs.labels
    assert same.mean() > 0.999
    np.testing.assert_allclose(
      mine.failure[same], theirs.failure[same], atol=1e-5
    )
    assert mine.flagged.dtype == bool and mine.labels.dtype == np.uint8


def test_the_file_needs_neither_jax_nor_this_package(exported):
  """Loaded by `Monitor` without jax; and by onnxruntime alone."""
  _, path = exported
  code = (
    'import sys\n'
    "for name in ('jax', 'flax', 'tensorflow', 'orbax', 'PIL', 'scipy'):\n"
    '  sys.modules[name] = None\n'
    'import numpy as np\n'
    'from fsnet_jax.monitor import Monitor\n'
    f'monitor = Monitor.load({str(path)!r})\n'
    f'result = monitor(np.zeros((2, {_SIZE[0]}, {_SIZE[1]}, 3), np.uint8))\n'
    'print(result.failure.shape)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.strip() == str((2, *_SIZE)), done.stderr[-500:]


def test_what_is_in_the_file(exported):
  _, path = exported
  model = onnx.load(path)
  props = {one.key: one.value for one in model.metadata_props}
  assert json.loads(props['fsnet.classes'])['classes'][13]['name'] == 'car'
  assert props['fsnet.detector'] == 'fsnet' and props['fsnet.threshold'] == ''
  assert {o.name for o in model.graph.output} == {
    'labels',
    'failure',
    'flagged',
  }
  assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == 'batch'


def test_what_is_no_monitor(exported, tmp_path):
  _, path = exported
  fixed = onnx.load(path)
  sides = fixed.graph.input[0].type.tensor_type.shape.dim[1:3]
  for side, value in zip(sides, _SIZE, strict=True):
    side.dim_value = value
  onnx.save(fixed, tmp_path / 'fixed.onnx')
  monitor = Monitor.load(tmp_path / 'fixed.onnx')
  assert monitor(_images(1)).labels.shape == (1, *_SIZE)
  with pytest.raises(ValueError, match='32x64'):
    monitor(np.zeros((1, 8, 8, 3), np.uint8))
  damaged = tmp_path / 'damaged.onnx'
  damaged.write_bytes(path.read_bytes()[:1000])
  with pytest.raises(UserError, match='cannot be run'):
    Monitor.load(damaged)
  model = onnx.load(path)
  del model.metadata_props[:]
  onnx.save(model, tmp_path / 'bare.onnx')
  with pytest.raises(UserError, match='no exported monitor'):
    Monitor.load(tmp_path / 'bare.onnx')


def test_a_file_that_computes_something_else_is_not_written(
  exported, tmp_path, monkeypatch
):
  workdir, _ = exported
  original = OnnxBackend.__call__

  def other(self, images):
    labels, failure = original(self, images)
    return labels, failure + np.float32(0.01)

  monkeypatch.setattr(OnnxBackend, '__call__', other)
  from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
  from fsnet_jax.monitor.export import onnx_export

  path = tmp_path / 'other.onnx'
  backend = CheckpointBackend.open(workdir)
  with pytest.raises(UserError, match='was not written'):
    onnx_export.export(backend, _images(3), path, 'a test')
  assert not path.exists()
