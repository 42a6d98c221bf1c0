"""Many rankings at once against one at a time, which scikit-learn confirms."""

import numpy as np
import pytest

from fsnet_jax.metrics.ranking.ranking import Ranking, ranking_metrics
from fsnet_jax.metrics.ranking.ranking_batched import ranking_metrics_batched


def steps(rng, rows, count, most):
  """Counts of right and wrong pixels; many steps are empty."""
  correct, wrong = rng.integers(0, most, (2, rows, count))
  empty = rng.random((2, rows, count)) < 0.4
  return np.where(empty[0], 0, correct), np.where(empty[1], 0, wrong)


@pytest.mark.parametrize('most', [2, 40, 200_000])
@pytest.mark.parametrize('count', [1, 2, 300])
def test_each_row_is_the_ranking_by_itself(count, most):
  rng = np.random.default_rng(count + most)
  correct, wrong = steps(rng, 12, count, most)
  correct[0], wrong[1] = 0, 0  # nothing to rank
  correct[2], wrong[2] = 0, 0
  correct[3, 0], wrong[3, -1] = 1, 1
  tied = rng.random(count) < 0.3
  found = ranking_metrics_batched(
    correct.astype(np.float64), wrong.astype(np.float64), tied
  )
  assert set(found) == {
    'ap_error', 'ap_success', 'auroc', 'fpr95_error', 'aurc', 'augrc',
    'coverage_at_5_risk',
  }  # fmt: skip
  for row in range(12):
    expected = ranking_metrics(Ranking(correct[row], wrong[row], tied))
    for name, values in found.items():
      if expected[name] is None:
        assert np.isnan(values[row])
      else:
        assert values[row] == pytest.approx(
          expected[name], rel=1e-11, abs=1e-13
        )
  assert np.isnan(found['auroc'][:3]).all()
  assert not np.isnan(found['auroc'][3])
