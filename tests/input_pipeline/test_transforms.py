import colorsys

import numpy as np
import pytest

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline import transforms

SIZE = (24, 40)


def scene(seed=0, size=SIZE):
  """Blocks of 4x4 pixels whose red value tells their label."""
  rng = np.random.default_rng(seed)
  shape = (-(-size[0] // 4), -(-size[1] // 4))
  label = rng.integers(0, 19, shape, np.uint8).repeat(4, 0).repeat(4, 1)
  label = label[: size[0], : size[1]]
  image = np.stack([label * 10, label, 255 - label], -1)
  return {'image': image, 'label': label}


@pytest.mark.parametrize('name', transforms.TRANSFORMS)
@pytest.mark.parametrize('size', [SIZE, (1, 1), (3, 7)])
def test_contract(name, size):
  transform = transforms.TRANSFORMS[name]
  element = {**scene(size=size), 'id': 'kept'}
  before = {k: np.copy(v) for k, v in element.items()}
  for key in ('image', 'label'):
    element[key].setflags(write=False)
  changed_any = False
  for seed in range(30):
    first = transform(element, np.random.default_rng(seed))
    second = transform(element, np.random.default_rng(seed))
    assert first['image'].shape == (*size, 3)
    assert first['label'].shape == size
    assert first['image'].dtype == first['label'].dtype == np.uint8
    assert first['id'] == 'kept'
    for key in ('image', 'label'):
      np.testing.assert_array_equal(first[key], second[key])
      np.testing.assert_array_equal(element[key], before[key])
    legal = (first['label'] < class_table.CITYSCAPES.num_classes) | (
      first['label'] == 255
    )
    assert legal.all()
    changed_any |= not np.array_equal(first['image'], before['image'])
  # One pixel has nothing to mirror, to move or to blur.
  assert changed_any != (
    size == (1, 1) and name in ('flip', 'scale_crop', 'blur')
  )


def test_flip_mirrors_both_half_of_the_time():
  element = scene()
  flips = 0
  for seed in range(200):
    changed = transforms.random_flip(element, np.random.default_rng(seed))
    flipped = not np.array_equal(changed['label'], element['label'])
    flips += flipped
    step = -1 if flipped else 1
    for key in ('image', 'label'):
      np.testing.assert_array_equal(changed[key], element[key][:, ::step])
  assert 70 < flips < 130  # p < 1e-4 outside, for a fair coin


@pytest.mark.parametrize(
  ('scales', 'least'), [((1.0, 2.0), 0.5), ((0.5, 0.9), 0.3), ((0.5, 2.0), 0.3)]
)
def test_scale_crop_keeps_labels_on_their_image(scales, least):
  # Red is 10 x label: away from the borders of the blocks, where colours mix,
  # the image still tells the label.
  for seed in range(50):
    changed = transforms.random_scale_crop(
      scene(seed), np.random.default_rng(seed), scales
    )
    label = changed['label']
    inside = label != 255
    exact = changed['image'][..., 0] == label * 10
    assert exact[inside].mean() > least
    np.testing.assert_array_equal(
      changed['image'][~inside],
      np.broadcast_to((124, 116, 104), changed['image'][~inside].shape),
    )


def test_scale_crop_is_not_shifted():
  """A coarse step edge stays at the same place in image and label."""
  image = np.zeros((64, 128, 3), np.uint8)
  label = np.zeros((64, 128), np.uint8)
  image[:, 63:], label[:, 63:] = 200, 1
  differences = []
  for seed in range(200):
    changed = transforms.random_scale_crop(
      {'image': image, 'label': label}, np.random.default_rng(seed), (0.5, 2.0)
    )
    inside = changed['label'] != 255
    edge_of_image = (changed['image'][..., 0] / 200)[inside]
    differences.append((edge_of_image - changed['label'][inside]).sum() / 64)
  # In pixels; a shift of half a pixel would show as 0.5 x the scale.
  assert abs(np.mean(differences)) < 0.15


def test_scale_crop_pads_with_void():
  shares, scale = [], 0.5
  for seed in range(20):
    changed = transforms.random_scale_crop(
      scene(size=(40, 80)), np.random.default_rng(seed), (scale, scale)
    )
    shares.append((changed['label'] == 255).mean())
  np.testing.assert_allclose(shares, 1 - scale**2)


def test_scale_one_changes_nothing():
  element = scene()
  changed = transforms.random_scale_crop(
    element, np.random.default_rng(0), (1.0, 1.0)
  )
  for key in ('image', 'label'):
    np.testing.assert_array_equal(changed[key], element[key])


def test_scale_crop_reaches_every_corner():
  label = np.zeros((8, 8), np.uint8)
  label[0, 0], label[0, 7], label[7, 0], label[7, 7] = 1, 2, 3, 4
  element = {'image': np.zeros((8, 8, 3), np.uint8), 'label': label}
  seen = set()
  for seed in range(400):
    changed = transforms.random_scale_crop(
      element, np.random.default_rng(seed), (2.0, 2.0)
    )
    seen |= set(np.unique(changed['label']))
  assert seen == {0, 1, 2, 3, 4}


def jitter(image, **amounts):
  none = {'brightness': 0.0, 'contrast': 0.0, 'saturation': 0.0, 'hue': 0.0}
  label = np.zeros(image.shape[:2], np.uint8)
  return transforms.color_jitter(
    {'image': image, 'label': label},
    np.random.default_rng(3),
    **{**none, **amounts},
  )['image']


def test_jitter_by_nothing_changes_nothing():
  image = scene()['image']
  np.testing.assert_array_equal(jitter(image), image)


def test_brightness_is_a_factor():
  image = np.random.default_rng(0).integers(20, 120, (9, 9, 3), np.uint8)
  changed = jitter(image, brightness=0.5).astype(float)
  factor = changed.sum() / image.sum()
  assert abs(factor - 1) > 0.05
  np.testing.assert_allclose(changed, image * factor, atol=1.01)


def test_contrast_keeps_the_mean_luma():
  image = np.random.default_rng(0).integers(80, 160, (40, 40, 3), np.uint8)
  changed = jitter(image, contrast=0.5)
  luma = np.array([0.299, 0.587, 0.114])
  assert abs((image @ luma).mean() - (changed @ luma).mean()) < 0.1
  ratio = (changed @ luma).std() / (image @ luma).std()
  assert 0.5 <= ratio <= 1.5 and abs(ratio - 1) > 0.05


def test_saturation_and_hue_leave_grey_alone():
  grey = np.arange(0, 250, 10, np.uint8)[:, None, None].repeat(3, 2)
  np.testing.assert_array_equal(jitter(grey, saturation=0.9, hue=0.5), grey)


def test_hue_turns_the_colour():
  image = np.full((2, 2, 3), (170, 100, 90), np.uint8)
  changed = jitter(image, hue=0.1)
  before, after = (
    colorsys.rgb_to_hsv(*(x[0, 0] / 255.0))[0] for x in (image, changed)
  )
  turn = (after - before + 0.5) % 1 - 0.5
  assert 0.01 < abs(turn) < 0.12
  assert abs(int(image.sum()) - int(changed.astype(int).sum())) <= 8


def test_jitter_clips_instead_of_wrapping():
  image = np.full((4, 4, 3), 250, np.uint8)
  for seed in range(30):
    changed = transforms.color_jitter(
      {'image': image, 'label': image[..., 0]}, np.random.default_rng(seed)
    )
    assert changed['image'].min() > 100


def test_noise_has_the_sigma_asked_for():
  image = np.full((100, 100, 3), 128, np.uint8)
  changed = transforms.gaussian_noise(
    {'image': image, 'label': image[..., 0]},
    np.random.default_rng(0),
    (7.0, 7.0),
  )['image'].astype(float)
  assert abs(changed.mean() - 128) < 0.2
  assert abs(changed.std() - 7) < 0.2


def test_resolve():
  def own(element, generator):
    return element

  assert transforms.resolve(('flip', own)) == (transforms.random_flip, own)
  assert transforms.resolve(()) == ()
  with pytest.raises(UserError, match=r"data\.augment.*'flop'.*flip, scale"):
    transforms.resolve(('flip', 'flop'))
  with pytest.raises(UserError, match=r"write \('flip',\)"):
    transforms.resolve('flip')
