"""Table IV of the paper, ours beside its own: what each part of F is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report import measures
from fsnet_jax.report.paper_numbers import FSNET_TABLE_IV_CITYSCAPES
from fsnet_jax.report.seeds import mean_and_spread

_SHOWN = ('ap_error', 'ap_success', 'auroc', 'fpr95_error')
_TITLES = {
  'full': 'all (multi-branch)',
  'single_branch': 'single branch',
  'data_20': '20 % of the data',
  'no_x': 'without x',
  'no_w1': 'without w1',
  'no_w2': 'without w2',
  'no_w3': 'without w3',
  'no_w4': 'without w4',
  'no_seg_features': 'without S_E(x)',
  'joint_from_scratch': 'joint from scratch',
}


def markdown(
  cells: Mapping[str, Mapping[int, Mapping[str, Any]]], network: str
) -> str:
  """The table in Markdown, a block for each data set.

  Args:
    cells: `metrics.json` of each finished cell, by variant and seed.
    network: `fcn8` or `deeplab_v2`, whose columns of the paper are shown;
      the paper has none for others.

  Returns:
    FSNet's measures, mean ± standard deviation over seeds; what AUROC gains
    on the full F of the same seeds; the error rate of S and its MSP's AUROC
    (the joint phase trains S too, so both differ between variants); and the
    paper's in-distribution AP-Err and AUROC.
  """
  shown = [measures.BY_KEY[key] for key in _SHOWN]
  paper = FSNET_TABLE_IV_CITYSCAPES.get(network, {})
  titles = [
    'variant',
    'seeds',
    'error rate',
    *(measure.title for measure in shown),
    'AUROC less that of all',
    'AUROC of MSP',
    'paper: AP-Err',
    'paper: AUROC',
  ]
  lines = []
  first = next(iter(next(iter(cells.values())).values()))
  for place, dataset in enumerate(first['datasets']):
    lines += [
      f'{network}, {dataset}',
      '',
      f'| {" | ".join(titles)} |',
      '|' + '---|' * len(titles),
    ]
    of_dataset = {
      name: {seed: run['datasets'][dataset] for seed, run in runs.items()}
      for name, runs in cells.items()
    }
    for name in cells:
      # The paper's in-distribution numbers stand beside ours alone.
      theirs = None if place else paper.get(name)
      lines.append(_row(name, of_dataset, shown, theirs))
    lines.append('')
  lines.append(
    "The paper's numbers are of Cityscapes, in distribution, at 256x512; only "
    'their order can be compared. `-`: none to compare with.'
  )
  return '\n'.join(lines) + '\n'


def _row(
  name: str,
  of_dataset: Mapping[str, Mapping[int, Mapping[str, Any]]],
  shown: Sequence[measures.Measure],
  paper: tuple[float, float] | None,
) -> str:
  rate = measures.BY_KEY['base_error_rate']
  auroc = measures.BY_KEY['auroc']
  entries = of_dataset[name].values()
  pooled = [entry['failure']['fsnet']['pooled'] for entry in entries]
  gains = _gains(of_dataset, name)
  cells = [
    _TITLES.get(name, name),
    str(len(entries)),
    mean_and_spread([e['segmentation'][rate.key] for e in entries], rate),
    *(mean_and_spread([p[m.key] for p in pooled], m) for m in shown),
    mean_and_spread(gains, auroc) if gains else '-',
    mean_and_spread(
      [entry['failure']['msp']['pooled'][auroc.key] for entry in entries],
      auroc,
    ),
    *(f'{value:.2f}' for value in paper or ()),
    *(() if paper else ('-', '-')),
  ]
  return f'| {" | ".join(cells)} |'


def _gains(
  of_dataset: Mapping[str, Mapping[int, Mapping[str, Any]]], name: str
) -> list[float | None]:
  """AUROC less that of the full F, for each seed that has both."""
  full = of_dataset.get('full', {})
  if name == 'full':
    return []
  return [
    None if None in pair else pair[0] - pair[1]
    for pair in (
      [
        one['failure']['fsnet']['pooled']['auroc']
        for one in (entry, full[seed])
      ]
      for seed, entry in of_dataset[name].items()
      if seed in full
    )
  ]
