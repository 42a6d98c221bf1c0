"""Metrics by region and predicted class against scikit-learn on each part."""

import jax
import numpy as np
import pytest

from fsnet_jax.metrics.details import METRICS, Details, detail_counts
from fsnet_jax.metrics.regions import REGIONS
from tests.fsnet_jax.metrics.failure_references import reference

CLASSES = 5
COUNTS = jax.jit(detail_counts, static_argnums=5)


def draw(seed, size=4000, errors=0.3):
  """Pixels of random regions; class 4 is never predicted."""
  rng = np.random.default_rng(seed)
  wrong = rng.random(size) < errors
  # Scores so far apart that each distinct one has its range: exact, with ties.
  score = np.round((rng.normal(-1, 2, size) + 2 * wrong) * 4) / 4
  return {
    'score': score.astype(np.float32),
    'wrong': wrong,
    'valid': rng.random(size) < 0.9,
    'predicted': rng.integers(0, CLASSES - 1, size).astype(np.uint8),
    'region': rng.integers(0, 4, size).astype(np.uint8),
  }


def computed(pixels, parts=1):
  found = Details.empty(CLASSES)
  for rows in np.array_split(np.arange(len(pixels['score'])), parts):
    found = found.add(COUNTS(*(one[rows] for one in pixels.values()), CLASSES))
  return found.compute()


def groups(pixels, values):
  """Each group's values, and the pixels that are in it."""
  region, predicted = pixels['region'], pixels['predicted']
  for name, codes in REGIONS.items():
    yield values['by_region'][name], np.isin(region, codes) & pixels['valid']
  for index in range(CLASSES):
    entry = values['per_predicted_class'][str(index)]
    yield entry, (predicted == index) & pixels['valid']


@pytest.mark.parametrize('seed', range(4))
def test_each_group_is_its_pixels_alone(seed):
  pixels = draw(seed)
  values = computed(pixels)
  for entry, mine in groups(pixels, values):
    assert tuple(entry) == METRICS
    wrong = pixels['wrong'][mine]
    assert (entry['pixels'], entry['errors']) == (mine.sum(), wrong.sum())
    if not mine.any():
      assert set(entry.values()) == {None, 0}
      continue
    assert entry['base_error_rate'] == pytest.approx(wrong.mean())
    expected = reference(pixels['score'][mine], wrong)
    for metric in ('auroc', 'fpr95_error', 'ap_error'):
      assert entry[metric] == pytest.approx(expected[metric], abs=1e-11)


def test_boundary_and_interior_are_all_pixels():
  pixels = draw(0)
  regions = computed(pixels)['by_region']
  assert regions['boundary']['pixels'] + regions['interior']['pixels'] == (
    pixels['valid'].sum()
  )


def test_parts_are_the_whole():
  pixels = draw(1)
  assert computed(pixels, 3) == computed(pixels)


@pytest.mark.parametrize('wrong', [False, True])
def test_one_kind_of_pixel_is_not_ranked(wrong):
  pixels = draw(2)
  pixels['wrong'][:] = wrong
  for entry, mine in groups(pixels, computed(pixels)):
    assert entry['auroc'] is entry['fpr95_error'] is entry['ap_error'] is None
    assert entry['base_error_rate'] == (float(wrong) if mine.any() else None)
    assert entry['errors'] == wrong * mine.sum()


def test_ties_are_chance():
  pixels = draw(3)
  pixels['score'][:] = 0.5
  for entry, mine in groups(pixels, computed(pixels)):
    if mine.any():
      assert (entry['auroc'], entry['fpr95_error']) == (0.5, 1.0)
      assert entry['ap_error'] == pytest.approx(pixels['wrong'][mine].mean())


def test_void_alone_is_nothing():
  pixels = draw(4)
  pixels['valid'][:] = False
  pixels['score'][:] = np.nan
  for entry, _ in groups(pixels, computed(pixels)):
    assert set(entry.values()) == {None, 0}


def test_one_region_and_one_class_are_everything():
  pixels = draw(5)
  pixels['predicted'][:], pixels['region'][:] = 3, 2
  values = computed(pixels)
  assert values['by_region']['boundary']['pixels'] == 0
  assert values['by_region']['small_objects'] == values['by_region']['interior']
  assert values['per_predicted_class']['3'] == values['by_region']['interior']


def test_ranges_of_score_cost_little():
  rng = np.random.default_rng(6)
  pixels = draw(6, 30_000, errors=0.1)
  pixels['score'] = rng.normal(2 * pixels['wrong'] - 3, 2).astype(np.float32)
  for entry, mine in groups(pixels, computed(pixels)):
    if mine.any():
      expected = reference(pixels['score'][mine], pixels['wrong'][mine])
      assert entry['auroc'] == pytest.approx(expected['auroc'], abs=1e-4)
      assert entry['ap_error'] == pytest.approx(expected['ap_error'], abs=1e-3)
      assert entry['fpr95_error'] == pytest.approx(
        expected['fpr95_error'], abs=0.01
      )
