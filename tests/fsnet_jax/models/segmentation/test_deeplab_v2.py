import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import deeplab_v2, resnet101
from tests.fsnet_jax.models import contract, quick

pytestmark = pytest.mark.slow

TINY = {'num_classes': 5, 'width': 1 / 16, 'blocks': (1, 1, 1, 1)}
SIZE = (33, 41)


@pytest.mark.parametrize('head', ['synthcp', 'v2'])
def test_shapes(head):
  network = deeplab_v2.DeepLabV2(**TINY | {'num_classes': 19}, head=head)
  variables = contract.variables_of(network)
  for size, grid in (
    ((256, 512), (33, 65)),
    (SIZE, (5, 6)),
    ((1, 1), (1, 1)),
  ):
    output = contract.output_shapes(network, size, variables)
    assert output.logits.shape == (1, *size, 19)
    assert output.logits.dtype == jnp.float32
    assert output.features.shape == (1, *grid, 128)
    network.check_image_size(size)


def test_numbers_of_parameters_of_the_heads():
  # Five branches of 256 channels, the fusion, six batch norms, the
  # classifier; or four 3x3 classifiers. The backbone has its own test.
  aspp = 2048 * 256 * (2 + 3 * 9) + 5 * 256 * 256 + 6 * 2 * 256
  for head, expected in (
    ('synthcp', aspp + 19 * (256 + 1)),
    ('v2', 4 * 19 * (9 * 2048 + 1)),
  ):
    network = deeplab_v2.DeepLabV2(head=head, blocks=(1, 1, 1, 1))
    backbone = resnet101.ResNet101(blocks=(1, 1, 1, 1))
    total = contract.num_parameters(network)
    assert total == expected + contract.num_parameters(backbone)


def test_compute_types_remat_and_frozen_batch_norm():
  network = deeplab_v2.DeepLabV2(**TINY, frozen_bn=True)
  variables, statistics, gradients = contract.check_modes(
    network, contract.images(*SIZE)
  )
  contract.assert_all_changed(variables['batch_stats'], statistics)
  for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
    names = [entry.key for entry in path]
    frozen = names[0] == 'backbone' and names[-1] in ('scale', 'bias')
    assert np.any(gradient) == (not frozen), names
    assert network.is_frozen(names) == frozen
    assert not network.clone(frozen_bn=False).is_frozen(names)


def test_head_alone_repeats_the_dropout():
  network = deeplab_v2.DeepLabV2(**TINY, dropout_rate=0.5, features='aspp')
  # Untrained, the layers all but silence the signal: louder kernels.
  variables = jax.tree_util.tree_map_with_path(
    lambda path, leaf: 20 * leaf if path[-1].key == 'kernel' else leaf,
    contract.variables_of(network),
  )
  x = contract.images(*SIZE, batch=1)

  @quick.jit
  def run(variables, key):
    whole = network.apply(variables, x)
    encoded = network.apply(variables, x, method='encode')
    quiet, noisy = (
      network.apply(
        variables,
        encoded,
        network.apply(
          variables, encoded, train, method='score', rngs={'dropout': key}
        )[0],
        SIZE,
        method='upsample',
      )
      for train in (False, True)
    )
    return whole, encoded.fused, quiet, noisy

  whole, fused, quiet, noisy = run(variables, jax.random.key(0))
  np.testing.assert_allclose(whole.logits, quiet, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(whole.features, fused)
  assert not np.allclose(quiet, noisy)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'head': 'v3'}, 'v3'),
    ({'features': 'pool5'}, 'layer4'),
    ({'features': 'aspp', 'head': 'v2'}, 'layer4'),
  ],
)
def test_unknown_choices_are_named(changes, words):
  network = deeplab_v2.DeepLabV2(**TINY, **changes)
  with pytest.raises(UserError, match=words):
    contract.variables_of(network)
