"""Confusion matrices and what follows from them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cityscapesscripts.evaluation import (
  evalPixelLevelSemanticLabeling as script,
)
from cityscapesscripts.helpers import labels as official
from sklearn.metrics import confusion_matrix, jaccard_score

from fsnet_jax.metrics.segmentation import SegmentationMetrics, confusion_counts

VOID = 255

jitted_counts = jax.jit(confusion_counts, static_argnums=3)


def draw(images=3, classes=5, seed=0):
  """Labels with void, and predictions that are right half of the time."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, classes, (images, 6, 7)).astype(np.uint8)
  noise = rng.integers(0, classes, labels.shape)
  predictions = np.where(rng.random(labels.shape) < 0.5, labels, noise)
  labels[rng.random(labels.shape) < 0.2] = VOID
  return labels, predictions


def count(labels, predictions, classes=5, valid=None):
  valid = labels != VOID if valid is None else valid
  return jitted_counts(
    jnp.asarray(labels), jnp.asarray(predictions), jnp.asarray(valid), classes
  )


def matrix(*rows):
  return np.array([rows], np.int32)


def test_counts_against_scikit_learn():
  labels, predictions = draw()
  counts = count(labels, predictions)
  assert counts.dtype == jnp.int32
  for image in range(3):
    valid = labels[image] != VOID
    expected = confusion_matrix(
      labels[image][valid], predictions[image][valid], labels=range(5)
    )
    np.testing.assert_array_equal(counts[image], expected)


def test_void_by_mask_or_by_label():
  labels, predictions = draw()
  everything = np.ones(labels.shape, bool)
  np.testing.assert_array_equal(
    count(labels, predictions, valid=everything), count(labels, predictions)
  )
  nothing = count(labels, predictions, valid=~everything)
  assert int(nothing.sum()) == 0


def test_metrics_against_scikit_learn():
  labels, predictions = draw(images=4)
  values = (
    SegmentationMetrics.empty(5).add(count(labels, predictions)).compute()
  )
  valid = labels != VOID
  truth, guess = labels[valid], predictions[valid]
  iou = jaccard_score(truth, guess, average=None)
  assert list(values['iou'].values()) == pytest.approx(list(iou))
  assert values['miou'] == pytest.approx(iou.mean())
  acc = [np.mean(guess[truth == index] == index) for index in range(5)]
  assert list(values['class_acc'].values()) == pytest.approx(acc)
  assert values['cls_acc'] == pytest.approx(np.mean(acc))
  assert values['pixel_acc'] == pytest.approx(np.mean(truth == guess))
  assert values['base_error_rate'] == pytest.approx(np.mean(truth != guess))
  assert values['pixels'] == len(truth)


def test_image_mean_by_hand():
  # Image one: class 0 has IoU 1/2, class 1 has 2/3. Image two lacks class 1.
  first, second = matrix([1, 0], [1, 2]), matrix([4, 0], [0, 0])
  values = SegmentationMetrics.empty(2).add(first).add(second).compute()
  mean = (1 / 2 + 2 / 3 + 1 + 0) / 4
  assert values['miou_image_mean'] == pytest.approx(mean, abs=1e-11)
  mean = (1 + 2 / 3 + 1 + 0) / 4
  assert values['cls_acc_image_mean'] == pytest.approx(mean, abs=1e-11)
  assert values['miou'] == pytest.approx((5 / 6 + 2 / 3) / 2)


def test_image_mean_is_that_of_synthcp():
  labels, predictions = draw(images=6, classes=9, seed=2)
  counts = np.asarray(count(labels, predictions, 9)).astype(np.float64)
  hits = np.diagonal(counts, axis1=1, axis2=2)
  union = counts.sum(1) + counts.sum(2) - hits
  values = SegmentationMetrics.empty(9).add(counts.astype(np.int32)).compute()
  expected = np.mean(hits / (union + 1e-8))
  assert values['miou_image_mean'] == pytest.approx(expected, abs=1e-7)
  expected = np.mean(hits / (counts.sum(2) + 1e-8))
  assert values['cls_acc_image_mean'] == pytest.approx(expected, abs=1e-7)


def test_absent_class_is_left_out_even_if_predicted():
  values = SegmentationMetrics.empty(3).add(
    matrix([6, 0, 2], [0, 2, 0], [0, 0, 0])
  )
  values = values.compute(['road', 'car', 'train'])
  assert values['iou'] == {'road': 6 / 8, 'car': 1.0, 'train': None}
  assert values['class_acc'] == {'road': 6 / 8, 'car': 1.0, 'train': None}
  assert values['miou'] == pytest.approx((6 / 8 + 1) / 2)
  assert values['pixel_acc'] == pytest.approx(8 / 10)


def test_without_pixels_nothing_is_defined():
  void = np.zeros((2, 4, 4), np.int32)
  metric = SegmentationMetrics.empty(4)
  for values in (metric.compute(), metric.add(void).compute()):
    assert values.pop('pixels') == 0
    assert set(values.pop('iou').values()) == {None}
    assert set(values.pop('class_acc').values()) == {None}
    assert set(values.values()) == {None}


def test_perfect_and_hopeless():
  perfect = SegmentationMetrics.empty(2).add(matrix([3, 0], [0, 4])).compute()
  assert perfect['miou'] == perfect['pixel_acc'] == perfect['cls_acc'] == 1
  assert perfect['miou_image_mean'] == 1
  assert perfect['base_error_rate'] == 0
  hopeless = SegmentationMetrics.empty(2).add(matrix([0, 3], [4, 0])).compute()
  assert hopeless['miou'] == hopeless['pixel_acc'] == 0
  assert hopeless['base_error_rate'] == 1


def test_images_that_pad_a_batch_do_not_count():
  labels, predictions = draw(images=4)
  real = SegmentationMetrics.empty(5).add(count(labels, predictions))
  mask = np.array([True, True, True, True, False, False])
  padded = [
    np.concatenate([array, array[:2]]) for array in (labels, predictions)
  ]
  valid = (padded[0] != VOID) & mask[:, None, None]
  counts = count(*padded, valid=valid)
  assert SegmentationMetrics.empty(5).add(counts).compute() == real.compute()


def test_parts_give_what_one_pass_gives():
  labels, predictions = draw(images=9)
  counts = np.asarray(count(labels, predictions))
  empty = SegmentationMetrics.empty(5)
  whole = empty.add(counts).compute()
  a, b, c = (empty.add(counts[part]) for part in np.split(np.arange(9), [2, 3]))
  assert a.merge(b).merge(c).compute() == whole
  assert c.merge(b.merge(a)).compute() == whole
  assert empty.merge(c).merge(a).merge(b).compute() == whole


def test_sums_beyond_int32():
  counts = np.full((1, 2, 2), 1 << 30, np.int32)
  metric = SegmentationMetrics.empty(2)
  for _ in range(5):
    metric = metric.add(counts)
  values = metric.compute()
  assert values['pixels'] == 20 << 30
  assert values['miou'] == pytest.approx(1 / 3)
  assert values['miou_image_mean'] == pytest.approx(1 / 3)


def test_saved_and_restored(tmp_path):
  metric = SegmentationMetrics.empty(5).add(count(*draw()))
  np.savez(tmp_path / 'state.npz', **metric.to_arrays())
  with np.load(tmp_path / 'state.npz') as arrays:
    restored = SegmentationMetrics.from_arrays(arrays)
  assert restored.compute() == metric.compute()


def test_refusals():
  with pytest.raises(ValueError, match='do not add'):
    SegmentationMetrics.empty(3).add(np.zeros((1, 2, 2), np.int32))
  with pytest.raises(ValueError, match='2 names for 3'):
    SegmentationMetrics.empty(3).compute(['a', 'b'])
  shapes = [
    jax.ShapeDtypeStruct((1, 1 << 16, 1 << 15), dtype)
    for dtype in (jnp.uint8, jnp.int32, jnp.bool_)
  ]
  with pytest.raises(ValueError, match='overflow int32'):
    jax.eval_shape(lambda *arrays: confusion_counts(*arrays, 2), *shapes)


def of_cityscapes(confusion):
  """mIoU as `cityscapesscripts` computes it; rows are trainIds.

  Its matrix is by label id; every id of no trainId is ignored or void.
  """
  ids = [official.trainId2label[index].id for index in range(19)]
  by_id = np.zeros((len(official.labels), len(official.labels)), np.int64)
  by_id[np.ix_(ids, ids)] = confusion
  arguments = types.SimpleNamespace(evalLabels=[*official.id2label][:-1])
  scores = {
    index: script.getIouScoreForLabel(index, by_id, arguments) for index in ids
  }
  return script.getScoreAverage(scores, arguments)


def test_the_convention_of_cityscapes_is_that_of_its_script():
  rng = np.random.default_rng(3)
  for present, predicted in ((19, 19), (5, 19), (19, 4), (1, 2), (1, 1)):
    counts = np.zeros((1, 19, 19), np.int32)
    counts[0, :present, :predicted] = rng.integers(0, 50, (present, predicted))
    counts[0, 0, 0] += 1
    values = SegmentationMetrics.empty(19).add(counts).compute()
    expected = of_cityscapes(counts[0])
    assert values['miou_cityscapes'] == pytest.approx(expected, abs=1e-15)
    absent_but_predicted = counts[0].sum(0)[counts[0].sum(1) == 0].any()
    assert (values['miou_cityscapes'] < values['miou']) == absent_but_predicted
  # Wrong everywhere, and every prediction of a class that no label has.
  counts = np.zeros((1, 19, 19), np.int32)
  counts[0, 3, 7] = 5
  values = SegmentationMetrics.empty(19).add(counts).compute()
  assert values['miou_cityscapes'] == of_cityscapes(counts[0]) == 0.0


def test_the_two_means_by_hand():
  # road 6/8, car 2/2; two road pixels are called train, which has none.
  counts = matrix([6, 0, 2], [0, 2, 0], [0, 0, 0])
  values = SegmentationMetrics.empty(3).add(counts).compute()
  assert values['miou'] == pytest.approx((6 / 8 + 1) / 2)
  assert values['miou_cityscapes'] == pytest.approx((6 / 8 + 1 + 0) / 3)
