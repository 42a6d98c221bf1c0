"""Segment metrics against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from fsnet_jax.metrics import segments as segments_lib
from fsnet_jax.metrics.segments import (
  LIMITS,
  SegmentSums,
  error_segments,
  flag,
  segment_scores,
  sums_at_budgets,
)


def mask(*rows):
  return np.array([[char == '#' for char in row] for row in rows])


def test_limits():
  assert LIMITS == (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


def test_two_errors_under_one_flag_are_not_held_against_each_other():
  wrong = mask('##..##..', '##..##..', '........')
  flagged = mask('######..', '######..', '........')
  siou, ppv = segment_scores(flagged, wrong)
  # Each error: 4 hit; union 4 + 12 - 4 own = 12, less the other's 4: 8.
  assert siou == pytest.approx([0.5, 0.5])
  assert ppv == pytest.approx([8 / 12])
  sums = SegmentSums.empty().add(flagged, wrong, np.ones_like(wrong))
  # Found up to 0.5: 6 limits of F1 1 (up to 0.65 PPV is enough); 0.55..0.65:
  # TP 0 -> 0; so 6 / 11.
  assert list(sums.found) == [2] * 6 + [0] * 5
  assert list(sums.false_alarms) == [0] * 9 + [1] * 2
  assert sums.compute()['f1'] == pytest.approx(6 / 11)
  assert sums.compute()['flagged'] == pytest.approx(12 / 24)


def test_several_flags_on_one_error_and_a_false_alarm():
  wrong = mask('#######.', '........', '........', '........')
  flagged = mask('##.###..', '........', '......##', '........')
  siou, ppv = segment_scores(flagged, wrong)
  assert siou == pytest.approx([5 / 7])
  assert ppv == pytest.approx([1, 1, 0])
  result = SegmentSums.empty().add(flagged, wrong, np.ones_like(wrong))
  values = result.compute()
  assert values['siou'] == pytest.approx(5 / 7)
  assert values['ppv'] == pytest.approx(2 / 3)
  # 0.25 .. 0.7: TP 1, FP 1 -> 2/3; 0.75: TP 0.
  assert values['f1'] == pytest.approx(10 / 11 * 2 / 3)
  assert (values['error_segments'], values['flagged_segments']) == (1, 3)


def test_diagonal_neighbours_are_one_segment():
  siou, ppv = segment_scores(mask('....'), mask('....'))
  assert len(siou) == len(ppv) == 0
  siou, _ = segment_scores(mask('#...', '.#..'), mask('#...', '.#..'))
  assert list(siou) == [1]


def test_void_is_in_no_segment():
  wrong = mask('####', '....')
  flagged = mask('####', '####')
  valid = mask('##..', '##..')
  sums = SegmentSums.empty().add(flagged, wrong, valid)
  # 2 of 4 valid flagged pixels are wrong, the union is these 4.
  assert sums.compute() == {
    'siou': 0.5, 'ppv': 0.5, 'f1': pytest.approx(6 / 11), 'flagged': 1.0,
    'error_segments': 1, 'flagged_segments': 1,
  }  # fmt: skip


def test_small_segments_are_dropped_but_explain_flags():
  # 100 and 500 pixels of 1280x720, at half the side: 25 and 125.
  wrong = np.zeros((360, 640), bool)
  wrong[0, :24] = True  # too small to be found
  wrong[10:15, :10] = True
  flagged = np.zeros_like(wrong)
  flagged[0, :124] = True  # too small to be an alarm
  flagged[10:25, :10] = True
  siou, ppv = segment_scores(flagged, wrong)
  assert siou == pytest.approx([50 / 150]) and ppv == pytest.approx([50 / 150])


def test_budget_flags_the_most_suspicious():
  score = np.arange(20, dtype=np.float32).reshape(4, 5)
  valid = np.ones((4, 5), bool)
  valid[3, 4] = False  # the highest score
  flags = flag(score, valid, 0.1)
  assert flags.sum() == 2 and flags[3, 2] and flags[3, 3]
  assert flag(score, ~np.ones_like(valid), 0.1).sum() == 0
  tied = np.zeros((4, 5), np.float32)
  assert flag(tied, valid, 0.1).sum() == 19
  tied[0, 0] = 1
  assert flag(tied, valid, 0.1).sum() == 1
  assert flag(tied, valid, 0.9).sum() == 19


def test_sums_merge_and_travel():
  rng = np.random.default_rng(0)
  images = [(rng.random((2, 16, 16)) < 0.3) for _ in range(4)]
  valid = rng.random((16, 16)) < 0.9
  whole = SegmentSums.empty()
  halves = [SegmentSums.empty(), SegmentSums.empty()]
  for place, (flagged, wrong) in enumerate(images):
    whole = whole.add(flagged, wrong, valid)
    halves[place % 2] = halves[place % 2].add(flagged, wrong, valid)
  total = halves[0].to_array() + halves[1].to_array()
  again = SegmentSums.from_array(total).compute()
  assert again == pytest.approx(whole.compute(), rel=1e-12)
  assert SegmentSums.empty().compute() == {
    'siou': None, 'ppv': None, 'f1': None, 'flagged': None,
    'error_segments': 0, 'flagged_segments': 0,
  }  # fmt: skip


def test_scores_are_those_of_a_table_of_all_pairs():
  rng = np.random.default_rng(1)
  coarse = rng.random((2, 3, 12, 12)) < 0.4
  for wrong, flagged in zip(*coarse.repeat(4, axis=2).repeat(4, axis=3)):
    numbers, count = ndimage.label(wrong, np.ones((3, 3)))
    flags, flagged_count = ndimage.label(flagged, np.ones((3, 3)))
    siou, ppv = segment_scores(flagged, wrong, error_segments(wrong))
    expected = []
    for k in range(1, count + 1):
      touching = set(flags[numbers == k]) - {0}
      joined = np.isin(flags, list(touching)) & ~(wrong & (numbers != k))
      union = (numbers == k) | joined
      expected.append(np.sum((numbers == k) & flagged) / union.sum())
    assert siou == pytest.approx(expected)
    assert ppv == pytest.approx(
      [wrong[flags == q].mean() for q in range(1, flagged_count + 1)]
    )


def test_nothing_flagged_and_nothing_wrong():
  nothing, some = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
  some[1, 1:3] = True
  siou, ppv = segment_scores(nothing, some)
  assert list(siou) == [0] and len(ppv) == 0
  siou, ppv = segment_scores(some, nothing)
  assert len(siou) == 0 and list(ppv) == [0]


def flags_of_a_sorted_list(score, valid, budget):
  """`flag`, pixel by pixel."""
  ranked = sorted(score[valid], reverse=True)
  wanted = max(1, round(budget * len(ranked)))
  above = sum(one > ranked[wanted - 1] for one in ranked)
  with_ties = sum(one >= ranked[wanted - 1] for one in ranked)
  fewer = above and wanted - above < with_ties - wanted
  count = above if fewer else with_ties
  return (score >= ranked[count - 1]) & valid


def maps_of_all_kinds(rng, shape):
  smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
  maps = [smooth, smooth.round(1), rng.random(shape), np.zeros(shape)]
  return [one.astype(np.float32) for one in maps]


def test_flags_are_those_of_a_sorted_list():
  rng = np.random.default_rng(2)
  valid = rng.random((20, 30)) < 0.8
  for score in maps_of_all_kinds(rng, valid.shape):
    for budget in (0.001, 0.01, 0.1, 0.5, 1.0):
      expected = flags_of_a_sorted_list(score, valid, budget)
      np.testing.assert_array_equal(flag(score, valid, budget), expected)


@pytest.mark.parametrize('at_once', [1, 2**13, 2**20])
@pytest.mark.parametrize('void', [0.0, 0.2, 1.0])
@pytest.mark.parametrize('errors', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('shape', [(24, 32), (1, 40), (1, 1)])
def test_many_at_once_are_those_one_by_one(
  shape, errors, void, at_once, monkeypatch
):
  # One map, a few maps and all maps at once.
  monkeypatch.setattr(segments_lib, '_AT_ONCE', at_once)
  rng = np.random.default_rng(3)
  wrong, valid = rng.random(shape) < errors, rng.random(shape) >= void
  scores = maps_of_all_kinds(rng, shape)
  for score in scores:
    score[~valid] = np.nan
  budgets = (0.05, 0.3, 0.01, 1.0)
  many = sums_at_budgets(scores, wrong, valid, budgets)
  assert [len(own) for own in many] == [len(budgets)] * len(scores)
  for score, own in zip(scores, many):
    for budget, sums in zip(budgets, own):
      flagged = flag(score, valid, budget)
      alone = SegmentSums.empty().add(flagged, wrong, valid)
      # The sums of floats may be in another order.
      for field in dataclasses.fields(sums):
        got, expected = getattr(sums, field.name), getattr(alone, field.name)
        assert type(got) is type(expected)
        assert got == pytest.approx(expected, rel=1e-12), field.name


def test_flags_of_two_maps_do_not_touch():
  # Bottom row of the first map, top row of the second: in one array they are
  # neighbours.
  down = np.arange(12, dtype=np.float32).reshape(4, 3)
  up = down[::-1].copy()
  wrong = np.zeros((4, 3), bool)
  wrong[0] = True
  valid = np.ones_like(wrong)
  (first,), (second,) = sums_at_budgets([down, up], wrong, valid, [0.25])
  assert (first.flagged_segments, first.siou, first.ppv) == (1, 0, 0)
  assert (second.flagged_segments, second.siou, second.ppv) == (1, 1, 1)
