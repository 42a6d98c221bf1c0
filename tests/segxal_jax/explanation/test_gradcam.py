import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from segxal_jax.explanation.gradcam import core
from segxal_jax.explanation.gradcam.core import CamOptions, explain, unit_range

SIZE = (4, 6)
# Compiled, as in use: operation by operation it takes many times longer.
grad_cam = jax.jit(core.grad_cam, static_argnums=(0, 3, 5))


class TwoLayers(nn.Module):
  """A linear body and a linear head: every gradient is a weight."""

  @nn.compact
  def __call__(self, images):
    x = nn.Conv(2, (1, 1), use_bias=False, name='body')(images)
    return nn.Conv(3, (1, 1), use_bias=False, name='head')(x)


class Strided(nn.Module):
  """A layer on a coarser grid, returned in a dict."""

  @nn.compact
  def __call__(self, images):
    x = _Pools(name='encoder')(images)['deep']
    return jax.image.resize(x, (*images.shape[:3], 2), 'nearest')


class _Pools(nn.Module):
  @nn.compact
  def __call__(self, images):
    return {'deep': nn.Conv(2, (2, 2), (2, 2))(images), 'shallow': images}


@pytest.fixture(scope='module')
def linear():
  model = TwoLayers()
  images = jax.random.normal(jax.random.key(1), (2, *SIZE, 3))
  return model, model.init(jax.random.key(0), images), images


def _apply(model):
  return model.apply


def _by_hand(variables, images, hits):
  """CAM before scaling, from the definition."""
  body = np.asarray(variables['params']['body']['kernel'])[0, 0]
  head = np.asarray(variables['params']['head']['kernel'])[0, 0]
  activation = np.asarray(images) @ body
  gradient = hits @ head.T
  alpha = gradient.mean(axis=(1, 2))
  cam = np.maximum(np.einsum('bhwk,bk->bhw', activation, alpha), 0)
  hires = np.maximum((gradient * activation).sum(-1), 0)
  return cam, hires


def _winners(model, variables, images):
  winner = np.argmax(np.asarray(model.apply(variables, images)), axis=-1)
  return np.eye(3)[winner]


def _scaled(maps):
  low = maps.min(axis=(1, 2), keepdims=True)
  span = maps.max(axis=(1, 2), keepdims=True) - low
  return (maps - low) / span


def test_predicted_class_map_by_hand(linear):
  model, variables, images = linear
  hits = _winners(model, variables, images)
  cam, hires = _by_hand(variables, images, hits)
  got = grad_cam(_apply(model), variables, images, 'body')
  np.testing.assert_allclose(got, _scaled(cam), atol=1e-5)
  got = grad_cam(
    _apply(model), variables, images, 'body', None, CamOptions('hirescam')
  )
  np.testing.assert_allclose(got, _scaled(hires), atol=1e-5)


def test_mask_limits_the_target(linear):
  model, variables, images = linear
  mask = np.zeros((2, *SIZE), bool)
  mask[:, 1, 2] = True
  hits = _winners(model, variables, images) * mask[..., None]
  cam, _ = _by_hand(variables, images, hits)
  got = grad_cam(_apply(model), variables, images, 'body', jnp.asarray(mask))
  np.testing.assert_allclose(got, _scaled(cam), atol=1e-5)


def test_class_maps_are_scaled_and_their_maximum_taken(linear):
  model, variables, images = linear
  winners = _winners(model, variables, images)
  maps = []
  for index in (0, 2):
    hits = winners * (np.arange(3) == index)
    cam, _ = _by_hand(variables, images, hits)
    span = cam.max(axis=(1, 2)) - cam.min(axis=(1, 2))
    maps.append(np.stack([
      _scaled(cam[i : i + 1])[0] if span[i] > 0 else np.zeros(SIZE)
      for i in range(2)
    ]))  # fmt: skip
  got = grad_cam(
    _apply(model), variables, images, 'body', None, CamOptions(classes=(0, 2))
  )
  np.testing.assert_allclose(got, np.maximum(*maps), atol=1e-5)


def test_explain_gives_the_untouched_forward_pass(linear):
  model, variables, images = linear
  explained = explain(_apply(model), variables, images, 'body')
  np.testing.assert_allclose(
    explained.logits, model.apply(variables, images), rtol=1e-6
  )


def test_output_in_a_dict_and_a_coarser_grid():
  model = Strided()
  images = jax.random.normal(jax.random.key(2), (1, 4, 8, 3))
  variables = model.init(jax.random.key(0), images)
  cam = grad_cam(_apply(model), variables, images, 'encoder:deep')
  assert cam.shape == (1, 4, 8)
  np.testing.assert_allclose((cam.min(), cam.max()), (0, 1), atol=1e-6)


def test_unknown_layer_lists_the_known_ones(linear):
  model, variables, images = linear
  with pytest.raises(UserError, match='body, head'):
    grad_cam(_apply(model), variables, images, 'bodi')


def test_no_gradient_gives_a_zero_map(linear):
  model, variables, images = linear
  zero = jax.tree.map(jnp.zeros_like, variables)
  assert not grad_cam(_apply(model), zero, images, 'body').any()
  nothing = jnp.zeros((2, *SIZE), bool)
  assert not grad_cam(_apply(model), variables, images, 'body', nothing).any()


def test_maps_without_contrast_or_with_nan_become_zero():
  maps = jnp.stack([
    jnp.ones((2, 2)),
    jnp.array([[1.0, jnp.nan], [0.0, 2.0]]),
    jnp.array([[1.0, 3.0], [2.0, 5.0]]),
  ])  # fmt: skip
  scaled = unit_range(maps)
  assert not scaled[:2].any()
  np.testing.assert_allclose(scaled[2], [[0, 0.5], [0.25, 1]])
