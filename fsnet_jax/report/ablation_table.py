"""Table IV of the paper, ours beside its own: what each part of F is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report import measures
from fsnet_jax.report.pages.table import Cell, Table
from fsnet_jax.report.paper_numbers import TABLE_IV_CITYSCAPES
from fsnet_jax.report.seeds import mean_and_spread

#: Metrics of every cell that is finished, by variant and seed.
Cells = Mapping[str, Mapping[int, Mapping[str, Any]]]

_SHOWN = ('ap_error', 'ap_success', 'auroc', 'fpr95_error')
_RATE = measures.BY_KEY['base_error_rate']
_AUROC = measures.BY_KEY['auroc']
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
  'literal': 'as printed',
  'skips': 'skips',
  'four_scale': 'four scales',
  'skips_residual': 'skips, correcting MSP',
  'four_scale_residual': 'four scales, correcting MSP',
  'skips_residual_pos_weight': 'skips, correcting MSP, one-sided beta',
  'skips_residual_unweighted': 'skips, correcting MSP, beta 1/2',
  'robust': 'mean of networks (phase 3)',
  'robust_no_joint': 'the mean without the joint F',
  'robust_no_flip': 'the mean without the flip',
  'light': 'per-pixel networks alone, no flip',
  'light_no_centering': 'the same without centring',
  'light_no_colorless': 'the same without the colorless one',
  'robust_clean': 'the mean, clean images alone',
  'robust_near': 'the mean, mix near',
  'robust_far': 'the mean, mix far',
}
_NOTES = (
  'Mean ± sample standard deviation over seeds. The joint phase trains S too, '
  'so each variant has an S of its own: its error rate and the AUROC of its '
  'MSP stand beside it, and FSNet less MSP is paired by seed, with the seeds '
  'in which FSNet is ahead.',
  "The paper's numbers are of Cityscapes, in distribution, at 256x512; only "
  'their order can be compared.',
)


def summary(cells: Cells) -> dict[str, Any]:
  """What the table shows, seed by seed.

  Args:
    cells: `metrics.json` of each finished cell.

  Returns:
    By variant: `seeds`, and for each of `datasets` a list over those seeds of
    `base_error_rate`, of FSNet's measures by their keys, of `msp_auroc`, of
    `auroc_less_msp` and of `auroc_less_full`, the gain on the variant `full`
    of the same seed; None where a value is not defined.
  """
  full = cells.get('full', {})
  return {
    name: {
      'seeds': list(runs),
      'datasets': {
        dataset: _over_seeds(
          [run['datasets'][dataset] for run in runs.values()],
          [_auroc(full[s], dataset) if s in full else None for s in runs],
        )
        for dataset in next(iter(runs.values()))['datasets']
      },
    }
    for name, runs in cells.items()
  }


def _auroc(run: Mapping[str, Any], dataset: str) -> float | None:
  return run['datasets'][dataset]['failure']['fsnet']['pooled'][_AUROC.key]


def _over_seeds(
  entries: Sequence[Mapping[str, Any]], full: Sequence[float | None]
) -> dict[str, list[float | None]]:
  """One variant on one data set; `full` holds the AUROC of the full F."""
  pooled = [entry['failure']['fsnet']['pooled'] for entry in entries]
  msp = [entry['failure']['msp']['pooled'][_AUROC.key] for entry in entries]
  own = [one[_AUROC.key] for one in pooled]
  return {
    _RATE.key: [entry['segmentation'][_RATE.key] for entry in entries],
    **{key: [one[key] for one in pooled] for key in _SHOWN},
    'msp_auroc': msp,
    'auroc_less_msp': _less(own, msp),
    'auroc_less_full': _less(own, full),
  }


def _less(
  one: Sequence[float | None], other: Sequence[float | None]
) -> list[float | None]:
  return [None if a is None or b is None else a - b for a, b in zip(one, other)]


def table(found: Mapping[str, Any], network: str) -> Table:
  """The table, a block of rows for each data set.

  Args:
    found: of `summary`, at least one variant.
    network: `fcn8` or `deeplab_v2`, whose columns of the paper are shown;
      the paper has none for others.

  Returns:
    FSNet's measures, its AUROC against the MSP of the same S and against the
    full F of the same seeds, and the paper's AP-Err and AUROC beside the
    first data set, which is ours in distribution.
  """
  paper = TABLE_IV_CITYSCAPES.get(network, {})
  datasets = next(iter(found.values()))['datasets']
  blocks = [
    (
      dataset,
      [
        _row(name, entry, dataset, None if place else paper.get(name))
        for name, entry in found.items()
      ],
    )
    for place, dataset in enumerate(datasets)
  ]
  columns = (
    'variant',
    'seeds',
    'error rate',
    *(measures.BY_KEY[key].title for key in _SHOWN),
    'AUROC of MSP',
    'AUROC less MSP',
    'AUROC less all',
    'paper (Cityscapes): AP-Err',
    'paper (Cityscapes): AUROC',
  )
  return Table(
    f'Table IV. Variants of FSNet, {measures.network_title(network)}',
    columns,
    blocks,
    _NOTES,
  )


def _row(
  name: str,
  entry: Mapping[str, Any],
  dataset: str,
  paper: tuple[float, float | None] | None,
) -> list[Cell]:
  values = entry['datasets'][dataset]
  texts = [
    str(len(entry['seeds'])),
    mean_and_spread(values[_RATE.key], _RATE),
    *(mean_and_spread(values[k], measures.BY_KEY[k]) for k in _SHOWN),
    mean_and_spread(values['msp_auroc'], _AUROC),
    _lead(values['auroc_less_msp']),
    _gain(values['auroc_less_full']) if name != 'full' else '',
  ]
  theirs = [
    '–' if value is None else f'{value:.2f}' for value in paper or (None, None)
  ]
  return [
    Cell(_TITLES.get(name, name)),
    *map(Cell, texts),
    *(Cell(text, theirs=True) for text in theirs),
  ]


def _lead(gaps: Sequence[float | None]) -> str:
  """FSNet less MSP, and in how many seeds it leads."""
  if None in gaps or len(gaps) < 2:
    return _signed(gaps)
  ahead = sum(gap > 0 for gap in gaps if gap is not None)
  return f'{_signed(gaps)}, {ahead}/{len(gaps)}'


def _gain(gaps: Sequence[float | None]) -> str:
  """The gain on the full F, of the seeds that have both."""
  known = [gap for gap in gaps if gap is not None]
  return _signed(known) if known else measures.UNDEFINED


def _signed(gaps: Sequence[float | None]) -> str:
  text = mean_and_spread(gaps, _AUROC)
  return text if text[0] in ('-', measures.UNDEFINED) else f'+{text}'
