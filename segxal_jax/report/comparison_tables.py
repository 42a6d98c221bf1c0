"""Methods against each other as tables and as one page, the paper's beside."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report.pages.table import Cell, Table
from segxal_jax.queries.error_counts import AREA, Counts
from segxal_jax.report import (
  across_runs,
  curves,
  paper_numbers,
  person_time,
)
from segxal_jax.report import error_shares as shares
from segxal_jax.report.pages import tables_page

Rows = Sequence[Mapping[str, Any]]

# Methods of the shipped comparisons that table 1 has too.
_IN_TABLE_1 = {
  'Random': 'Random',
  'Entropy': 'Entropy',
  'Core-set': 'Core-set',
  'DEAL': 'DEAL',
  'SegXAL': 'SegXAL, pseudo-labels',
}
_INTRODUCTION = (
  'Every method begins with the same labelled images of each seed and queries '
  'images of the same random subsets of the pool.'
)

# What the pool itself is called among methods.
POOL = 'the pool'


def of_dataset(rows: Rows, dataset: str) -> list[Table]:
  """Budgets, paired tests and classes on one test set.

  Args:
    rows: of `comparison.table`.
    dataset: its name, for the headings.
  """
  return [
    _budgets(rows, dataset),
    _leads(rows, dataset),
    _near(rows, dataset),
    _classes(rows, dataset),
  ]


def _budgets(rows: Rows, dataset: str) -> Table:
  columns = [
    'method',
    'seeds',
    'mIoU at the end',
    *(f'area by {axis}' for axis in curves.AXES),
    *curves.UNITS,
    'time measured',
    'time estimated',
    's a training',
    's a query',
  ]
  cells = [
    [
      row['title'],
      str(len(row['seeds'])),
      across_runs.cell(row['miou']),
      *(across_runs.cell(row[f'area_by_{axis}']) for axis in curves.AXES),
      *(f'{row["cost"][unit]:,.0f}' for unit in curves.UNITS),
      *(person_time.shown(row['time'][n]) for n in ('measured', 'estimated')),
      *(_seconds(row['seconds'][name]) for name in ('train', 'query')),
    ]
    for row in rows
  ]
  notes = (
    'mIoU in %: mean ± sample deviation over seeds. Area: mean mIoU over the '
    'budget, by what was paid or by the size of the labelled pool, which '
    'grows even where an oracle costs nothing. Time: of people, as Label '
    'Studio measured it, and an estimate of the clicks that nobody measured, '
    'at config.oracle.secs_a_click.',
  )
  title = f'What was learnt for what was paid, {dataset}'
  return Table(title, columns, [('', _cells(cells))], notes)


def _leads(rows: Rows, dataset: str) -> Table:
  cells = [
    [row['title'], *(_lead(row['lead'][axis]) for axis in curves.AXES)]
    for row in rows
    if row['lead'] is not None
  ]
  notes = (
    'Difference of the areas over the budget that both spent, in % mIoU: mean '
    "± 95 % interval, seeds ahead, two-sided p of Student's paired test.",
  )
  return Table(
    f'Lead over {rows[0]["title"]}, {dataset}',
    ['method', *(f'by {axis}' for axis in curves.AXES)],
    [('', _cells(cells))],
    notes,
  )


def _near(rows: Rows, dataset: str) -> Table:
  """What proximity is for."""
  cells = [
    [
      row['title'],
      across_runs.cell(row['near']['miou']),
      across_runs.cell(row['miou']),
      _lead(row['near']['lead']),
    ]
    for row in rows
  ]
  near = across_runs.near_title(rows[0]['near']['meters'])
  notes = (
    'mIoU in % after the last cycle, mean ± sample deviation over seeds; the '
    'difference is paired by seed: mean ± 95 % interval, seeds ahead, '
    "two-sided p of Student's test. A dash: the data set has no depth.",
  )
  return Table(
    f'Pixels {near}, {dataset}',
    [
      'method',
      f'mIoU {near}',
      'of all pixels',
      f'lead over {rows[0]["title"]}',
    ],
    [('', _cells(cells))],
    notes,
  )


def _classes(rows: Rows, dataset: str) -> Table:
  """In the layout of the paper's table 1."""
  names = list(rows[0]['iou'])
  printed = {method.method: method for method in paper_numbers.TABLE_1}
  cells = []
  for row in rows:
    ours = [
      Cell(row['title']),
      *(Cell(across_runs.percent(row['iou'].get(name))) for name in names),
      Cell(across_runs.cell(row['miou'])),
      Cell(across_runs.cell(row['class_std'])),
    ]
    theirs = printed.get(_IN_TABLE_1.get(row['title'], ''))
    pair = (theirs.miou, theirs.std) if theirs else (None, None)
    cells.append([*ours, *(_printed(value) for value in pair)])
  heads = [*map(str, names), 'mIoU', 'STD', 'paper: mIoU', 'paper: STD']
  notes = (
    'IoU in % after the last cycle, mean over seeds. STD: deviation over the '
    'class IoUs of a run, which is what the paper calls STD. Its numbers are '
    'of Cityscapes, U-Net at 256x512 and 40 % of the images; its SegXAL here '
    'is the one with pseudo-labels.',
  )
  title = f'Table 1. IoU of each class, {dataset}'
  return Table(title, ['method', *heads], [('', cells)], notes)


def error_shares(counts: Mapping[str, Counts]) -> list[Table]:
  """Where errors lay in the images that each method asked about.

  Args:
    counts: by title of the method.

  Returns:
    One table; none if no method had errors that are known.
  """
  known = {name: found for name, of in counts.items() if (found := of.shares())}
  names = [
    name
    for name in shares.TITLES
    if any(name in found['maps'] for found in known.values())
  ]
  cells = [
    [
      title,
      str(found['images']),
      *(across_runs.percent(found['maps'].get(name)) for name in names),
      across_runs.percent(found['asked']['errors']),
      across_runs.percent(found['asked']['area']),
    ]
    for title, found in known.items()
  ]
  area = across_runs.percent(AREA, 0)
  notes = (
    f'Errors of the prediction within the {area} % of an image where a map is '
    f'highest, in % of all errors: {area} is chance. Of the images that each '
    'method asked about, all cycles and seeds together; the method decides '
    'which images these are. Beside them the asked regions with their area.',
  )
  heads = [shares.TITLES[name] for name in names]
  table = Table(
    'What the maps know of the errors',
    ['method', 'images', *heads, shares.ASKED, 'their area'],
    [('', _cells(cells))],
    notes,
  )
  return [table] if known else []


def asked_sequences(
  asked: Mapping[str, Mapping[str, float]],
) -> list[Table]:
  """Of which clip, city or domain the images are that each method asked about.

  Args:
    asked: by title of the method, shares by name of the sequence; those of the
      pool under `POOL`.

  Returns:
    One table; none without shares.
  """
  names = sorted({name for own in asked.values() for name in own})
  cells = [
    [title, *(across_runs.percent(own.get(name, 0.0)) for name in names)]
    for title, own in asked.items()
  ]
  notes = (
    'Share of the images in %, of all cycles and seeds together but for the '
    'seed set.',
  )
  table = Table(
    'What was asked about', ['method', *names], [('', _cells(cells))], notes
  )
  return [table] if asked else []


def published() -> list[Table]:
  """Tables 1 and 3 as the paper printed them."""
  methods = [
    [
      Cell(one.method, theirs=True),
      *map(_printed, (one.miou, one.class_mean, one.std)),
    ]
    for one in paper_numbers.TABLE_1
  ]
  masks = [
    [Cell(mode, theirs=True), *map(_printed, values)]
    for mode, values in paper_numbers.TABLE_3.items()
  ]
  return [
    Table(
      'As the paper printed Table 1',
      ['method', 'mIoU', 'mean of the class IoUs', 'STD'],
      [('', methods)],
      (
        "SegXAL's mIoU is not the mean of the class IoUs printed beside it, "
        'and the rows above it agree with those that DEAL published for '
        'another network and size.',
      ),
    ),
    Table(
      'As the paper printed Table 3, mIoU',
      ['oracle', 'whole mask', 'without entropy', 'without Grad-CAM'],
      [('', masks)],
    ),
  ]


def page(
  content: Mapping[str, Any],
  tables: Sequence[Table],
  figures: Mapping[str, bytes],
) -> str:
  """One HTML file that needs nothing beside it.

  Args:
    content: of `comparison.json`.
    tables: of `of_dataset` and `published`.
    figures: PNG of the curves, by data set.
  """
  config = content['config']
  return tables_page.page(
    tables_page.Words(
      kicker='Active-learning strategies compared',
      introduction=_INTRODUCTION,
      caption='of each method; the band or bar is the deviation over seeds',
      files='comparison.json',
      markdown='comparison.md',
    ),
    content,
    {'Oracle': config['oracle']['kind'], 'Rule': config['selection']['rule']},
    tables,
    list(figures.items()),
  )


def _cells(rows: Sequence[Sequence[str]]) -> list[list[Cell]]:
  return [[Cell(text) for text in row] for row in rows]


def _printed(value: float | None) -> Cell:
  text = across_runs.UNDEFINED if value is None else f'{value:.2f}'
  return Cell(text, theirs=True)


def _seconds(value: float | None) -> str:
  return across_runs.UNDEFINED if value is None else f'{value:.1f}'


def _lead(lead: Mapping[str, Any] | None) -> str:
  if lead is None:
    return across_runs.UNDEFINED
  text = f'{100 * lead["mean"]:+.2f}'
  if lead['half_width'] is None:
    return f'{text} (one seed)'
  text += f' ± {100 * lead["half_width"]:.2f}'
  text += f', {lead["ahead"]} of {lead["seeds"]}'
  return text if lead['p_value'] is None else f'{text}, p {lead["p_value"]:.2g}'
