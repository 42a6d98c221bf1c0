import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import common
from fsnet_jax.builders import optimization


def _config(name, **optimizer):
  config = common.get_config()
  config.segmentation.name = name
  config.optimizer.kind = 'adam'
  config.optimizer.weight_decay = 0.0
  config.optimizer.learning_rate = 0.01
  config.optimizer.update(optimizer)
  return config


def _steps(config):
  """The first step of Adam: the learning rate of each parameter."""
  names = ('encoder', 'vgg', 'backbone', 'score')
  params = {
    'segmentation': {name: {'w': jnp.ones(3)} for name in names},
    'failure': {'w': jnp.ones(3)},
  }
  optimizer = optimization.optimizer(config)
  updates, _ = optimizer.update(
    params, optimizer.init(params), params, in_phase2=False
  )
  return jax.tree.map(lambda x: -float(x[0]), updates['segmentation'])


@pytest.mark.parametrize(
  ('name', 'part'),
  [
    ('efficientnet_unet', 'encoder'),
    ('fcn8', 'vgg'),
    ('deeplab_v2', 'backbone'),
  ],
)
def test_the_encoder_of_each_network_has_a_learning_rate_of_its_own(name, part):
  config = _config(name, encoder_scale=0.25)
  for other, step in _steps(config).items():
    expected = 0.0025 if other == part else 0.01
    np.testing.assert_allclose(step['w'], expected, rtol=1e-5)


def test_a_network_without_pretrained_encoder_is_refused():
  with pytest.raises(UserError, match='encoder_scale=0.5.*unet'):
    optimization.optimizer(_config('unet', encoder_scale=0.5))
  optimization.optimizer(_config('unet'))


def test_the_logged_learning_rate_is_the_one_used():
  config = _config('fcn8', schedule='cosine', poly_steps=100, warmup_steps=5)
  rates = optimization.learning_rates(config, 0, 1)
  step = _steps(config)['score']['w']
  np.testing.assert_allclose(
    [rates['learning_rate_segmentation'], step], 0.002, rtol=1e-5
  )
