"""The shipped config of a fit."""

import jax
import pytest

from common_lib.errors import UserError
from configs import fit_detector, fsnet_deeplabv2, fsnet_fcn8
from fsnet_jax import learned_detectors
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.config import resolution, validation
from fsnet_jax.learned_detectors import correctness
from fsnet_jax.learned_detectors.corrections import conv, pixel


@pytest.mark.parametrize(
  'argument', ['fcn8', 'deeplab_v2', 'fcn8_camvid', 'deeplab_v2_cityscapes']
)
def test_shipped_config_passes_its_own_check(argument):
  config = fit_detector.get_config(argument)
  validation.check(config)
  assert config.task == 'fit'
  assert ('camvid' in argument) == (config.data.name == 'camvid')
  for name, detector in learned_detectors.FITTED.items():
    detector.check(fit_options(name, config))
    assert learned_detectors.section_of(detector) in config.fit
    assert name in config.eval.fitted


def test_cityscapes_is_synthcps_protocol():
  fit = fit_detector.get_config('fcn8_cityscapes').fit
  assert fit.predictions == 'folds' and fit.num_folds == 4
  tcp, direct, synthcp = fit.tcp, fit.direct, fit.synthcp
  assert (tcp.steps, tcp.batch_size, tcp.learning_rate) == (40_000, 4, 5e-5)
  for one in (direct, synthcp):
    assert (one.steps, one.batch_size, one.learning_rate) == (20_000, 4, 2e-4)
  obsnet = fit.obsnet  # 50 epochs, too.
  assert obsnet.steps == 50 * (2975 // obsnet.batch_size)
  deeplab = fit_detector.get_config('deeplab_v2_cityscapes').fit
  assert deeplab.tcp.steps == 30_000 and deeplab.direct == direct
  # 50 epochs of 2975 images, whole batches of 12.
  assert synthcp.gan_batch_size == 12
  assert synthcp.gan_steps == 50 * (2975 // 12)
  assert synthcp.generator_learning_rate == 1e-4
  assert synthcp.discriminator_learning_rate == 4e-4


def test_what_differs_from_a_run_is_the_fit_alone():
  run, fit = fsnet_fcn8.get_config(), fit_detector.get_config()
  changed = {key for key in run if run.to_dict()[key] != fit.to_dict()[key]}
  assert changed == {'task', 'fit', 'eval'}


def test_unknown_arguments_and_numbers():
  with pytest.raises(ValueError, match='unknown argument'):
    fit_detector.get_config('vgg')
  config = fit_detector.get_config()
  config.fit.synthcp.gan_steps = 0
  with pytest.raises(UserError, match='config.fit.synthcp.gan_steps is 0'):
    validation.check(config)


def test_an_ensemble_has_more_than_one_member():
  config = fit_detector.get_config()
  config.fit.ensemble.members = 2
  learned_detectors.check_options('ensemble', config)
  config.fit.ensemble.members = 1
  with pytest.raises(UserError, match='config.fit.ensemble.members is 1'):
    learned_detectors.check_options('ensemble', config)


def _forms(config):
  """What fits begin with, and the form into which they are read."""
  own = fit_options('conv', config)
  yield (
    conv.initial_variables(own, own.own.network),
    conv.like_of(own, own.own.network),
  )
  own = fit_options('pixel', config)
  yield pixel.initial_variables(own, 19), pixel.like_of(own, 19)
  for name, pictures in (('direct', 1), ('synthcp', 2)):
    own = fit_options(name, config)
    params, stats = correctness.initial_variables(own, pictures)
    like = correctness.like_of(own, pictures)
    yield (params, {'batch_stats': stats}), like


@pytest.mark.slow
def test_fits_are_read_into_what_they_began_with(tmp_path):
  # As a command reads it: how deep F is does not depend on what is here later.
  config = resolution.resolved(fit_detector.get_config()).unlock()
  likes = []
  for (params, stats), like in _forms(config):
    fresh = {'params': params, 'stats': stats}
    assert jax.tree.structure(fresh) == jax.tree.structure(like)
    for ours, theirs in zip(jax.tree.leaves(like), jax.tree.leaves(fresh)):
      assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    likes.append(like)
  # Weights that a fit began with need not be there when it is read.
  config.init.failure_encoder = str(tmp_path / 'gone')
  own = fit_options('conv', config)
  assert conv.like_of(own, own.own.network) == likes[0]
  assert correctness.like_of(fit_options('direct', config), 1) == likes[2]


@pytest.mark.parametrize(
  ('module', 'changes', 'words'),
  [
    (
      fsnet_fcn8,
      {'segmentation.dropout_rate': 0.0},
      'is 8, but Monte-Carlo dropout needs a network that was trained with '
      'dropout: set config.segmentation.dropout_rate',
    ),
    (fsnet_fcn8, {'segmentation.name': 'unet'}, 'UNet is not; 0 does without'),
    (fsnet_deeplabv2, {}, "config.segmentation.head='synthcp'; 0 does without"),
  ],
)
def test_maps_of_dropout_need_an_s_with_dropout(module, changes, words):
  config = module.get_config()
  config.fit.pixel.dropout_samples = 8
  config.update_from_flattened_dict(changes)
  with pytest.raises(UserError) as error:
    learned_detectors.check_options('pixel', config)
  assert str(error.value).startswith('config.fit.pixel.dropout_samples is 8')
  assert words in str(error.value)
  config.fit.pixel.dropout_samples = 0
  learned_detectors.check_options('pixel', config)


def test_maps_of_dropout_where_s_has_it():
  config = fsnet_fcn8.get_config()
  config.fit.pixel.dropout_samples = 8
  learned_detectors.check_options('pixel', config)
