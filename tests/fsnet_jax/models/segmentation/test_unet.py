import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.segmentation import unet
from tests.fsnet_jax.models import contract, quick

TINY = {'num_classes': 5, 'width': 1 / 64}
SIZE = (32, 48)


def test_number_of_parameters():
  # 34.54 million are measured of SegXAL's network for 19 classes.
  assert contract.num_parameters(unet.UNet()) == 34_536_019


def test_shapes():
  network = unet.UNet(width=1 / 8)
  output = contract.output_shapes(network, (256, 512))
  assert output.logits.shape == (1, 256, 512, 19)
  assert output.logits.dtype == jnp.float32
  assert output.features.shape == (1, 16, 32, 128)


@pytest.mark.slow
def test_compute_types_and_remat(monkeypatch):
  # Three levels compile in half the time of five.
  monkeypatch.setattr(unet, 'CHANNELS', (64, 128, 256))
  network = unet.UNet(**TINY)
  variables, statistics, _ = contract.check_modes(
    network, contract.images(*SIZE)
  )
  contract.assert_all_changed(variables['batch_stats'], statistics)


def test_sizes_that_do_not_halve_four_times_are_refused():
  network = unet.UNet()
  network.check_image_size((16, 480))
  with pytest.raises(UserError, match=r'multiples of 16.*\(32, 48\)'):
    network.check_image_size((33, 41))


def test_parts_make_the_whole_and_dropout_is_in_the_decoder_alone():
  network = unet.UNet(**TINY, dropout_rate=0.2)
  variables = contract.variables_of(network, SIZE)
  x = contract.images(*SIZE, batch=1)

  @quick.jit
  def run(key):
    encoded = network.apply(variables, x, method='encode')
    block, _ = network.apply(
      variables,
      encoded,
      True,
      method='decode',
      rngs={'dropout': key},
      mutable=['batch_stats'],
    )
    last_block = network.apply(variables, encoded, method='decode')
    logits = network.apply(variables, last_block, method='classify')
    whole = network.apply(variables, x).logits
    return whole, encoded.bottleneck, last_block, logits, block

  with conv_forms.use('plain'):
    whole, bottleneck, last_block, logits, block = run(jax.random.key(0))
    other = run(jax.random.key(1))[-1]
  assert bottleneck.shape == (1, 2, 3, 16)
  assert last_block.shape == (1, *SIZE, 8)
  np.testing.assert_allclose(whole, logits, rtol=1e-5, atol=1e-6)
  assert not np.allclose(block, other)
