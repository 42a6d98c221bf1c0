import numpy as np
import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from segxal_jax import oracles
from segxal_jax.oracles import costs
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries import regions
from segxal_jax.queries.types import Question

SIZE = (16, 16)
DEFAULTS = {
  'kind': 'gt_patch',
  'patch': 8,
  'rest': 'prediction',
  'min_confidence': 0.9,
  'min_share': 0.25,
  'border_noise_px': 0,
  'wrong_class': 0.0,
}


def _oracle(seed=0, **changes):
  return oracles.create(ConfigDict(DEFAULTS | changes), seed)


def _truth():
  """Road, a car in the right half, one void row."""
  truth = np.zeros(SIZE, np.uint8)
  truth[4:8, 10:14] = 13
  truth[15] = 255
  return truth


def _question(eem=None, asked=None, **changes):
  segments = regions.patches(SIZE, 8)
  usable = changes.pop('usable', np.ones(SIZE, bool))
  eem = np.zeros(SIZE, np.float32) if eem is None else eem
  parts = {
    'cycle': 1,
    'index': 5,
    'id': 'scene',
    'image': np.zeros((*SIZE, 3), np.uint8),
    'prediction': np.ones(SIZE, np.uint8),
    'confidence': np.full(SIZE, 0.5, np.float32),
    'eem': eem,
    'usable': usable,
    'segments': segments,
    'regions': regions.rank(eem, segments, usable, asked or 1),
  }
  return Question(**parts | changes)


def _hot(rows, columns):
  eem = np.zeros(SIZE, np.float32)
  eem[rows, columns] = 1.0
  return eem


def test_outline_of_a_square_has_four_corners():
  mask = np.zeros((20, 20), bool)
  mask[5:15, 5:15] = True
  assert costs.outline_clicks(mask) == 4
  mask[8:12, 8:12] = False
  assert costs.outline_clicks(mask) > 4
  assert costs.outline_clicks(np.zeros((4, 4), bool)) == 0


def test_void_needs_no_clicks():
  label = np.full((8, 8), 255, np.uint8)
  assert costs.label_clicks(label) == 0
  label[:, 4:] = 3
  assert costs.label_clicks(label) == 4


def test_self_pseudo_is_free_and_keeps_what_is_sure():
  confidence = np.full(SIZE, 0.5, np.float32)
  confidence[0] = 0.95
  answer = _oracle(kind='self_pseudo').answer(
    _question(confidence=confidence), None
  )
  assert answer.cost == Cost(0, 0, 0) and not answer.asked.any()
  assert (answer.label[0] == 1).all() and (answer.label[1:] == 255).all()


def test_gt_patch_pastes_and_charges_the_truth():
  answer = _oracle().answer(
    _question(_hot(slice(0, 8), slice(8, 16))), _truth()
  )
  pasted = np.zeros(SIZE, bool)
  pasted[:8, 8:] = True
  np.testing.assert_array_equal(answer.asked, pasted)
  np.testing.assert_array_equal(answer.label[pasted], _truth()[pasted])
  assert (answer.label[~pasted] == 1).all()
  assert answer.cost == Cost(1, 64, 2)  # two classes in one patch


def test_gt_patch_never_charges_void():
  truth = np.full(SIZE, 255, np.uint8)
  answer = _oracle().answer(_question(_hot(slice(8, 16), slice(0, 8))), truth)
  assert answer.cost == Cost(1, 0, 0) and not answer.asked.any()
  assert (answer.label[8:, :8] == 255).all()


def test_simulated_human_relabels_the_object_under_the_prompt():
  # The prompt lies on the car; the road fills the rest of its patch.
  answer = _oracle(kind='simulated_human').answer(
    _question(_hot(5, 11)), _truth()
  )
  np.testing.assert_array_equal(answer.label[:15], _truth()[:15])
  assert (answer.label[15] == 1).all()  # void in the truth: left alone
  assert answer.cost.images == 1
  assert answer.cost.pixels == 15 * 16 == answer.asked.sum()


def test_simulated_human_leaves_small_things_that_are_not_pointed_at():
  answer = _oracle(kind='simulated_human', min_share=0.5).answer(
    _question(_hot(0, 8)), _truth()
  )
  road = _truth() == 0
  np.testing.assert_array_equal(answer.asked, road)
  assert (answer.label[4:8, 10:14] == 1).all()


def test_simulated_human_without_regions_or_truth_costs_an_image():
  human = _oracle(kind='simulated_human')
  nobody = _question(usable=np.zeros(SIZE, bool))
  assert human.answer(nobody, _truth()).cost == Cost(1, 0, 0)
  void = np.full(SIZE, 255, np.uint8)
  assert human.answer(_question(), void).cost == Cost(1, 0, 0)


def test_noise_is_the_same_each_time_and_changes_labels():
  options = {
    'kind': 'simulated_human',
    'border_noise_px': 2,
    'wrong_class': 1.0,
  }
  question = _question(_hot(5, 11), 4)
  first = _oracle(3, **options).answer(question, _truth())
  again = _oracle(3, **options).answer(question, _truth())
  np.testing.assert_array_equal(first.label, again.label)
  assert first.cost == again.cost
  assert (first.label[first.asked] != _truth()[first.asked]).any()


@pytest.mark.parametrize(
  ('rest', 'value'), [('prediction', 1), ('void', 255), ('confident', 255)]
)
def test_what_stands_where_nobody_was_asked(rest, value):
  answer = _oracle(rest=rest).answer(
    _question(_hot(slice(0, 8), slice(8, 16))), _truth()
  )
  assert (answer.label[:, :8] == value).all()


def test_whole_image_is_charged_without_void():
  answer = _oracle(kind='full_image').answer(_question(), _truth())
  np.testing.assert_array_equal(answer.label, _truth())
  assert (answer.cost.images, answer.cost.pixels) == (1, 15 * 16)
  assert answer.cost.clicks >= 8


@pytest.mark.parametrize(
  'kind', sorted(oracles.ORACLES.keys() - {'label_studio', 'replay'})
)
def test_contract(kind):
  oracle = _oracle(kind=kind)
  assert oracle.name == kind and oracle.title and oracle.where == ''
  assert isinstance(oracle, oracles.Oracle)
  question = _question(_hot(5, 11))
  before = question.prediction.copy()
  oracle.publish([question])
  truth = _truth() if oracle.needs_truth else None
  answer = oracle.answer(question, truth)
  assert answer.label.dtype == np.uint8 and answer.asked.dtype == bool
  assert answer.cost.pixels == answer.asked.sum()
  np.testing.assert_array_equal(question.prediction, before)


def test_unknown_oracle():
  with pytest.raises(UserError, match='self_pseudo, gt_patch'):
    _oracle(kind='crowd')
