"""The look-up that begins a backward pass, against the convolution's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.segmentation import unet
from segxal_jax.explanation.gradcam import initial_gradient
from tests.fsnet_jax.models import quick

CLASSES = 4


class Ends(nn.Module):
  """A network whose last step can be varied."""

  head: nn.Module
  after: str = ''

  @nn.compact
  def __call__(self, images):
    logits = self.head(images)
    return logits[:, ::-1] if self.after else logits


def _head(module, shape, **kwargs):
  """What the finder says of a forward pass that is traced alone."""
  heads = []

  def run(images):
    finder = initial_gradient.Finder()

    def see(next_fn, args, keywords, context):
      output = next_fn(*args, **keywords)
      finder.see(context, args, output)
      return output

    with nn.intercept_methods(see):
      output, _ = module.init_with_output(jax.random.key(0), images, **kwargs)
    heads.append(finder.head(getattr(output, 'logits', output)))
    return heads[0] and (heads[0].features, heads[0].kernel)

  return jax.eval_shape(run, jax.ShapeDtypeStruct(shape, jnp.float32))


def test_unets_head_is_found():
  network = unet.UNet(num_classes=CLASSES, width=1 / 64)
  features, kernel = _head(network, (1, 16, 32, 3))
  assert features.shape == (1, 16, 32, 8)
  assert kernel.shape == (3, 3, 8, CLASSES)


@pytest.mark.parametrize(
  ('head', 'after', 'found'),
  [
    (nn.Conv(CLASSES, (3, 5)), '', True),
    (nn.Conv(CLASSES, (3, 3), padding=((1, 1), (1, 1))), '', True),
    (nn.Conv(CLASSES, (3, 3)), 'turned', False),
    (nn.Conv(CLASSES, (3, 3), padding=((0, 2), (1, 1))), '', False),
    (nn.Conv(CLASSES, (3, 3), kernel_dilation=2), '', False),
    (nn.Conv(CLASSES, (2, 2)), '', False),
    (nn.Conv(CLASSES, (3, 3), strides=2), '', False),
    (nn.ConvTranspose(CLASSES, (3, 3)), '', False),
  ],
)
def test_only_a_plain_convolution_is_a_head(head, after, found):
  assert bool(_head(Ends(head, after), (1, 6, 8, 3))) == found


def test_seeds_equal_the_convolutions_gradient():
  kernel = jax.random.normal(jax.random.key(0), (3, 5, 2, CLASSES))
  # Classes at the borders too, one that is nowhere, and pixels left out.
  winner = jax.random.randint(jax.random.key(1), (2, 5, 7), 0, CLASSES - 1)
  winner = jnp.where(winner == 1, winner, winner * 0 + 2).at[0, :2].set(CLASSES)

  @quick.jit
  def run(kernel, winner):
    def logits(features):
      return jax.lax.conv_general_dilated(
        features,
        kernel,
        (1, 1),
        'SAME',
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      )

    _, pull_back = jax.vjp(logits, jnp.zeros((*winner.shape, 2)))
    hits = jax.nn.one_hot(winner, CLASSES)
    expected = [pull_back(hits)[0]]
    got = [initial_gradient.predicted_seed(kernel, winner)]
    for index in (1, 2, CLASSES - 1):
      expected.append(pull_back(hits * jax.nn.one_hot(index, CLASSES))[0])
      got.append(initial_gradient.class_seed(kernel, winner, index))
    return expected, got

  expected, got = jax.device_get(run(kernel, winner))
  for ours, right in zip(got, expected):
    np.testing.assert_allclose(ours, right, atol=1e-5)
  assert np.abs(expected[1]).max() > 0.1
  assert not expected[3].any()
