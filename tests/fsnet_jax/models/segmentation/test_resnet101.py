import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from fsnet_jax.models.failure import resnet
from fsnet_jax.models.segmentation import resnet101
from tests.fsnet_jax.models import contract


def test_number_of_parameters_without_classifier():
  # torchvision publishes 44,549,160 and 11,689,512 with their classifiers
  # of 2,049,000 and 513,000.
  assert contract.num_parameters(resnet101.ResNet101()) == 42_500_160
  assert contract.num_parameters(resnet.ResNet18()) == 11_176_512


@pytest.mark.parametrize(
  ('size', 'sizes'),
  [
    ((256, 512), ((65, 129), (33, 65))),
    ((512, 1024), ((129, 257), (65, 129))),
    ((720, 1280), ((181, 321), (91, 161))),
    ((33, 41), ((9, 11), (5, 6))),
  ],
)
def test_output_stride_is_eight_and_pooling_rounds_up(size, sizes):
  network = resnet101.ResNet101(blocks=(1, 1, 1, 1))
  key = jax.eval_shape(lambda: jax.random.key(0))
  variables = jax.eval_shape(network.init, key, contract.structs(*size))
  stages = jax.eval_shape(network.apply, variables, contract.structs(*size))
  grids = [stage.shape[1:3] for stage in stages]
  assert grids == [sizes[0], sizes[1], sizes[1], sizes[1]]
  assert [s.shape[3] for s in stages] == [256, 512, 1024, 2048]


def test_strides_and_dilations_are_where_caffe_has_them():
  network = resnet101.ResNet101(1 / 16, (2, 2, 2, 2))
  x = jnp.zeros((1, 33, 41, 3))
  seen = {}

  def note(next_function, args, kwargs, context):
    module = context.module
    if type(module).__name__ == 'Conv':
      path = '/'.join(module.path)
      seen[path] = (module.strides[0], module.kernel_dilation[0])
    return next_function(*args, **kwargs)

  with nn.intercept_methods(note):
    jax.eval_shape(lambda: network.init(jax.random.key(0), x))
  assert seen['conv1'] == (2, 1)
  for stage, (stride, dilation) in enumerate(
    [(1, 1), (2, 1), (1, 2), (1, 4)], 1
  ):
    first, second = f'layer{stage}_0', f'layer{stage}_1'
    assert seen[f'{first}/conv1'] == (stride, 1)
    assert seen[f'{first}/downsample_conv'] == (stride, 1)
    assert seen[f'{second}/conv1'] == (1, 1)
    for block in (first, second):
      assert seen[f'{block}/conv2'] == (1, dilation)
      assert seen[f'{block}/conv3'] == (1, 1)
    assert f'{second}/downsample_conv' not in seen


def test_affine_parameters_are_told_from_the_others():
  variables = contract.variables_of(resnet101.ResNet101(1 / 16, (1, 1, 1, 1)))
  for path, _ in jax.tree_util.tree_leaves_with_path(variables['params']):
    names = [entry.key for entry in path]
    assert resnet101.is_affine(names) == (names[-1] != 'kernel')
