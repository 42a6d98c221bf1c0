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
  cells: Mapping[str, Sequence[Mapping[str, Any]]], network: str
) -> str:
  """The table in Markdown, a block for each data set.

  Args:
    cells: `metrics.json` of each finished seed, by variant.
    network: `fcn8` or `deeplab_v2`, whose columns of the paper are shown;
      the paper has none for others.

  Returns:
    FSNet's measures, mean ± standard deviation over seeds, with the error
    rate of S (the joint phase trains S too, so it differs between variants)
    and the paper's in-distribution AP-Err and AUROC.
  """
  shown = [measures.BY_KEY[key] for key in _SHOWN]
  paper = FSNET_TABLE_IV_CITYSCAPES.get(network, {})
  titles = [measure.title for measure in shown]
  lines = []
  first = next(iter(cells.values()))[0]
  for place, dataset in enumerate(first['datasets']):
    lines += [
      f'{network}, {dataset}',
      '',
      f'| variant | seeds | error rate | {" | ".join(titles)} | paper: AP-Err '
      '| paper: AUROC |',
      '|' + '---|' * (len(shown) + 5),
    ]
    for name, runs in cells.items():
      entries = [run['datasets'][dataset] for run in runs]
      # The paper's in-distribution numbers stand beside ours alone.
      theirs = None if place else paper.get(name)
      lines.append(_row(name, entries, shown, theirs))
    lines.append('')
  lines.append(
    "The paper's numbers are of Cityscapes, in distribution, at 256x512; only "
    'their order can be compared. `-`: none to compare with.'
  )
  return '\n'.join(lines) + '\n'


def _row(
  name: str,
  entries: Sequence[Mapping[str, Any]],
  shown: Sequence[measures.Measure],
  paper: tuple[float, float] | None,
) -> str:
  rate = measures.BY_KEY['base_error_rate']
  cells = [
    _TITLES.get(name, name),
    str(len(entries)),
    mean_and_spread([e['segmentation'][rate.key] for e in entries], rate),
    *(
      mean_and_spread(
        [e['failure']['fsnet']['pooled'][measure.key] for e in entries],
        measure,
      )
      for measure in shown
    ),
    *(f'{value:.2f}' for value in paper or ()),
    *(() if paper else ('-', '-')),
  ]
  return f'| {" | ".join(cells)} |'
