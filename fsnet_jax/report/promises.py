"""What a calibrated threshold promised and gave, in words."""

from collections.abc import Mapping
from typing import Any

from fsnet_jax.report import measures


def sentence(entry: Mapping[str, Any]) -> str:
  """What a calibrated threshold promised, and what it gave, in one sentence.

  Args:
    entry: `calibrated` of a data set.
  """
  title = measures.detector_title(entry['detector'])
  limit, risk, coverage = (
    f'{100 * entry[key]:.1f}%' for key in ('limit', 'risk', 'coverage')
  )
  of = {
    'passing': 'of the pixels that pass are misclassified',
    'undetected': 'of all pixels are misclassified and pass',
  }[entry['risk_kind']]
  kept = entry['risk'] <= entry['limit']
  verdict = 'within' if kept else 'ABOVE'
  return (
    f'Calibrated threshold of {title}: {risk} {of}, {verdict} the limit of '
    f'{limit} that holds for images like those of the calibration; '
    f'{coverage} pass (means over {entry["units"]} {entry["unit"]}s).'
  )
