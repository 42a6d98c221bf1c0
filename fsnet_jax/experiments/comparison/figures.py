"""The paper's Fig. 3, and the dots, from the means over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from fsnet_jax.experiments.comparison.tables import ordered
from fsnet_jax.report import measures
from fsnet_jax.report.figures import plots

# The methods of the paper's figure, then others, up to as many as can be told
# apart.
_MOST_LINES = 9
_FIRST = (
  'fsnet',
  'synthcp_msp',
  'synthcp',
  'msp',
  'mc_dropout',
  'direct_msp',
  'direct',
  'tcp_msp',
  'tcp',
  'tcp_synthcp_msp',
  'tcp_synthcp',
  'ensemble',
  'entropy',
)


def drawn(names: Sequence[str]) -> list[str]:
  """The detectors that figures show.

  Where a learned one comes alone and with MSP, only the published variant,
  with MSP, is drawn.
  """
  first = [
    name
    for name in _FIRST
    if name in names and (name == 'fsnet' or f'{name}_msp' not in names)
  ]
  rest = [
    name
    for name in ordered(list(names))
    if name not in first and name not in _FIRST
  ]
  return (first + rest)[:_MOST_LINES]


# Panels side by side.
_ACROSS = 3


def risk_coverage(contents: Sequence[Mapping[str, Any]], group: str) -> Figure:
  """Fig. 3: risk against coverage, one panel for each data set and network.

  Args:
    contents: `compare.json` of each network, none of them twice.
    group: `risk_at_coverage` (pooled) or `risk_at_coverage_class_macro`.

  Returns:
    Two networks on three data sets make the six panels of the paper, a row
    for each network. More data sets than fit a row make the rows.
  """
  metrics = _as_metrics(contents, group)
  each, networks = len(contents[0]['datasets']), len(contents)
  datasets = list(metrics['datasets'].items())
  if networks == 1 or len(datasets) != networks * each or each <= _ACROSS:
    return plots.risk_coverage_figure(metrics, min(each, _ACROSS))
  turned = [
    datasets[n * each + d] for d in range(each) for n in range(networks)
  ]
  return plots.risk_coverage_figure({'datasets': dict(turned)}, networks)


def dots(contents: Sequence[Mapping[str, Any]]) -> Figure:
  """AUROC and FPR95 of the drawn detectors."""
  return plots.detectors_figure(_as_metrics(contents, 'risk_at_coverage'))


def _as_metrics(
  contents: Sequence[Mapping[str, Any]], group: str
) -> dict[str, Any]:
  """Means over seeds in the layout that plots read."""
  datasets = {}
  for content in contents:
    network = measures.network_title(content['network'])
    for dataset, entry in content['datasets'].items():
      names = drawn(list(entry['failure']))
      failure = {
        name: {
          'risk_at_coverage': _means(entry['failure'][name][group]),
          'pooled': _means(entry['failure'][name]['pooled']),
        }
        for name in names
      }
      # At full coverage every ranking has the same risk: the error rate, of
      # all pixels or averaged over classes.
      rate = failure[names[0]]['risk_at_coverage']['1.0'] if names else None
      datasets[f'{network}, {dataset}'] = {
        'segmentation': {'base_error_rate': rate},
        'failure': failure,
      }
  return {'datasets': datasets}


def _means(stats: Mapping[str, Any]) -> dict[str, float | None]:
  return {key: stat['mean'] for key, stat in stats.items()}
