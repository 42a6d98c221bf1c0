import cv2
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from common_lib import class_table
from fsnet_jax.report import palette
from fsnet_jax.report.figures import examples
from tests.fsnet_jax.report.report_data import make_example


def _replace(example, **parts):
  fields = {
    name: getattr(example, name)
    for name in ('id', 'image', 'label', 'prediction', 'valid', 'failure')
  }
  return examples.Example(**{**fields, **parts})


def _plain_example(size=(4, 8), wrong=(), void=()):
  """All road but for given wrong and void pixels."""
  label = np.zeros(size, np.uint8)
  prediction = np.zeros(size, np.uint8)
  for place in wrong:
    prediction[place] = 13
  for place in void:
    label[place] = class_table.VOID
  return examples.Example(
    'plain',
    np.full((*size, 3), 90, np.uint8),
    label,
    prediction,
    label != class_table.VOID,
    {'fsnet': np.arange(np.prod(size), dtype=np.float32).reshape(size)},
  )


def _contains(sheet, picture):
  """Whether the picture stands in the sheet, pixel for pixel."""
  distance = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
  row, column = np.unravel_index(distance.argmin(), distance.shape)
  height, width = picture.shape[:2]
  found = sheet[row : row + height, column : column + width]
  return np.array_equal(found, picture)


def test_wrong_pixels_exclude_void():
  example = _plain_example(wrong=[(1, 2), (0, 0)], void=[(0, 0), (3, 3)])
  assert np.argwhere(example.wrong).tolist() == [[1, 2]]


@pytest.mark.parametrize('part', ['label', 'prediction', 'valid'])
def test_shapes_must_agree(part):
  example = make_example()
  with pytest.raises(ValueError, match=f'{part} has shape'):
    _replace(example, **{part: getattr(example, part)[1:]})


def test_failure_maps_must_fit_and_be_finite():
  example = make_example()
  score = example.failure['msp']
  with pytest.raises(ValueError, match='msp has shape'):
    _replace(example, failure={'msp': score[:, 1:]})
  broken = score.copy()
  broken[3, 4] = np.inf
  with pytest.raises(ValueError, match='msp has non-finite scores'):
    _replace(example, failure={'msp': broken})


def test_errors_are_red_at_their_place_and_void_is_dark():
  example = _plain_example(wrong=[(1, 2)], void=[(3, 7)])
  picture = examples.errors_picture(example)
  # 8 pixels wide: enlarged 32 times.
  assert picture.shape == (128, 256, 3)
  red = (picture == palette.ERROR).all(-1)
  assert red[32:64, 64:96].all()
  assert red.sum() == 32 * 32
  void = picture[96:, 224:]
  assert set(map(tuple, void.reshape(-1, 3))) == {
    palette.VOID,
    palette.VOID_STRIPE,
  }
  ground = picture[~red][:1]
  assert ground.min() >= 150
  assert len(set(ground[0])) == 1


def test_panel_shows_label_prediction_errors_and_maps():
  example = make_example(size=(32, 64))
  panel = examples.example_panel(example, ['fsnet', 'msp'])
  assert panel.dtype == np.uint8

  def enlarged(picture):
    return picture.repeat(4, 0).repeat(4, 1)

  assert _contains(
    panel, enlarged(class_table.CITYSCAPES.colorize(example.label))
  )
  assert _contains(
    panel, enlarged(class_table.CITYSCAPES.colorize(example.prediction))
  )
  assert _contains(panel, examples.errors_picture(example))


@pytest.mark.parametrize(
  ('size', 'tile'),
  [
    ((64, 128), (128, 256)),
    ((3, 5), (156, 260)),
    ((100, 300), (100, 300)),
    ((256, 512), (256, 512)),
    ((300, 2048), (75, 512)),
    ((1, 1), (256, 256)),
  ],
)
def test_tiles_have_a_readable_width(size, tile):
  example = make_example(size=size, detectors=('fsnet',))
  assert examples.errors_picture(example).shape == (*tile, 3)
  panel = examples.example_panel(example, ['fsnet'])
  # Four pictures a row and the gaps between them.
  assert 4 * tile[1] < panel.shape[1] < 4 * tile[1] + 100
  assert panel.shape[0] > 2 * tile[0]


def test_every_further_example_adds_a_block():
  group = [make_example(seed) for seed in range(3)]
  one = examples.example_sheet(group[:1], ['fsnet'])
  three = examples.example_sheet(group, ['fsnet'])
  assert three.shape[0] > 2 * one.shape[0]
  assert all(_contains(three, examples.errors_picture(e)) for e in group)


def test_many_detectors_wrap_into_rows():
  names = [f'detector_{index}' for index in range(9)]
  example = make_example(detectors=names)
  few = examples.example_panel(example, names[:4])
  many = examples.example_panel(example, names)
  assert many.shape[1] == few.shape[1]
  assert many.shape[0] > few.shape[0] + 2 * 128


def test_missing_maps_and_empty_sheets_are_refused():
  with pytest.raises(ValueError, match='no failure map of entropy'):
    examples.example_panel(make_example(), ['fsnet', 'entropy'])
  with pytest.raises(ValueError, match='at least one example'):
    examples.example_sheet([], ['fsnet'])


def test_all_void_example_is_drawn():
  example = _plain_example(
    void=[(row, column) for row in range(4) for column in range(8)]
  )
  panel = examples.example_panel(example, ['fsnet'])
  assert panel.shape[1] > 4 * 256


@pytest.mark.parametrize('ties', [False, True])
def test_suspicion_is_the_log_of_the_rank(ties):
  rng = np.random.default_rng(1)
  score = rng.normal(size=(30, 40)).astype(np.float32)
  if ties:
    score = score.round(0)
  valid = rng.random(score.shape) < 0.8
  strength = examples.suspicion(score, valid)
  ranks = scipy.stats.rankdata(score[valid])
  share = 1 - (ranks - 0.5) / valid.sum()
  expected = np.clip(np.log10(share) / -2, 0, 1)
  np.testing.assert_allclose(strength[valid], expected, atol=1e-12)
  assert (strength[~valid] == 0).all()


def test_suspicion_does_not_depend_on_the_scale():
  score = np.random.default_rng(2).random((8, 9)).astype(np.float32)
  valid = np.ones(score.shape, bool)
  np.testing.assert_allclose(
    examples.suspicion(score, valid),
    examples.suspicion(-1e3 / (score + 1), valid),
    atol=1e-12,
  )


def test_image_auroc_matches_scikit_learn():
  for seed in range(3):
    example = make_example(seed)
    rounded = {name: score.round(1) for name, score in example.failure.items()}
    example = _replace(example, failure=rounded)
    expected = sklearn.metrics.roc_auc_score(
      example.wrong[example.valid], rounded['msp'][example.valid]
    )
    actual = examples.image_auroc(example, 'msp')
    assert actual == pytest.approx(expected, abs=1e-12)


def test_image_auroc_needs_right_and_wrong_pixels():
  assert examples.image_auroc(_plain_example(), 'fsnet') is None
  everything = [(row, column) for row in range(4) for column in range(8)]
  everywhere = _plain_example(wrong=everything)
  assert examples.image_auroc(everywhere, 'fsnet') is None


def test_overlay_is_red_where_suspicion_is_highest():
  image = np.full((20, 50, 3), 120, np.uint8)
  failure = np.zeros((20, 50), np.float32)
  failure[5:7, 10:13] = np.arange(6, dtype=np.float32).reshape(2, 3) + 1
  overlay = examples.failure_overlay(image, failure)
  assert overlay.shape == image.shape
  red = overlay[..., 0].astype(int) - overlay[..., 1]
  assert (red[5:7, 10:13] > 20).all()
  red[5:7, 10:13] = 0
  assert (red == 0).all()


def test_overlay_of_a_constant_map_is_the_grey_image():
  image = np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype(np.uint8)
  overlay = examples.failure_overlay(image, np.full((6, 7), 3.0, np.float32))
  assert (overlay == overlay[..., :1]).all()
  grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(int)
  assert np.abs(overlay[..., 0] - grey).max() <= 1


def test_probability_overlay_follows_the_score():
  image = np.full((2, 3, 3), 120, np.uint8)
  failure = np.array([[0, 0.5, 1], [0, 0, 0]], np.float32)
  overlay = examples.failure_overlay(image, failure, scale='probability')
  assert (overlay[1] == 120).all()
  red = overlay[0, :, 0].astype(int) - overlay[0, :, 1]
  assert 0 == red[0] < red[1] < red[2]


def test_overlay_refuses_wrong_input():
  image = np.zeros((4, 5, 3), np.uint8)
  with pytest.raises(ValueError, match='shape'):
    examples.failure_overlay(image[:3], np.zeros((4, 5), np.float32))
  with pytest.raises(ValueError, match='non-finite'):
    examples.failure_overlay(image, np.full((4, 5), np.nan, np.float32))
  with pytest.raises(ValueError, match=r'outside \[0, 1\]'):
    examples.failure_overlay(
      image, np.full((4, 5), 1.5, np.float32), scale='probability'
    )


def test_a_letterbox_is_cut_off():
  example = _plain_example((4, 8), wrong=[(1, 2)])
  cut = example.cropped(np.array([1, 2, 3, 7]))
  assert cut.id == example.id
  assert cut.image.shape == (2, 5, 3)
  assert np.argwhere(cut.wrong).tolist() == [[0, 0]]
  np.testing.assert_array_equal(
    cut.failure['fsnet'], example.failure['fsnet'][1:3, 2:7]
  )
  whole = example.cropped(np.array([0, 0, 4, 8]))
  np.testing.assert_array_equal(whole.label, example.label)
