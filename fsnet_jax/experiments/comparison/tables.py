"""The tables of a comparison: cells as text, ready for any renderer."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.config.names import ELSEWHERE
from fsnet_jax.experiments.comparison import paper_tables
from fsnet_jax.metrics.resampling_units import LEAST_IMAGES
from fsnet_jax.report import ablation_table, measures, paper_numbers
from fsnet_jax.report.pages.table import Cell, Table

#: The paper's four, and what newer work asks for.
# A mean over images too, as the paper's is.
_MEAN = measures.BY_KEY['fpr95_error']
SHOWN = (
  'ap_error',
  'ap_success',
  'auroc',
  'fpr95_error',
  'aurc',
  'augrc',
  'coverage_at_5_risk',
  'ece',
)
_DIFFERENCES = ('auroc', 'fpr95_error', 'ap_error', 'ap_success', 'augrc')
_PAPER_FIRST = (
  'synthcp',
  'mc_dropout',
  'mc_dropout_synthcp',
  'msp',
  'direct',
  'tcp',
  'tcp_synthcp',
)
_PERCENT = measures.BY_KEY['auroc']


def number(stat: Mapping[str, Any], measure: measures.Measure) -> str:
  """`mean ± deviation` of a `merge.spread`, scaled; a dash if not defined."""
  mean = measures.format_value(stat['mean'], measure)
  if stat['std'] is None:
    return mean
  return f'{mean} ± {measures.format_value(stat["std"], measure)}'


def ordered(names: Sequence[str]) -> list[str]:
  """Detectors as the paper orders them, FSNet last, others between."""

  def place(name: str) -> tuple[int, int, int]:
    base = name.removesuffix('_msp')
    if base == 'fsnet':
      return (2, 0, -len(name))
    if base in _PAPER_FIRST:
      return (0, _PAPER_FIRST.index(base), len(name))
    return (1, list(names).index(name), 0)

  return sorted(names, key=place)


def all_tables(content: Mapping[str, Any]) -> dict[str, Table]:
  """Every table of a comparison.

  Args:
    content: of `compare.json`.

  Returns:
    By name: `segmentation` (Table II), `failure` (Table III), `class_macro`,
    `differences`, `segments`, `costs`, `published`, and `ablation` (Table IV)
    if a variant is finished.
  """
  tables = {
    'segmentation': segmentation_table(content),
    'failure': failure_table(content, 'pooled'),
    'class_macro': failure_table(content, 'class_macro'),
    'differences': differences_table(content),
    'segments': segments_table(content),
    'costs': costs_table(content),
    'published': published_table(content['network']),
  }
  if content.get('ablation'):
    tables['ablation'] = ablation_table.table(
      content['ablation'], content['network']
    )
  return tables


def _seeds(content: Mapping[str, Any]) -> str:
  count = len(content['seeds'])
  return f'{count} seed{"s" if count > 1 else ""}'


def _network(content: Mapping[str, Any]) -> str:
  return measures.network_title(content['network'])


def segmentation_table(content: Mapping[str, Any]) -> Table:
  """Table II: S by itself and with F, our numbers and the paper's."""
  keys = ('miou', 'cls_acc', 'miou_image_mean', 'cls_acc_image_mean')
  shown = [measures.BY_KEY[key] for key in (*keys, 'pixel_acc')]
  papers = _papers(content)
  blocks = []
  for dataset, entry in content['datasets'].items():
    theirs = paper_numbers.TABLE_II.get(content['network'], {}).get(
      papers.get(dataset, ''), (None, None)
    )
    rows = []
    states = (('S alone (phase 1)', 'alone'), ("FSNet's S (joint)", 'fsnet'))
    if content['network'] in ELSEWHERE:
      states = (('S as it was given', 'fsnet'),)
    for (title, key), published in zip(states, theirs):
      rival = entry['segmentation']['fsnet' if key == 'alone' else 'alone']
      row = [Cell(title)]
      for measure in shown:
        mine = entry['segmentation'][key][measure.key]
        marks = measures.best_in_column(
          [mine['mean'], rival[measure.key]['mean']], measure
        )
        row.append(Cell(number(mine, measure), marks[0]))
      row += [
        Cell('–' if value is None else f'{value:.2f}', theirs=True)
        for value in published or (None, None)
      ]
      rows.append(row)
    blocks.append((_heading(dataset, entry, papers), rows))
  titles = [measure.title for measure in shown]
  return Table(
    f'Table II. Segmentation, {_network(content)}, {_seeds(content)}',
    ['S', *titles, *_published_heads(('mIOU', 'Cls-Acc'), papers)],
    blocks,
    paper_tables.CAVEATS_II,
  )


def _heading(
  dataset: str, entry: Mapping[str, Any], papers: Mapping[str, str]
) -> str:
  """What stands above a data set's rows, with whose numbers are beside."""
  rate = measures.BY_KEY['base_error_rate']
  error = number(entry['segmentation']['fsnet']['base_error_rate'], rate)
  whose = papers.get(dataset)
  theirs = f'; paper: {paper_tables.title(whose)}' if whose else ''
  return (
    f'{dataset}: {entry["images"]} images, base error rate {error} %{theirs}'
  )


def _papers(content: Mapping[str, Any]) -> dict[str, str]:
  """By data set of ours, the paper's whose numbers stand beside it.

  Data that the paper does not have get its in-distribution numbers beside the
  first data set, which is ours, and none beside the rest.
  """
  if content['network'] not in paper_numbers.TABLE_III:
    return {}
  found = {}
  for place, dataset in enumerate(content['datasets']):
    key = paper_tables.dataset_key(dataset) or (None if place else 'cityscapes')
    if key is not None:
      found[dataset] = key
  return found


def _published_heads(
  titles: Sequence[str], papers: Mapping[str, str]
) -> list[str]:
  """Heads of the paper's columns, with the data set where there is but one."""
  shown = {paper_tables.title(key) for key in papers.values()}
  whose = f' ({shown.pop()})' if len(shown) == 1 else ''
  return [f'paper{whose}: {title}' for title in titles]


def failure_table(content: Mapping[str, Any], group: str) -> Table:
  """Table III: every detector, with the paper's numbers if `pooled`."""
  shown = [measures.BY_KEY[key] for key in SHOWN]
  pooled = group == 'pooled'
  papers = _papers(content) if pooled else {}
  blocks = []
  for dataset, entry in content['datasets'].items():
    names = ordered(list(entry['failure']))
    marks = {
      measure.key: measures.best_in_column(
        [entry['failure'][n][group][measure.key]['mean'] for n in names],
        measure,
      )
      for measure in shown
    }
    theirs = paper_numbers.TABLE_III.get(content['network'], {}).get(
      papers.get(dataset, ''), {}
    )
    rows = []
    for index, name in enumerate(names):
      values = entry['failure'][name][group]
      row = [Cell(content['methods'][name]['title'])]
      row += [
        Cell(number(values[m.key], m), marks[m.key][index]) for m in shown
      ]
      if pooled:
        mean = [entry['failure'][n]['image_mean'][_MEAN.key] for n in names]
        best = measures.best_in_column([one['mean'] for one in mean], _MEAN)
        row.append(Cell(number(mean[index], _MEAN), best[index]))
        published = theirs.get(paper_tables.row_of(name, tuple(names)) or '')
        row += _published_cells(published)
      rows.append(row)
    blocks.append((_heading(dataset, entry, papers), rows))
  columns = ['Method', *(measure.title for measure in shown)]
  aggregation = 'pooled over pixels' if pooled else 'mean over true classes'
  if pooled:
    columns.append(f'{_MEAN.title}/image')
    columns += _published_heads(('AP-Err', 'AP-Suc', 'AUC', 'FPR95'), papers)
  return Table(
    f'Table III. Failure detection, {_network(content)}, {aggregation}, '
    f'{_seeds(content)}',
    columns,
    blocks,
    paper_tables.caveats_iii(content['config']['fit']['tcp']['input'])
    if pooled
    else (),
  )


def _published_cells(row: paper_numbers.Failure | None) -> list[Cell]:
  return [
    Cell('–' if value is None else f'{value:.2f}', theirs=True)
    for value in row or (None,) * 4
  ]


def differences_table(content: Mapping[str, Any]) -> Table:
  """How far the reference is ahead of every other detector, and how surely."""
  shown = [measures.BY_KEY[key] for key in _DIFFERENCES]
  reference = content['methods'][content['reference']]['title']
  blocks = []
  for dataset, entry in content['datasets'].items():
    rows = []
    for name in ordered(list(entry['differences'])):
      row = [Cell(content['methods'][name]['title'])]
      for measure in shown:
        interval = entry['differences'][name][measure.key]
        row.append(_interval_cell(interval, measure))
      rows.append(row)
    errors = [entry['resolution_error'][measure.key] for measure in shown]
    cells = [
      Cell(measures.format_value(error, measure, digits=3))
      for error, measure in zip(errors, shown)
    ]
    rows.append([Cell('resolved to'), *cells])
    blocks.append((f'{dataset}: {entry["images"]} images', rows))
  return Table(
    f'{reference} less each method, with 95 % intervals, {_seeds(content)}',
    [f'{reference} less', *(measure.title for measure in shown)],
    blocks,
    (
      'Paired bootstrap over images: both methods see the same draws, and '
      'all seeds too, whose mean is shown. Bold: the interval leaves 0 out '
      f'and {reference} is the better one; †: and it is the worse one.',
      'The interval holds the choice of images, not of seeds: n/m behind it '
      f'says in how many seeds {reference} is the better one. Below '
      f'{LEAST_IMAGES} images, too few to draw from, there is none.',
      'Draws are ranked in about 1000 ranges of score: the last row of each '
      'data set says by how much, at most, that moves a number of any method.',
    ),
  )


def _interval_cell(
  interval: Mapping[str, Any] | None, measure: measures.Measure
) -> Cell:
  if interval is None:
    return Cell(measures.UNDEFINED)
  outcome = measures.outcome(interval, measure)
  mark = ' †' if outcome == 'worse' else ''
  gaps = interval['seeds']
  ahead = sum(gap < 0 if measure.lower_is_better else gap > 0 for gap in gaps)
  shown = f' {ahead}/{len(gaps)}' if len(gaps) > 1 else ''
  text = measures.format_interval(interval, measure)
  return Cell(f'{text}{mark}{shown}', outcome == 'better')


def segments_table(content: Mapping[str, Any]) -> Table:
  """Errors as segments, and errors caught, at fixed review budgets."""
  keys = ('siou', 'ppv', 'f1')
  first = next(iter(content['datasets'].values()))
  budgets = list(next(iter(first['failure'].values()))['caught_at_budget'])
  blocks = []
  for dataset, entry in content['datasets'].items():
    names = ordered(list(entry['failure']))
    columns = [
      [entry['segments'][name][budget][key] for name in names]
      for budget in budgets
      for key in keys
    ]
    columns += [
      [entry['failure'][name]['caught_at_budget'][b] for name in names]
      for b in budgets
    ]
    marks = [
      measures.best_in_column([stat['mean'] for stat in column], _PERCENT)
      for column in columns
    ]
    # The share that was flagged is no merit.
    columns += [
      [entry['segments'][name][b]['flagged'] for name in names] for b in budgets
    ]
    marks += [[False] * len(names) for _ in budgets]
    rows = [
      [
        Cell(content['methods'][name]['title']),
        *(
          Cell(number(column[index], _PERCENT), best[index])
          for column, best in zip(columns, marks)
        ),
      ]
      for index, name in enumerate(names)
    ]
    blocks.append((dataset, rows))
  shares = [f'{100 * float(budget):g} %' for budget in budgets]
  heads = [f'{t} {s}' for s in shares for t in ('sIoU', 'PPV', 'F1')]
  heads += [f'{title} {s}' for title in ('caught', 'flagged') for s in shares]
  return Table(
    f'Segments and caught errors by review budget, {_seeds(content)}',
    ['Method', *heads],
    blocks,
    (
      'Segments: 8-connected components as SegmentMeIfYouCan scores them, '
      'F1 averaged over limits 0.25 to 0.75; the given share of the labelled '
      'pixels of each image is to be flagged. On the images that '
      'compare.segment_images chose.',
      'Caught: share of all errors among the given share of all pixels of '
      'the data set.',
      'Flagged: the share that the segments are really of. Pixels of one score '
      'are flagged together, so a map of few values flags more than the others '
      '(a constant one everything), or less.',
    ),
  )


def costs_table(content: Mapping[str, Any]) -> Table:
  """What each method takes to train beyond the S that all need."""
  rows = []
  base = content['costs'].get('segmentation')
  if base:
    rows.append([Cell('S itself (all methods)'), *_cost_cells(base)])
  for name in ordered(list(content['methods'])):
    method = content['methods'][name]
    cost = content['costs'].get(method['cost'] or '')
    cells = [Cell('0'), Cell('0'), Cell('0')]
    if method['cost']:
      cells = _cost_cells(cost) if cost else [Cell(measures.UNDEFINED)] * 3
    rows.append([Cell(method['title']), *cells])
  return Table(
    f'Training cost beyond S, mean of {_seeds(content)}',
    ['Method', 'further trainings of S', 'seconds', 'images'],
    [('', rows)],
    (
      'Wall time with compilation on the machine named above; images that '
      'went through a training step, each time counted. Methods that share '
      'the k-fold failure data set are each charged the whole of it. '
      'Temperature scaling looks once at the validation images.',
    ),
  )


def _cost_cells(cost: Mapping[str, float]) -> list[Cell]:
  return [
    Cell(f'{cost["trainings_of_s"]:g}'),
    Cell(f'{cost["seconds"]:,.0f}'),
    Cell(f'{cost["images"]:,.0f}'),
  ]


def published_table(network: str) -> Table:
  """The paper's own Table III of a network, for orientation."""
  blocks = [
    (
      paper_numbers.DATASETS[dataset],
      [
        [Cell(paper_tables.TITLES[name], theirs=True), *_published_cells(row)]
        for name, row in rows.items()
      ],
    )
    for dataset, rows in paper_numbers.TABLE_III.get(network, {}).items()
  ]
  return Table(
    f'As the paper printed Table III, {measures.network_title(network)}',
    ['Method', 'AP-Err', 'AP-Suc', 'AUC', 'FPR95'],
    blocks,
    (
      'SynthCP on BDD100K with FCN8: its AUC cannot be read in the source '
      'that was at hand.',
    ),
  )
