"""Cross-predictions: of every image, by a network that has not seen it."""

import copy
import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.learned_detectors import cross_predictions, frozen_segmentation
from fsnet_jax.learned_detectors.base import logits_of
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.training import from_config
from input_pipeline.datasets.contiguous_folds import Fold, WithoutFold, bounds
from tests.fsnet_jax.learned_detectors import small_fit

pytestmark = pytest.mark.slow


class Letters:
  """A source of `length` scenes."""

  def __init__(self, length):
    self._length = length

  def __len__(self):
    return self._length

  def __getitem__(self, index):
    return {'id': index}


@pytest.mark.parametrize(('length', 'count'), [(2975, 4), (5, 5), (7, 2)])
def test_folds_part_the_data(length, count):
  source, seen = Letters(length), []
  for fold in range(count):
    mine = Fold(source, fold, count)
    rest = WithoutFold(source, fold, count)
    inside = [mine[i]['id'] for i in range(len(mine))]
    outside = [rest[i]['id'] for i in range(len(rest))]
    assert sorted(inside + outside) == list(range(length))
    assert inside == list(range(inside[0], inside[-1] + 1))
    seen += inside
  assert seen == list(range(length))


def test_folds_of_cityscapes_are_synthcps():
  sizes = [end - first for first, end in (bounds(2975, k, 4) for k in range(4))]
  assert sizes == [743, 744, 744, 744]


@pytest.mark.parametrize('count', [1, 6])
def test_impossible_folds(count):
  with pytest.raises(UserError, match='config.fit.num_folds'):
    bounds(5, 0, count)


def test_kept_logits_keep_probabilities_and_classes():
  rng = np.random.default_rng(0)
  logits = 20 * rng.normal(size=(50, 40, 19)).astype(np.float32)
  logits[0, 0] = 0  # A tie.
  logits[0, 1, 0] = 1e6
  kept = cross_predictions.compact(logits)
  assert kept.dtype == np.float16 and np.isfinite(kept).all()
  np.testing.assert_array_equal(kept.argmax(-1), logits.argmax(-1))
  np.testing.assert_allclose(
    softmax(kept.astype(np.float64), -1), softmax(logits, -1), atol=2e-3
  )


@pytest.fixture(scope='module')
def failure_data(frozen_config, tmp_path_factory):
  """(folder, cost), made with one interruption; times of its first file."""
  folder = tmp_path_factory.mktemp('failure_data') / 'data'
  small_fit.QuickTrainer.configs.clear()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(from_config, 'trainer', small_fit.QuickTrainer)
    with patch.context() as stopping:
      stopping.setattr(
        cross_predictions.StopRequest, 'requested_anywhere', lambda self: True
      )
      stopping.setattr(cross_predictions.StopRequest, 'signal_name', 'SIGINT')
      by_ones = copy.deepcopy(frozen_config)
      by_ones.eval.batch_size = 1
      with pytest.raises(Interrupted, match='predicting fold 1'):
        cross_predictions.build_failure_data(by_ones, folder)
    assert not (folder / 'cost.json').exists()
    # A whole batch was predicted, but not the fold.
    first = folder / 'logits' / '000000.npy'
    assert list(first.parent.glob('*.npy')) == [first]
    before = first.stat().st_mtime_ns
    cost = cross_predictions.build_failure_data(frozen_config, folder)
  return folder, cost, before, first.stat().st_mtime_ns


def test_one_network_a_fold_trained_without_it(failure_data):
  _, cost, *_ = failure_data
  assert cost.trainings_of_s == 3
  assert cost.images == 3 * small_fit.STEPS * 2 and cost.seconds > 0
  configs = small_fit.QuickTrainer.configs
  assert [c.fit.hold_out for c in configs] == [0, 0, 1, 2]
  for config in configs:
    source = data_sources.training_source(config)
    assert len(source) == small_fit.NUM_TRAIN - 2
    assert config.init.phase1 == '' and config.phase2_steps == 0


def test_as_many_steps_as_s_had_in_all(frozen_config):
  config = copy.deepcopy(frozen_config)
  config.phase1_steps = 1  # S stands at step 2: one of them in phase 2.
  assert frozen_segmentation.like_s(config).phase1_steps == small_fit.STEPS
  config.switch = 'plateau'
  assert frozen_segmentation.like_s(config).phase1_steps == 1


def test_predictions_are_of_the_network_that_has_not_seen_the_image(
  failure_data, frozen_config
):
  folder = failure_data[0]
  source = data_sources.training_source(frozen_config)
  scenes = cross_predictions.FailureScenes(source, folder)
  assert len(scenes) == small_fit.NUM_TRAIN
  network = networks.segmentation(frozen_config)
  _, like = frozen_segmentation.load(frozen_config)
  for index in range(small_fit.NUM_TRAIN):
    home = folder / f'fold{index // 2}'
    own = frozen_segmentation.stored(home, {'params': like['params']})
    image = jnp.asarray(source[index]['image'][None], jnp.float32)
    expected = np.asarray(network.apply(own, image).logits[0])
    scene = scenes[index]
    np.testing.assert_array_equal(scene['label'], source[index]['label'])
    np.testing.assert_allclose(
      scene['logits'], expected - expected.max(-1, keepdims=True), atol=0.01
    )


def test_damaged_predictions_are_named(failure_data, frozen_config, tmp_path):
  source = data_sources.training_source(frozen_config)
  whole = np.load(failure_data[0] / 'logits' / '000001.npy')
  path = tmp_path / 'logits' / '000001.npy'
  path.parent.mkdir()
  scenes = cross_predictions.FailureScenes(source, tmp_path)
  np.save(path, whole)
  np.testing.assert_array_equal(scenes[1]['logits'], whole)
  for other in (whole[1:], whole.astype(np.float32), whole[0], np.array([{}])):
    np.save(path, other, allow_pickle=True)
    with pytest.raises(UserError, match='000001.npy.*delete it'):
      scenes[1]
  np.save(path, whole)
  content = path.read_bytes()
  for cut in (0, 5, 100, len(content) - 1):
    path.write_bytes(content[:cut])
    with pytest.raises(UserError, match='000001.npy.*delete it'):
      scenes[1]
  with pytest.raises(UserError, match='000002.npy.*No such file'):
    scenes[2]


def test_finished_data_are_left_alone(failure_data, frozen_config):
  folder, cost, *_ = failure_data
  files = sorted(folder.glob('logits/*.npy'))
  times = [file.stat().st_mtime_ns for file in files]
  assert cross_predictions.build_failure_data(frozen_config, folder) == cost
  assert len(files) == small_fit.NUM_TRAIN
  assert [file.stat().st_mtime_ns for file in files] == times


def test_a_fold_that_was_stopped_in_is_predicted_whole(failure_data):
  *_, before, after = failure_data
  assert after > before


def test_data_of_another_s_are_refused(failure_data, frozen_config):
  other = copy.deepcopy(frozen_config)
  other.fit.num_folds = 2
  with pytest.raises(UserError, match='num_folds was 3 and is now 2'):
    cross_predictions.build_failure_data(other, failure_data[0])
  other = copy.deepcopy(frozen_config)
  other.seed = 1
  with pytest.raises(UserError, match='whose seed was 0 and is now 1'):
    cross_predictions.build_failure_data(other, failure_data[0])


def test_a_fit_learns_from_them(failure_data, frozen_config, tmp_path):
  folder, cost, *_ = failure_data
  config = copy.deepcopy(frozen_config)
  config.fit.predictions = 'folds'
  config.fit.failure_data = str(folder)
  total = learned_detectors.fit('tcp', config, tmp_path)
  assert total.trainings_of_s == 3
  assert total.images == cost.images + 6 and total.seconds > cost.seconds
  assert json.loads((tmp_path / 'cost.json').read_text())['images'] == 18


class Forbidden(nn.Module):
  """An S that must not be run."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, images):
    raise AssertionError('S was run')

  @nn.nowrap
  def check_image_size(self, image_size):
    pass


def test_given_logits_stand_for_those_of_s():
  batch = {'logits': jnp.ones((1, 2, 2, 3), jnp.float16)}
  logits = logits_of(Forbidden(), {}, batch)
  assert logits.dtype == jnp.float32 and (logits == 1).all()
