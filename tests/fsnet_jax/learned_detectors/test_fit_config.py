"""The shipped config of a fit."""

import pytest

from common_lib.errors import UserError
from configs import fit_detector, fsnet_fcn8
from fsnet_jax import learned_detectors
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.config import validation


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
