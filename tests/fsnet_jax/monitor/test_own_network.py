"""A network from elsewhere: as a function, stored logits, and an ONNX file."""

import json

import jaxtyping
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.builders import data_sources
from fsnet_jax.config import resolution
from fsnet_jax.monitor import Monitor
from tests.fsnet_jax.monitor import own_run
from tests.input_pipeline.external import models

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module', autouse=True)
def no_shape_checks():
  """A restored state is a tree of other leaves while it is read."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def _metrics(workdir):
  found = json.loads((workdir / 'report' / 'metrics.json').read_text())
  return found['datasets']['streets/day']


def _plain(shared):
  """The config of the same images, without a network of one's own."""
  config = own_run.config_of(shared, '')
  config.segmentation.name = 'fcn8'
  return resolution.resolved(config)


def _onnx(folder):
  """The same network as an ONNX file."""
  path = folder / 'model.onnx'
  models.write(path, channels=19)
  return path


def _logits(folder, config):
  """The logits of each image, as somebody would have stored them."""
  for source in (
    data_sources.training_source(config),
    data_sources.source(config, 'streets/day'),
  ):
    for index in range(len(source)):
      scene = source[index]
      logits = scene['image'].astype(np.float32) @ own_run.WEIGHTS.T
      path = folder / f'{scene["id"]}.npy'
      path.parent.mkdir(parents=True, exist_ok=True)
      np.save(path, logits)
  return folder


@pytest.fixture(scope='module')
def function(shared, tmp_path_factory):
  """A finished run over a function: its folder."""
  folder = tmp_path_factory.mktemp('function')
  config = own_run.config_of(shared, own_run.function(folder))
  own_run.run(config, folder / 'run')
  return folder / 'run'


def test_the_weights_of_all_three_are_the_same():
  np.testing.assert_array_equal(own_run.WEIGHTS, np.float32(models.weights(19)))


@pytest.mark.parametrize('name', ['onnx', 'logits'])
def test_all_ways_to_give_a_network_are_equal(shared, function, tmp_path, name):
  if name == 'logits':
    path = _logits(tmp_path / 'logits', _plain(shared))
  else:
    path = _onnx(tmp_path)
  config = own_run.config_of(shared, path, segmentation__name=name)
  own_run.run(config, tmp_path / 'run')
  here, there = _metrics(tmp_path / 'run'), _metrics(function)
  assert here['images'] == 6 and here['segmentation']['pixel_acc'] > 0
  assert here['segmentation']['miou'] == pytest.approx(
    there['segmentation']['miou'], abs=1e-4
  )
  for detector in ('fsnet', 'msp', 'entropy'):
    for measure, value in there['failure'][detector]['pooled'].items():
      mine = here['failure'][detector]['pooled'][measure]
      assert mine == pytest.approx(value, abs=1e-4), (detector, measure)


def test_the_segmentation_is_that_of_the_function(shared, function):
  config = _plain(shared)
  source = data_sources.source(config, 'streets/day')
  correct = labelled = 0
  for index in range(len(source)):
    scene = source[index]
    logits = scene['image'].astype(np.float32) @ own_run.WEIGHTS.T
    known = scene['label'] != 255
    correct += ((logits.argmax(-1) == scene['label']) & known).sum()
    labelled += known.sum()
  found = _metrics(function)['segmentation']['pixel_acc']
  assert found == pytest.approx(correct / labelled)


def test_another_network_is_not_taken_for_the_one_of_the_run(
  shared, function, tmp_path
):
  other = tmp_path / 'other.py'
  other.write_text(
    'import numpy as np\ndef predict(images):\n'
    '  return np.ones((*images.shape[:3], 19), np.float32) * images[..., :1]\n'
  )
  config = own_run.config_of(shared, f'{other}:predict')
  with pytest.raises(UserError, match='not the network that this run was fit'):
    own_run.run(config, function, 'evaluate')


def test_a_monitor_is_the_run(shared, function):
  monitor = Monitor.load(function)
  assert not monitor.is_calibrated and monitor.threshold == 0.5
  config = _plain(shared)
  source = data_sources.source(config, 'streets/day')
  images = np.stack([source[index]['image'] for index in range(5)])
  result = monitor(images)
  logits = images.astype(np.float32) @ own_run.WEIGHTS.T
  np.testing.assert_array_equal(result.labels, logits.argmax(-1))
  assert result.failure.dtype == np.float32
  assert ((result.failure >= 0) & (result.failure <= 1)).all()
  np.testing.assert_array_equal(result.flagged, result.failure > 0.5)
  np.testing.assert_allclose(
    result.image_risk, result.failure.mean((1, 2)), rtol=1e-5
  )
  # One image at a time, and of another size.
  alone = monitor(images[:1])
  np.testing.assert_allclose(alone.failure, result.failure[:1], atol=1e-5)
  large = monitor(images[:2].repeat(2, axis=1).repeat(3, axis=2))
  assert large.labels.shape == (2, 64, 192) and large.labels.dtype == np.uint8
  with pytest.raises(ValueError, match='uint8'):
    monitor(images.astype(np.float32))


def test_an_ensemble_of_several_networks(shared, function, tmp_path):
  """Two members that are one network say its entropy, and no information."""
  config = own_run.config_of(
    shared,
    own_run.function(tmp_path),
    eval__detectors=('msp', 'entropy', 'ensemble', 'ensemble_mi'),
  )
  config.segmentation.members = config.segmentation.path
  own_run.run(config, function, 'evaluate')
  (report,) = function.glob('evaluations/*/metrics.json')
  found = json.loads(report.read_text())['datasets']['streets/day']['failure']
  entropy, ensemble = (
    found[name]['pooled']['auroc'] for name in ('entropy', 'ensemble')
  )
  assert ensemble == pytest.approx(entropy, abs=1e-4)
  assert 0 <= found['ensemble_mi']['pooled']['auroc'] <= 1


def test_kept_outputs_are_used_again(shared, tmp_path):
  """The network runs once an image; what it said is what is fitted and run."""
  path = tmp_path / 'counted.py'
  path.write_text(
    'import numpy as np\nW = np.array('
    + repr(own_run.WEIGHTS.tolist())
    + ", np.float32)\nCALLS = __file__ + '.calls'\n"
    'def predict(images):\n'
    "  with open(CALLS, 'a') as file:\n"
    "    file.write('x' * len(images))\n"
    '  return images.astype(np.float32) @ W.T\n'
  )
  counts = []
  for number in range(2):
    config = own_run.config_of(
      shared,
      f'{path}:predict',
      segmentation__cache='top3',
      data__cache_dir=str(tmp_path / 'kept'),
    )
    own_run.run(config, tmp_path / f'run{number}')
    counts.append((tmp_path / 'counted.py.calls').stat().st_size)
  assert _metrics(tmp_path / 'run0') == _metrics(tmp_path / 'run1')
  # 8 images to learn from and 6 to test on; some more to look whether it is
  # the same network.
  assert 14 <= counts[0] < 32
  assert counts[1] - counts[0] < 14


def test_baselines_are_fitted_over_it(shared, tmp_path):
  """By logits alone, and TCP by the inner features that this one gives."""
  path = tmp_path / 'with_features.py'
  path.write_text(
    'import numpy as np\n'
    f'W = np.array({own_run.WEIGHTS.tolist()}, np.float32)\n'
    'def predict(images):\n'
    '  x = images.astype(np.float32)\n'
    '  b, h, w, _ = x.shape\n'
    '  cells = x.reshape(b, h // 4, 4, w // 4, 4, 3).mean((2, 4)) / 255\n'
    '  return x @ W.T, cells\n'
  )
  config = own_run.config_of(shared, f'{path}:predict', fit__width=0.05)
  config.failure.inputs = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')
  own_run.run(config, tmp_path / 'run')
  fit = config.copy_and_resolve_references()
  fit.init.phase1 = str(tmp_path / 'run')
  names = ('class_logistic', 'tcp', 'direct', 'obsnet')
  fit.fit.obsnet.attack_share = 0.0
  for name in names:
    fit.fit[name].steps, fit.fit[name].batch_size = 2, 4
    one = resolution.resolved(fit)
    learned_detectors.fit(name, one, tmp_path / name)
    config.eval.fitted[name] = str(tmp_path / name)
  config.eval.detectors = ('msp', *names)
  own_run.run(config, tmp_path / 'run', 'evaluate')
  (report,) = (tmp_path / 'run').glob('evaluations/*/metrics.json')
  found = json.loads(report.read_text())['datasets']['streets/day']['failure']
  assert set(found) == {'msp', *names}
  aurocs = [found[name]['pooled']['auroc'] for name in found]
  assert len(set(aurocs)) == 5 and all(0 < one < 1 for one in aurocs)


def test_tcp_needs_features(shared, function, tmp_path):
  config = own_run.config_of(shared, own_run.function(tmp_path))
  config.init.phase1 = str(function)
  with pytest.raises(UserError, match='tcp stands on inner features'):
    learned_detectors.check_options('tcp', resolution.resolved(config))


def test_obsnet_needs_a_gradient_to_attack_by(shared, function, tmp_path):
  config = own_run.config_of(shared, own_run.function(tmp_path))
  config.init.phase1 = str(function)
  words = 'config.fit.obsnet.attack_share is 1.0.*set it to 0'
  with pytest.raises(UserError, match=words) as error:
    learned_detectors.check_options('obsnet', resolution.resolved(config))
  assert '\n' not in str(error.value)
  config.fit.obsnet.attack_share = 0.0
  learned_detectors.check_options('obsnet', resolution.resolved(config))


def test_it_is_run_without_dropout(shared, tmp_path):
  config = own_run.config_of(shared, own_run.function(tmp_path))
  config.fit.pixel.dropout_samples = 2
  words = 'config.fit.pixel.dropout_samples is 2, but a network from elsewhere'
  with pytest.raises(UserError, match=words):
    own_run.run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
