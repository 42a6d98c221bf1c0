"""The report as one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsnet_jax.report.pages import templates
from segxal_jax.queries.error_counts import AREA
from segxal_jax.report import (
  across_runs,
  error_shares,
  paper_numbers,
  person_time,
)

_UNDEFINED = '\N{EM DASH}'


def percent(value: float | None, digits: int = 2) -> str:
  """A fraction in percent, or a dash."""
  return _UNDEFINED if value is None else f'{100 * value:.{digits}f}'


def render(
  metrics: Mapping[str, Any],
  facts: Mapping[str, str],
  pictures: Mapping[str, bytes],
) -> str:
  """Renders the report.

  Args:
    metrics: of `metrics_json.metrics`.
    facts: title and value of what the header states.
    pictures: WebP or PNG files: 'curves', and by caption those of the images.

  Returns:
    The HTML file with style and pictures inside.
  """
  pictures = dict(pictures)
  near = _near(metrics)
  html = templates.template('run_page.html', Path(__file__).parent)
  return html.render(
    name=metrics['environment'].get('config_name', 'unnamed run'),
    command=metrics['environment'].get('command'),
    facts=facts,
    stopped=metrics['stopped'],
    datasets=list(metrics['datasets']),
    rate=person_time.rate(metrics['config']['oracle']['secs_a_click']),
    near=[across_runs.near_title(meters) for meters in near.values()],
    cycles=[_cycle_row(entry, near) for entry in metrics['cycles']],
    areas=_areas(metrics),
    error_shares=_error_shares(metrics['cycles']),
    class_tables=[_class_table(metrics, name) for name in metrics['datasets']],
    curves=templates.data_url(pictures.pop('curves')),
    pictures=templates.data_urls(pictures, 'webp'),
    table_1=paper_numbers.TABLE_1,
    table_2=_table_2(metrics),
    table_3=paper_numbers.TABLE_3,
    config=templates.fields(metrics['config']),
    environment=[
      (key, value)
      for key, value in metrics['environment'].items()
      if key not in ('config_name', 'command')
    ],
  )


def _near(metrics: Mapping[str, Any]) -> dict[str, float | None]:
  """By data set what is near there; see `across_runs.near_meters`."""
  return {
    name: across_runs.near_meters([metrics['cycles']], name)
    for name in metrics['datasets']
  }


def _cycle_row(
  entry: Mapping[str, Any], near: Mapping[str, float | None]
) -> dict[str, Any]:
  """A line of the table of cycles.

  Args:
    entry: of `metrics_json.metrics`.
    near: of `_near`.
  """
  labelled = entry['training_labels']
  cost = entry['cost']
  answers = entry['answers']
  return {
    'cycle': entry['cycle'],
    'labelled': entry['labelled_images'],
    'share': percent(entry['labelled_images'] / entry['pool_images'], 1),
    'images': f'{cost["images"]:,}',
    'pixels': f'{cost["pixels"]:,}',
    'clicks': f'{cost["clicks"]:,}',
    'time': [
      person_time.shown(entry['time'][name])
      for name in ('measured', 'estimated')
    ],
    'label_errors': percent(_ratio(labelled['wrong'], labelled['pixels'])),
    'mious': [
      (
        percent(measured['segmentation']['miou']),
        percent(across_runs.near_miou(measured, near[name])),
      )
      for name, measured in entry['datasets'].items()
    ],
    'validation': percent(
      entry['validation']['segmentation']['miou']
      if entry['validation']
      else None
    ),
    'asked': len(entry['asked']) or _UNDEFINED,
    'accepted': entry['accepted'] if entry['asked'] else _UNDEFINED,
    'dice': percent(entry['dice'], 1),
    'answer_errors': percent(_ratio(answers['wrong'], answers['pixels'])),
  }


def _error_shares(
  cycles: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
  """Columns and rows of the table; None where nothing is known."""
  known = [entry for entry in cycles if entry['error_shares']]
  if not known:
    return None
  names = [
    name
    for name in error_shares.TITLES
    if all(name in entry['error_shares']['maps'] for entry in known)
  ]
  rows = []
  for entry in known:
    shares = entry['error_shares']
    asked = shares['asked']
    rows.append(
      {
        'cycle': entry['cycle'],
        'images': shares['images'],
        'values': [percent(shares['maps'][name], 1) for name in names],
        'asked': percent(asked['errors'], 1),
        'area': percent(asked['area'], 1),
      }
    )
  titles = [error_shares.TITLES[name] for name in names]
  return {'maps': titles, 'rows': rows, 'area': percent(AREA, 0)}


def _ratio(part: int, whole: int) -> float | None:
  return part / whole if whole else None


def _areas(metrics: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
  return [
    (name, [percent(value) for value in by_unit.values()])
    for name, by_unit in metrics['curves'].items()
  ]


def _table_2(metrics: Mapping[str, Any]) -> dict[str, Any]:
  """The paper's mIoU by cycle, and ours on the first data set."""
  first = next(iter(metrics['datasets']))
  ours = [
    percent(entry['datasets'][first]['segmentation']['miou'])
    for entry in metrics['cycles']
  ]
  length = max(5, len(ours))
  rows: list[dict[str, Any]] = [
    {'name': f'This run, {first}', 'ours': True, 'values': ours},
    *(
      {
        'name': f'Paper, {mode}, Cityscapes',
        'ours': False,
        'values': [f'{value:.2f}' for value in values],
      }
      for mode, values in paper_numbers.TABLE_2.items()
    ),
  ]
  for row in rows:
    row['values'] += [''] * (length - len(row['values']))
  return {'cycles': list(range(1, length + 1)), 'rows': rows}


def _class_table(metrics: Mapping[str, Any], name: str) -> dict[str, Any]:
  """IoU of each class after each cycle."""
  by_cycle = [
    entry['datasets'][name]['segmentation']['iou']
    for entry in metrics['cycles']
  ]
  colors = templates.class_colors(metrics)
  return {
    'dataset': name,
    'cycles': [entry['cycle'] for entry in metrics['cycles']],
    'rows': [
      {
        'name': class_name,
        'color': colors.get(class_name),
        'ious': [percent(iou[class_name], 1) for iou in by_cycle],
        'bar': None
        if by_cycle[-1][class_name] is None
        else round(100 * by_cycle[-1][class_name], 1),
      }
      for class_name in by_cycle[-1]
    ],
  }
