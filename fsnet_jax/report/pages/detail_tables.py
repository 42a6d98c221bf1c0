"""Tables of where a detector stands: against the best baseline, and where."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report import measures, schema
from fsnet_jax.report.pages import cells

_SHOWN = tuple(
  measures.BY_KEY[key] for key in ('auroc', 'fpr95_error', 'ap_error')
)
_AUROC = measures.BY_KEY['auroc']
_REGIONS = {
  'boundary': 'boundary',
  'interior': 'interior',
  'small_objects': 'small objects',
}
# A difference of so much has the full colour.
_HOTTEST = 0.1
# Colours of `base.css`.
_HEATS = 4


def best_baselines(datasets: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Rows of FSNet's differences to the best baselines.

  Args:
    datasets: of `metrics.json`.

  Returns:
    A row for each data set; none where no data set has an interval.
  """
  rows = []
  for name, dataset in datasets.items():
    failure = dataset['failure']
    found = failure.get('fsnet', {}).get(schema.TO_BEST) or {}
    if not any(found.values()):
      continue
    titles = measures.detector_titles(failure)
    rows.append(
      {
        'dataset': name,
        'cells': [
          cells.interval_cell(found.get(key), key)
          | {
            'baseline': titles[found[key]['baseline']] if found.get(key) else ''
          }
          for key in measures.DIFFERENCES_SHOWN
        ],
      }
    )
  return rows


def compared(datasets: Mapping[str, Any]) -> dict[str, Any]:
  """The detectors and measures of the tables below.

  Args:
    datasets: of `metrics.json`.

  Returns:
    `titles` of the first detector and of MSP, and `measures`.
  """
  failure = next(iter(datasets.values()))['failure']
  titles = measures.detector_titles(failure)
  return {
    'titles': [titles[name] for name in _compared(failure)],
    'measures': _SHOWN,
  }


def _compared(failure: Mapping[str, Any]) -> list[str]:
  first = next(iter(failure))
  return [first, 'msp'] if 'msp' in failure and first != 'msp' else [first]


def regions(datasets: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Blocks of rows by region, one for each data set that knows them.

  Args:
    datasets: of `metrics.json`.
  """
  return [
    {
      'dataset': name,
      'rows': [
        {'region': title, **_row(dataset, 'by_region', region)}
        for region, title in _REGIONS.items()
      ],
    }
    for name, dataset in _with(datasets, 'by_region')
  ]


def predicted_classes(
  datasets: Mapping[str, Any], colors: Mapping[str, str]
) -> list[dict[str, Any]]:
  """Tables by predicted class, one for each data set that knows them.

  Args:
    datasets: of `metrics.json`.
    colors: of classes, by name.

  Returns:
    The tables; classes that are predicted nowhere are left out.
  """
  return [
    {
      'dataset': name,
      'rows': [
        {
          'name': title,
          'color': colors.get(title),
          **_row(dataset, 'per_predicted_class', title),
          'gain': _gain(dataset['failure'], title),
        }
        for title, entry in _first(dataset)['per_predicted_class'].items()
        if entry.get('pixels')
      ],
    }
    for name, dataset in _with(datasets, 'per_predicted_class')
  ]


def _first(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
  return next(iter(dataset['failure'].values()))


def _with(
  datasets: Mapping[str, Any], group: str
) -> list[tuple[str, Mapping[str, Any]]]:
  """The data sets whose compared detectors all have a group."""
  return [
    (name, dataset)
    for name, dataset in datasets.items()
    if all(
      dataset['failure'][detector].get(group)
      for detector in _compared(dataset['failure'])
    )
  ]


def _row(
  dataset: Mapping[str, Any], group: str, name: str
) -> dict[str, Sequence[Any]]:
  """Shares and measures of the pixels of a region or class."""
  failure = dataset['failure']
  entries = [failure[one][group].get(name, {}) for one in _compared(failure)]
  everything = _first(dataset)['pooled']
  numbers = []
  for measure in _SHOWN:
    values = [entry.get(measure.key) for entry in entries]
    best = measures.best_in_column(values, measure)
    numbers += [cells.cell(*one) for one in zip(values, [measure] * 2, best)]
  return {
    'shares': [
      _share(entries[0].get('pixels'), everything.get('pixels')),
      measures.format_percent(entries[0].get('base_error_rate')),
      _share(entries[0].get('errors'), everything.get('errors')),
    ],
    'cells': numbers,
  }


def _share(part: int | None, whole: int | None) -> str:
  known = part is not None and whole
  return measures.format_percent(part / whole if known else None)


def _gain(failure: Mapping[str, Any], name: str) -> dict[str, Any] | None:
  """The first detector's AUROC less MSP's, and its colour."""
  pair = _compared(failure)
  if len(pair) < 2:
    return None
  first, other = (
    failure[one]['per_predicted_class'].get(name, {}).get(_AUROC.key)
    for one in pair
  )
  if first is None or other is None:
    return {'text': measures.UNDEFINED, 'kind': ''}
  gained = first - other
  strength = min(round(_HEATS * abs(gained) / _HOTTEST), _HEATS)
  return {
    'text': f'{round(gained * _AUROC.scale, 2) + 0.0:+.2f}',
    'kind': f'{"gain" if gained > 0 else "loss"}{strength}' if strength else '',
  }
