import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.segmentation import efficientnet_lite
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from tests.fsnet_jax.models import contract, quick

TINY = {'num_classes': 5, 'width': 1 / 8}
SIZE = (32, 64)


@pytest.fixture
def shallow(monkeypatch):
  """Seven blocks compile in half the time of sixteen."""
  stages = [stage._replace(repeats=1) for stage in efficientnet_lite.STAGES]
  monkeypatch.setattr(efficientnet_lite, 'STAGES', tuple(stages))


def test_the_encoder_has_the_published_number_of_parameters():
  # 4,652,008 of the classifier, less its 1x1 convolution and batch norm
  # (320 x 1280 + 2 x 1280) and its last layer (1280 x 1000 + 1000).
  encoder = efficientnet_lite.EfficientNetLite0()
  expected = 4_652_008 - 322 * 1280 - 1281 * 1000
  assert contract.num_parameters(encoder) == expected


def test_shapes():
  output = contract.output_shapes(EfficientNetUNet(), (64, 96))
  assert output.logits.shape == (1, 64, 96, 19)
  assert output.logits.dtype == jnp.float32
  assert output.features.shape == (1, 2, 3, 320)


@pytest.mark.slow
def test_compute_types_and_remat(shallow):
  network = EfficientNetUNet(**TINY)
  variables, statistics, _ = contract.check_modes(
    network, contract.images(*SIZE)
  )
  contract.assert_all_changed(variables['batch_stats'], statistics)


def test_sizes_that_do_not_halve_five_times_are_refused():
  network = EfficientNetUNet()
  network.check_image_size((96, 128))
  with pytest.raises(UserError, match=r'multiples of 32.*\(64, 96\)'):
    network.check_image_size((65, 90))


@pytest.mark.slow
def test_its_parts_make_the_whole_and_dropout_is_in_the_last(shallow):
  network = EfficientNetUNet(**TINY, dropout_rate=0.5)
  assert mc_dropout.problem(network) is None
  variables = contract.variables_of(network, SIZE)
  x = contract.images(*SIZE, batch=1)

  @quick.jit
  def run(key):
    encoded = network.apply(variables, x, method='encode')
    dropped = network.apply(
      variables, encoded, method='sample', rngs={'dropout': key}
    )
    whole = (
      network.clone(dropout_rate=0.0)
      .apply(variables, x, True, mutable=['batch_stats'])[0]
      .logits
    )
    sure = network.apply(variables, x).logits
    coarse = network.clone(dropout_rate=0.0).apply(
      variables, encoded, method='sample'
    )
    parts = network.upsample(encoded, coarse, SIZE)
    return dropped, whole, sure, parts

  with conv_forms.use('plain'):
    dropped, whole, sure, parts = run(jax.random.key(0))
    other = run(jax.random.key(1))[0]
  np.testing.assert_allclose(sure, parts, rtol=1e-5, atol=1e-5)
  assert not np.allclose(dropped, other)
  assert not np.allclose(whole, sure)
