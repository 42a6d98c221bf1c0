"""RIPU, PixelPick and S4AL: what is queried in an image, and its cost."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from common_lib.errors import UserError
from configs import segxal_unet
from segxal_jax import acquisition
from segxal_jax.config import builders, validation
from segxal_jax.oracles import simulated_clicks
from segxal_jax.queries import region_selectors, storage
from segxal_jax.queries.types import Question
from segxal_jax.uncertainty import ripu
from tests.fsnet_jax.models import quick

SIZE = (9, 12)
RNG = np.random.default_rng(0)
GUIDE = RNG.random(SIZE).astype(np.float32)
IMAGE = np.zeros((*SIZE, 3), np.uint8)
USABLE = np.ones(SIZE, bool)
USABLE[-2:] = False


def _select(selector, guide=GUIDE, usable=USABLE, seed=0):
  return selector.select(IMAGE, guide, usable, np.random.default_rng(seed))


def test_impurity_and_ripu_against_a_loop_over_windows():
  radius = 1
  logits = RNG.normal(0, 2, (1, 6, 7, 5)).astype(np.float32)
  probs = np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True)
  winner = probs.argmax(-1)
  expected = np.zeros((2, 6, 7))
  for i, j in np.ndindex(6, 7):
    rows = slice(max(0, i - radius), i + radius + 1)
    columns = slice(max(0, j - radius), j + radius + 1)
    votes = np.bincount(winner[rows, columns].ravel(), minlength=5)
    expected[0, i, j] = stats.entropy(votes) / np.log(5)
    pixels = stats.entropy(probs[rows, columns].reshape(-1, 5), axis=1)
    expected[1, i, j] = pixels.mean() / np.log(5)
  impure, both = quick.jit(
    lambda x: (
      ripu.region_impurity(jnp.argmax(x, -1), 5, radius),
      ripu.ripu(x, radius),
    )
  )(logits)
  np.testing.assert_allclose(impure[0], expected[0], atol=1e-5)
  np.testing.assert_allclose(both[0], expected.prod(0), atol=1e-5)


def test_pixels_come_from_the_most_uncertain_ones_and_repeat():
  selected = _select(region_selectors.Pixels(count=4, share=0.1))
  usable = GUIDE[USABLE]
  top = np.sort(usable)[-round(0.1 * usable.size) :]
  assert [r.score for r in selected.regions] != sorted(top)[::-1][:4]
  assert {r.score for r in selected.regions} <= {float(v) for v in top}
  assert sorted(np.unique(selected.segments)) == [0, 1, 2, 3, 4]
  for region in selected.regions:
    assert (selected.segments == region.id).sum() == 1
    assert selected.segments[region.row, region.column] == region.id
  again = _select(region_selectors.Pixels(count=4, share=0.1))
  np.testing.assert_array_equal(selected.segments, again.segments)
  other = _select(region_selectors.Pixels(count=4, share=0.1), seed=1)
  assert (selected.segments != other.segments).any()


def test_fewer_pixels_than_wanted():
  usable = np.zeros(SIZE, bool)
  assert _select(region_selectors.Pixels(4, 0.1), usable=usable).regions == ()
  usable[0, :3] = True
  assert (
    len(_select(region_selectors.Pixels(4, 0.1), usable=usable).regions) == 3
  )


def test_windows_against_greedy_suppression():
  selected = _select(region_selectors.Windows(count=5, radius=1))
  left, expected = np.where(USABLE, GUIDE, -1), []
  while len(expected) < 5 and left.max() >= 0:
    index = np.unravel_index(left.argmax(), SIZE)
    expected.append(index)
    mark = np.zeros(SIZE, bool)
    mark[index] = True
    left[ndimage.binary_dilation(mark, np.ones((5, 5)))] = -1
  assert [(r.row, r.column) for r in selected.regions] == expected
  for region in selected.regions:
    mark = np.zeros(SIZE, bool)
    mark[region.row, region.column] = True
    square = ndimage.binary_dilation(mark, np.ones((3, 3)))
    np.testing.assert_array_equal(selected.segments == region.id, square)


def test_cells_leave_the_border_out_unless_there_is_nothing_else():
  # 3 x 4 cells of 3 pixels: two inner ones.
  selected = _select(region_selectors.Cells(count=3, side=3))
  means = [GUIDE[3:6, 3:6].mean(), GUIDE[3:6, 6:9].mean()]
  assert [r.id for r in selected.regions] == [[5, 6], [6, 5]][
    int(means[1] > means[0])
  ]
  np.testing.assert_allclose(
    [r.score for r in selected.regions], sorted(means)[::-1], rtol=1e-6
  )
  assert len(_select(region_selectors.Cells(count=9, side=6)).regions) == 4


def _question(selected, **changes):
  fields = {
    'cycle': 1,
    'index': 3,
    'id': 'scene',
    'image': IMAGE,
    'prediction': np.full(SIZE, 7, np.uint8),
    'confidence': np.ones(SIZE, np.float32),
    'eem': GUIDE,
    'usable': USABLE,
    'segments': selected.segments,
    'regions': selected.regions,
  }
  return Question(**fields | changes)


def test_exactly_what_is_asked_is_labelled_and_charged():
  truth = np.zeros(SIZE, np.uint8)
  truth[:, 6:] = 3
  truth[0] = 255
  guide = np.zeros(SIZE, np.float32)
  guide[3, 5], guide[0, 0] = 1.0, 0.5
  selected = _select(region_selectors.Windows(count=2, radius=1), guide)
  answer = simulated_clicks.SparseHuman(rest='void').answer(
    _question(selected), truth
  )
  expected = np.full(SIZE, 255, np.uint8)
  expected[2:5, 4:7] = truth[2:5, 4:7]
  expected[:2, :2] = truth[:2, :2]
  np.testing.assert_array_equal(answer.label, expected)
  np.testing.assert_array_equal(answer.asked, expected != 255)
  # Two classes in the first square; class 0 and void in the second.
  assert (answer.cost.images, answer.cost.clicks) == (1, 4)
  assert answer.cost.pixels == 9 + 2
  kept = simulated_clicks.SparseHuman(rest='prediction').answer(
    _question(selected), truth
  )
  assert (kept.label[expected == 255][3:] == 7).any()
  np.testing.assert_array_equal(kept.asked, answer.asked)


def test_a_person_who_errs_names_another_class_of_the_image():
  truth = np.zeros(SIZE, np.uint8)
  truth[:, 6:] = 3
  selected = _select(region_selectors.Pixels(count=20, share=0.5))
  human = simulated_clicks.SparseHuman(rest='void', wrong_class=1.0)
  answer = human.answer(_question(selected), truth)
  np.testing.assert_array_equal(
    answer.label[answer.asked], 3 - truth[answer.asked]
  )
  again = human.answer(_question(selected), truth)
  np.testing.assert_array_equal(answer.label, again.label)


def test_a_question_on_disk_keeps_its_guide(tmp_path):
  maps = {name: np.zeros(SIZE, np.float32) for name in storage.MAPS}
  maps |= {
    'guide': GUIDE,
    'confidence': GUIDE,
    'prediction': np.zeros(SIZE, np.uint8),
  }
  file = tmp_path / 'a.npz'
  selector = region_selectors.Pixels(count=3, share=0.2)
  storage.write(file, IMAGE, maps, USABLE, selector, np.random.default_rng(0))
  read = storage.read(file)
  np.testing.assert_allclose(read.guide, GUIDE, atol=1e-3)
  assert len(read.regions) == 3 and not read.maps['eem'].any()


@pytest.mark.parametrize(
  ('strategy', 'granularity', 'exact', 'guide'),
  [
    ('eem', 'regions', False, 'eem'),
    ('ripu', 'windows', True, 'ripu'),
    ('pixelpick', 'pixels', True, 'margin'),
  ],
)
def test_each_strategy_queries_at_its_granularity(
  strategy, granularity, exact, guide
):
  config = segxal_unet.get_config('streets')
  config.acquisition.strategy = strategy
  validation.check(config)
  oracle = builders.oracle(config)
  assert isinstance(oracle, simulated_clicks.SparseHuman) == exact
  assert exact or oracle.name == 'simulated_human'
  assert acquisition.create(strategy).requirements.granularity == granularity
  selector = builders.region_selector(config)
  assert (selector.exact, selector.guide) == (exact, guide)
  config.oracle.kind = 'gt_patch'
  if exact:
    with pytest.raises(UserError, match='simulated_human'):
      validation.check(config)
