"""FPR95 of each image by itself, averaged."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.metrics.per_image import ImageHistograms, image_counts
from tests.fsnet_jax.metrics.failure_references import reference


def means(score, wrong, valid):
  histograms = ImageHistograms()
  counts = image_counts(*map(jnp.asarray, (score, wrong, valid)))
  histograms.add(counts, np.arange(len(score)))
  return histograms.table().image_means()


def test_mean_over_images_is_not_that_of_pooled_pixels():
  rng = np.random.default_rng(0)
  shape = (4, 20, 25)
  wrong = rng.random(shape) < 0.2
  # Few scores, so that each is a range of its own; images on unlike scales.
  score = (
    rng.integers(0, 9, shape) + 3 * wrong + 20 * np.arange(4)[:, None, None]
  )
  score, valid = score.astype(np.float32), rng.random(shape) < 0.9
  # One image without a wrong pixel is left out.
  wrong[2] = False
  expected = np.mean(
    [
      reference(score[i][valid[i]], wrong[i][valid[i]])['fpr95_error']
      for i in (0, 1, 3)
    ]
  )
  assert means(score, wrong, valid)['fpr95_error'] == pytest.approx(expected)
  pooled = reference(score[valid], wrong[valid])['fpr95_error']
  assert abs(pooled - expected) > 0.01


@pytest.mark.parametrize('all_wrong', [False, True])
def test_no_image_with_both_kinds(all_wrong):
  score = np.zeros((2, 3, 4), np.float32)
  found = means(score, np.full(score.shape, all_wrong), score == 0)
  assert found == {'fpr95_error': None}
