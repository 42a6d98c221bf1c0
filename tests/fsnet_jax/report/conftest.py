"""A valid metrics dictionary for the tests of the report."""

import pytest

from tests.fsnet_jax.report.report_data import (
  make_dataset,
  make_detector,
  make_metrics,
)


@pytest.fixture
def metrics():
  """Two data sets: FSNet ahead on one, behind on the other."""
  return make_metrics(
    {
      'streets/day': make_dataset(
        {
          'fsnet': make_detector(auroc=0.91, fpr95=0.3, ece=0.05),
          'msp': make_detector(auroc=0.88, fpr95=0.34, ece=0.02),
          'entropy': make_detector(auroc=0.885, fpr95=0.35),
        }
      ),
      'camvid/0001TP:val': make_dataset(
        {
          'fsnet': make_detector(auroc=0.7, fpr95=0.8, error_rate=0.25),
          'msp': make_detector(auroc=0.8, fpr95=0.6, error_rate=0.25),
        },
        error_rate=0.25,
      ),
    }
  )
