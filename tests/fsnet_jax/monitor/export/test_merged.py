"""A run over an ONNX network as one file, for a camera's images."""

import json
import subprocess
import sys

import jaxtyping
import numpy as np
import onnx
import pytest

from common_lib.errors import UserError
from fsnet_jax import cli
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.backends.onnx_file import OnnxBackend
from fsnet_jax.monitor.export import from_run
from tests.fsnet_jax.monitor import own_run
from tests.fsnet_jax.monitor.export import networks
from tests.paths import ROOT

pytestmark = pytest.mark.slow
# The run's own, larger, smaller, one side alone, odd.
_SIZES = [(32, 64), (90, 160), (20, 31), (32, 97), (45, 64)]


@pytest.fixture(scope='module', autouse=True)
def no_shape_checks():
  """A restored state is a tree of other leaves while it is read."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def _exported(config, workdir):
  path = workdir.parent / 'monitor.onnx'
  cli.export(config, workdir, path)
  return path


@pytest.fixture(scope='module')
def plain(shared, tmp_path_factory):
  """Neither features nor a calibration: config, run, file."""
  folder = tmp_path_factory.mktemp('plain')
  path = networks.write(folder, features=None, opset=13, batch=2)
  config = own_run.config_of(shared, path, segmentation__name='onnx')
  own_run.run(config, folder / 'run')
  return config, folder / 'run', _exported(config, folder / 'run')


@pytest.fixture(scope='module')
def whole(shared, tmp_path_factory):
  """Features, mirrored images, a size of its own, a calibration."""
  folder = tmp_path_factory.mktemp('whole')
  path = networks.write(folder, size=[48, 80], branches=True, opset=20)
  config = own_run.config_of(
    shared,
    path,
    segmentation__name='onnx',
    data__num_test=90,
    failure__preset='robust',
    failure__branches='multi',
    fit__pixel__flip=True,
    phase3_steps=2,
  )
  config.failure.inputs = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')
  own_run.run(config, folder / 'run')
  config.calibrate.dataset = 'streets/fog:test'
  config.calibrate.limit = 0.99
  own_run.run(config, folder / 'run', 'calibrate')
  return config, folder / 'run', _exported(config, folder / 'run')


def _images(size, count=3):
  rng = np.random.default_rng(size[0])
  return rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)


def _assert_equal(file, run, images):
  mine, theirs = file(images), run(images)
  assert mine.labels.shape == images.shape[:3]
  same = mine.labels == theirs.labels
  assert same.mean() > 0.999
  np.testing.assert_allclose(
    mine.failure[same], theirs.failure[same], rtol=0, atol=1e-5
  )
  far = abs(theirs.failure - theirs.failure.dtype.type(run.threshold)) > 1e-5
  np.testing.assert_array_equal(mine.flagged[far], theirs.flagged[far])
  np.testing.assert_allclose(mine.image_risk, theirs.image_risk, atol=1e-4)


@pytest.mark.parametrize('name', ['plain', 'whole'])
def test_the_file_says_what_the_run_says(request, name):
  _, workdir, path = request.getfixturevalue(name)
  run, file = Monitor.load(workdir), Monitor.load(path)
  assert file.classes == run.classes
  assert file.is_calibrated == run.is_calibrated == (name == 'whole')
  # What a robot needs to notice that its streets are others.
  assert file.reference == run.reference
  assert (file.reference is not None) == (name == 'whole')
  assert file.threshold == run.threshold and file.statement == run.statement
  for size in _SIZES:
    _assert_equal(file, run, _images(size))
  assert len(np.unique(run(_images(_SIZES[0])).labels)) > 3


def test_the_threshold_is_inside(whole):
  _, _, path = whole
  backend, image = OnnxBackend.open(path), _images((90, 160), 1)
  flagged, failure = backend._session.run(
    ['flagged', 'failure'], {'images': image}
  )
  expected = failure > np.float32(backend.threshold)
  np.testing.assert_array_equal(flagged, expected)


def test_what_is_in_the_file(plain, whole):
  config, _, path = whole
  model = onnx.load(path)
  props = {one.key: one.value for one in model.metadata_props}
  how = json.loads(props['fsnet.preprocessing'])
  assert how == networks.HOW | {'size': [48, 80]}
  assert props['fsnet.image_size'] == '[32, 64]'
  assert len(props['fsnet.segmentation']) == 64
  assert float(props['fsnet.threshold']) == Monitor.load(path).threshold
  dims = model.graph.input[0].type.tensor_type.shape.dim
  assert [one.dim_param for one in dims[:3]] == ['batch', 'height', 'width']
  # Of the network of two images at a time.
  dims = onnx.load(plain[2]).graph.input[0].type.tensor_type.shape.dim
  assert dims[0].dim_value == 2 and dims[1].dim_param == 'height'
  assert config.segmentation.name == 'onnx'


def test_the_file_needs_no_jax(whole):
  _, _, path = whole
  code = (
    'import sys\n'
    "for name in ('jax', 'flax', 'onnx', 'PIL', 'cv2', 'torch'):\n"
    '  sys.modules[name] = None\n'
    'import numpy as np\n'
    'from fsnet_jax.monitor import Monitor\n'
    f'monitor = Monitor.load({str(path)!r})\n'
    'print(monitor(np.zeros((2, 45, 80, 3), np.uint8)).failure.shape)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.stdout.strip() == '(2, 45, 80)', done.stderr[-500:]


def test_a_network_that_is_in_no_file(shared, plain, tmp_path):
  _, workdir, _ = plain
  config = own_run.config_of(shared, own_run.function(tmp_path))
  with pytest.raises(UserError, match=r'cannot hold a Python function.*onnx'):
    from_run.export(config, workdir, tmp_path / 'x.onnx')
  config = plain[0].copy_and_resolve_references()
  config.calibrate.detector = 'ensemble'
  with pytest.raises(UserError, match=r'one segmentation network.*ensemble'):
    from_run.export(config, workdir, tmp_path / 'x.onnx')
  assert not (tmp_path / 'x.onnx').exists()
