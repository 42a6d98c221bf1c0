"""The maps of the per-pixel network against NumPy, SciPy and OpenCV."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.special

from fsnet_jax.models.failure import pixel_maps

_MAPS = jax.jit(pixel_maps.pixel_maps)
_THINNED = jax.jit(functools.partial(pixel_maps.pixel_maps, stride=2))
NAMES = (
  *('miss_logit', 'entropy', 'largest', 'total', 'margin'),
  *('luma', 'red', 'blue', 'sobel', 'local', 'mean', 'deviation'),
  *('row', 'column', 'divergence', 'less'),
)


def _batch(seed=0, classes=7, size=(11, 14)):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (2, *size, 3)).astype(np.float32)
  logits = rng.normal(0, 3, (2, *size, classes)).astype(np.float32)
  flipped = logits + rng.normal(0, 1, logits.shape).astype(np.float32)
  return jnp.asarray(images), jnp.asarray(logits), jnp.asarray(flipped)


@pytest.fixture(scope='module')
def found():
  images, logits, flipped = _batch()
  maps = _MAPS(images, logits, flipped)
  return maps, dict(zip(NAMES, np.moveaxis(np.asarray(maps.scalars), -1, 0)))


def test_confidence(found):
  maps, scalars = found
  _, logits, _ = _batch()
  wide = np.asarray(logits, np.float64)
  p = scipy.special.softmax(wide, -1)
  top = np.sort(wide, -1)
  expected = {
    'miss_logit': np.log((1 - p.max(-1)) / p.max(-1)),
    'entropy': scipy.special.entr(p).sum(-1),
    'largest': top[..., -1],
    'total': scipy.special.logsumexp(wide, -1),
    'margin': top[..., -1] - top[..., -2],
  }
  for name, values in expected.items():
    np.testing.assert_allclose(scalars[name], values, rtol=1e-4, atol=2e-5)
  order = np.argsort(wide, -1)
  np.testing.assert_array_equal(maps.first, order[..., -1])
  np.testing.assert_array_equal(maps.second, order[..., -2])
  np.testing.assert_array_equal(maps.miss_logit, scalars['miss_logit'])


@pytest.mark.parametrize('size', [(11, 14), (10, 13), (1, 2)])
@pytest.mark.parametrize('mirrored', [False, True])
def test_every_second_pixel_has_the_maps_it_has_among_all(size, mirrored):
  images, logits, flipped = _batch(1, size=size)
  extra = (flipped,) if mirrored else (None,)
  everywhere = _MAPS(images, logits, *extra)
  found = _THINNED(images, logits, *extra)
  for name in ('scalars', 'miss_logit'):
    expected = np.asarray(getattr(everywhere, name))[:, ::2, ::2]
    np.testing.assert_allclose(
      getattr(found, name), expected, rtol=1e-5, atol=1e-5, err_msg=name
    )
  for name in ('first', 'second'):
    expected = np.asarray(getattr(everywhere, name))[:, ::2, ::2]
    np.testing.assert_array_equal(getattr(found, name), expected)


def test_appearance(found):
  _, scalars = found
  images = np.asarray(_batch()[0], np.float64) / 255
  luma = images @ [0.299, 0.587, 0.114]
  sobel, local = [], []
  for one in luma:
    x = cv2.Sobel(one, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    y = cv2.Sobel(one, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    sobel.append(np.hypot(x, y))
    mean = scipy.ndimage.uniform_filter(one, 9, mode='nearest')
    square = scipy.ndimage.uniform_filter(one**2, 9, mode='nearest')
    local.append(np.sqrt(square - mean**2))
  ones = np.ones(luma.shape[1:])
  expected = {
    'luma': luma,
    'red': images[..., 0] - luma,
    'blue': images[..., 1] - images[..., 2],
    'sobel': sobel,
    'local': local,
    'mean': [one.mean() * ones for one in luma],
    'deviation': [one.std() * ones for one in luma],
  }
  for name, values in expected.items():
    np.testing.assert_allclose(scalars[name], values, atol=3e-6, err_msg=name)


def test_an_even_area_deviates_by_nothing():
  """A bright one, and one whose pixels differ by a grey level."""
  images = np.full((1, 40, 60, 3), 255.0, np.float32)
  images[:, :, 30:] = 3
  faint = np.random.default_rng(0).integers(0, 2, (1, 40, 20, 1))
  images[:, :, 40:] += faint
  logits = jnp.zeros((1, 40, 60, 2))
  scalars = _MAPS(jnp.asarray(images), logits).scalars
  local = np.asarray(scalars[0, ..., NAMES.index('local')], np.float64)
  np.testing.assert_allclose(local[:, :26], 0, atol=1e-6)
  luma = images[0].astype(np.float64) @ [0.299, 0.587, 0.114] / 255
  padded = np.pad(luma, 4, 'edge')
  windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
  np.testing.assert_allclose(
    local[:, 44:], windows.std((2, 3))[:, 44:], atol=1e-7
  )


def test_which_scalars_are_color():
  assert [NAMES[i] for i in pixel_maps.COLORS] == [
    *('luma', 'red', 'blue', 'sobel', 'local')
  ]


def test_place(found):
  _, scalars = found
  row, column = np.mgrid[:11, :14]
  np.testing.assert_allclose(scalars['row'][0], (row + 0.5) / 11, rtol=1e-6)
  middle = np.abs((column + 0.5) / 14 - 0.5)
  np.testing.assert_allclose(scalars['column'][1], middle, rtol=1e-5)


def test_disagreement_of_the_mirrored_image(found):
  _, scalars = found
  _, logits, flipped = _batch()
  p, q = scipy.special.softmax(logits, -1), scipy.special.softmax(flipped, -1)
  middle = (p + q) / 2
  divergence = scipy.special.rel_entr(p, middle).sum(-1) / 2
  divergence += scipy.special.rel_entr(q, middle).sum(-1) / 2
  np.testing.assert_allclose(scalars['divergence'], divergence, atol=1e-6)
  first = np.argmax(logits, -1)[..., None]
  less = np.take_along_axis(p - q, first, -1)[..., 0]
  np.testing.assert_allclose(scalars['less'], less, atol=1e-6)


def test_without_the_second_pass_the_rest_is_the_same(found):
  images, logits, _ = _batch()
  maps = _MAPS(images, logits)
  assert maps.scalars.shape[-1] == pixel_maps.NUM_SCALARS
  assert len(NAMES) == pixel_maps.NUM_SCALARS + pixel_maps.NUM_FLIP
  np.testing.assert_allclose(
    maps.scalars, found[0].scalars[..., :-2], rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize('mirrored', [False, True])
def test_what_passes_with_dropout_say_comes_last(found, mirrored):
  images, logits, flipped = _batch()
  rng = np.random.default_rng(1)
  said = rng.uniform(size=(*logits.shape[:3], pixel_maps.NUM_DROPOUT))
  said = said.astype(np.float32)
  arguments = images, logits, flipped if mirrored else None
  maps = _MAPS(*arguments, uncertainty=said)
  np.testing.assert_array_equal(maps.scalars[..., -2:], said)
  thinned = _THINNED(*arguments, uncertainty=said)
  np.testing.assert_array_equal(thinned.scalars[..., -2:], said[:, ::2, ::2])
  rest = found[0].scalars[..., : None if mirrored else -2]
  np.testing.assert_allclose(maps.scalars[..., :-2], rest, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size', [(1, 1), (3, 2)])
def test_degenerate_images_give_finite_maps(size):
  zeros = jnp.zeros((1, *size, 3))
  for logits in (jnp.zeros((1, *size, 2)), 1e4 * jnp.ones((1, *size, 2))):
    sure = logits.at[..., 0].add(200.0)
    for one in (logits, sure):
      maps = _MAPS(zeros, one, sure)
      assert np.isfinite(maps.scalars).all()
      assert (maps.first == 0).all() and (maps.second == 1).all()


def test_maps_of_some_pixels(found):
  maps, _ = found
  index = np.array([[0, 15, 153, 15], [1, 2, 3, 4]])
  some = maps.at(jnp.asarray(index))
  for image, pixels in enumerate(index):
    for place, pixel in enumerate(pixels):
      row, column = divmod(int(pixel), 14)
      assert some.first[image, place] == maps.first[image, row, column]
      np.testing.assert_array_equal(
        some.scalars[image, place], maps.scalars[image, row, column]
      )


def test_no_gradient_reaches_s():
  images, logits, flipped = _batch()

  def total(logits, flipped):
    return jnp.sum(pixel_maps.pixel_maps(images, logits, flipped).scalars)

  for gradient in jax.jit(jax.grad(total, (0, 1)))(logits, flipped):
    assert not np.any(gradient)
