"""The tables of the baselines, with what was published beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report.pages.table import Cell, Table
from segxal_jax.pool import stratified_folds
from segxal_jax.report import across_runs, paper_numbers

_COLUMNS = (
  'labelled',
  'runs',
  'images',
  'mIoU',
  'STD over classes',
  'paper: mIoU',
  'paper: mean of class IoUs',
  'paper: STD',
  "DEAL's figure: Random",
)
_NOTES = (
  'mIoU and STD in %: mean ± sample deviation over the runs, which are seeds, '
  'or folds. STD over classes is what the paper calls STD: the deviation of '
  'the class IoUs of one run.',
  'Every training takes the same number of updates, whatever its share, unless '
  'reference.full_steps gives those on the whole pool their own.',
  'A fold is stratified by the dominant rare class of its images and not by '
  'drive: frames of one drive are on both sides, so the fold that is held out '
  'is easier than a test set of other streets.',
)
_CAVEATS = (
  'Published numbers are of Cityscapes: another data set and protocol unless '
  'the config names the same.',
  'The paper\'s row at 40 % is its "Random", that of the whole pool its "Fully '
  'supervised"; it reports no share in between. Its Random agrees with the one '
  "that DEAL published. DEAL's figure is read off to about 0.15: DeepLabV3+ on "
  'MobileNetV2 at 688x688.',
)


def all_tables(content: Mapping[str, Any]) -> list[Table]:
  """mIoU by share; IoU by class for each data set; the paper's figure 7.

  Args:
    content: of `baselines.content`.
  """
  datasets = content['datasets']
  overview = Table(
    f'Labels against quality, {_after(content)}',
    _COLUMNS,
    [(_name(name), [_row(r) for r in rows]) for name, rows in datasets.items()],
    (*_NOTES, *_CAVEATS),
  )
  classes = [_classes(name, rows) for name, rows in datasets.items()]
  return [overview, *classes, _figure_7()]


def _after(content: Mapping[str, Any]) -> str:
  cycles = content['config']['reference']['cycles']
  if not cycles:
    return 'without queries'
  return f'after {cycles} {"query" if cycles == 1 else "queries"}'


def _name(dataset: str) -> str:
  """How a table calls a data set."""
  if dataset == stratified_folds.HELD_OUT:
    return 'the fold held out (each image of the pool once)'
  return dataset


def _row(row: Mapping[str, Any]) -> list[Cell]:
  images = f'{row["images"]:,.0f}'
  return [
    Cell(row['title']),
    Cell(str(len(row['runs']))),
    Cell(f'{images} of {row["pool_images"]:,.0f}'),
    Cell(across_runs.cell(row['miou'])),
    Cell(across_runs.cell(row['class_std'])),
    *_published(row),
  ]


def _published(row: Mapping[str, Any]) -> list[Cell]:
  """The paper's row of the same share, and DEAL's."""
  methods = {method.method: method for method in paper_numbers.TABLE_1}
  whole = row['folds'] or row['title'] == '100 %'
  theirs = {'40 %': methods['Random']}.get(row['title'])
  theirs = methods['Fully supervised'] if whole else theirs
  texts = [across_runs.UNDEFINED] * 3
  if theirs:
    values = (theirs.miou, theirs.class_mean, theirs.std)
    texts = [f'{value:.2f}' for value in values]
  # Read off a figure: not more digits than can be seen.
  deal = {
    f'{percent} %': f'{miou:.1f}'
    for percent, miou in paper_numbers.DEAL_RANDOM.items()
  }
  texts.append(deal.get(row['title'], across_runs.UNDEFINED))
  return [Cell(text, theirs=True) for text in texts]


def _classes(dataset: str, rows: Sequence[Mapping[str, Any]]) -> Table:
  """A line for each class, a column for each row of the first table."""
  lines = [
    [
      Cell(str(name)),
      *(Cell(across_runs.percent(row['iou'].get(name))) for row in rows),
    ]
    for name in rows[0]['iou']
  ]
  return Table(
    f'IoU by class in %, mean over runs, {_name(dataset)}',
    ['class', *(row['title'] for row in rows)],
    [('', lines)],
    ('A dash: the class does not occur.',),
  )


def _figure_7() -> Table:
  lines = [
    [Cell(mode, theirs=True), *(Cell(f'{v:.2f}', theirs=True) for v in values)]
    for mode, values in paper_numbers.FIGURE_7.items()
  ]
  return Table(
    'As the paper printed its figure 7: mIoU after the fifth cycle, by the '
    'share labelled at the start',
    ['mode', '10 %', '40 %'],
    [('', lines)],
    (
      'The same here: reference.cycles=5. Its numbers at 40 % are also those '
      'of its table 2 after the fifth cycle, where the first has 20.7 to 24.2.',
    ),
  )
