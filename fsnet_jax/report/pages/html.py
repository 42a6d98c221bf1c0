"""The report as one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.metrics.resampling_units import LEAST_IMAGES
from fsnet_jax.report import measures, paper_numbers, promises, schema, summary
from fsnet_jax.report.pages import cells, detail_tables, templates

_VERDICTS: Mapping[str, str] = {
  'ahead': 'FSNet ahead',
  'behind': 'FSNet behind',
  'level': 'level',
  'mixed': 'mixed',
  'open': 'no comparison',
}


def render_html(
  metrics: Mapping[str, Any],
  plots: Mapping[str, bytes],
  examples: Mapping[str, bytes],
) -> str:
  """Renders the report.

  Args:
    metrics: a valid metrics dictionary.
    plots: PNG files "risk_coverage" and "detectors".
    examples: a WebP file for each data set that has example pictures.

  Returns:
    The HTML file, with style and pictures inside and no reference to the
    network.
  """
  datasets = metrics['datasets']
  colors = templates.class_colors(metrics)
  return templates.template('report.html').render(
    run=_run(metrics),
    summaries=[_summary(name, entry) for name, entry in datasets.items()],
    failure_columns=measures.FAILURE_MEASURES,
    pooled=_failure_table(datasets, 'pooled'),
    certified=summary.certified(datasets),
    difference_columns=[
      measures.BY_KEY[key] for key in measures.DIFFERENCES_SHOWN
    ],
    differences=[
      _difference_table(name, entry)
      for name, entry in datasets.items()
      if len(entry['failure']) > 1 and 'msp' in entry['failure']
    ],
    reference=measures.detector_title('msp'),
    to_best=detail_tables.best_baselines(datasets),
    compared=detail_tables.compared(datasets),
    regions=detail_tables.regions(datasets),
    predicted=detail_tables.predicted_classes(datasets, colors),
    class_macro=_failure_table(datasets, 'class_macro'),
    segmentation_columns=measures.SEGMENTATION_MEASURES,
    segmentation=_segmentation_table(datasets),
    risks=[_risk_table(name, entry) for name, entry in datasets.items()],
    budgets=[
      _budget_table(name, entry)
      for name, entry in datasets.items()
      if all('caught_at_budget' in d for d in entry['failure'].values())
    ],
    classes=[
      _class_table(name, entry, colors) for name, entry in datasets.items()
    ],
    plots=templates.data_urls(plots),
    examples=templates.data_urls(examples, 'webp'),
    promises=[
      (name, promises.sentence(entry['calibrated']))
      for name, entry in datasets.items()
      if entry.get('calibrated')
    ],
    paper_rows=_paper_rows(),
    undefined=measures.UNDEFINED,
    schema_version=schema.SCHEMA,
  )


def _paper_rows() -> list[dict[str, Any]]:
  """Returns what the paper prints of FCN8's two detectors that all have."""
  return [
    {
      'dataset': paper_numbers.DATASETS[dataset],
      'detector': measures.detector_title(name),
      'values': [
        measures.UNDEFINED if value is None else f'{value:.2f}'
        for value in rows[name]
      ],
    }
    for dataset, rows in paper_numbers.TABLE_III['fcn8'].items()
    for name in ('fsnet', 'msp')
  ]


def _run(metrics: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what was run: name, command, facts and the whole config."""
  environment = dict(metrics['environment'])
  config = metrics['config']
  name = environment.pop('config_name', None) or config.get('name')
  return {
    'name': name or _name_from_fields(config),
    'task': config.get('task'),
    'date': environment.pop('date'),
    'device': environment.pop('device'),
    'command': environment.pop('command', None),
    'facts': list(environment.items()),
    'config': templates.fields(config),
    'detectors': list(
      dict.fromkeys(
        title
        for dataset in metrics['datasets'].values()
        for title in measures.detector_titles(dataset['failure']).values()
      )
    ),
    'images': sum(d['images'] for d in metrics['datasets'].values()),
  }


def _name_from_fields(config: Mapping[str, Any]) -> str:
  """Returns a name for a run whose config file is not known."""
  data = config.get('data')
  parts = [
    config.get('task'),
    data.get('name') if isinstance(data, Mapping) else None,
  ]
  return ' on '.join(str(part) for part in parts if part) or 'unnamed run'


def _summary(name: str, dataset: Mapping[str, Any]) -> dict[str, str]:
  """Returns the plain words for one data set."""
  words = summary.summarize(dataset)
  return {
    'dataset': name,
    'verdict': words.verdict,
    'verdict_title': _VERDICTS[words.verdict],
    'headline': words.headline,
    'text': words.text,
  }


def _failure_table(
  datasets: Mapping[str, Any], group: str
) -> list[dict[str, Any]]:
  """Returns a table of failure measures, the detectors by data set."""
  return [
    {
      'dataset': name,
      'error_rate': measures.format_percent(
        dataset['segmentation']['base_error_rate']
      ),
      'pixel_acc': measures.format_percent(
        dataset['segmentation']['pixel_acc']
      ),
      'rows': [
        {
          'detector': measures.detector_title(
            detector, dataset['failure'][detector]
          ),
          'classes': _defined_classes(dataset, detector, group),
          'cells': numbers,
        }
        for detector, numbers in zip(
          dataset['failure'],
          cells.row_cells(
            [entry[group] for entry in dataset['failure'].values()],
            measures.FAILURE_MEASURES,
          ),
        )
      ],
    }
    for name, dataset in datasets.items()
  ]


def _difference_table(name: str, dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Returns one data set's differences to MSP, with intervals."""
  drawn = summary.units_drawn(dataset)
  return {
    'dataset': name,
    'drawn': drawn,
    'problem': '' if drawn else summary.why_no_interval(dataset),
    'few_sequences': _few_sequences(dataset),
    'rows': [
      {
        'detector': measures.detector_title(detector, entry),
        'cells': [
          cells.interval_cell(
            (entry.get('difference_to_msp') or {}).get(key), key
          )
          for key in measures.DIFFERENCES_SHOWN
        ],
      }
      for detector, entry in dataset['failure'].items()
      if drawn and detector != 'msp'
    ],
  }


def _few_sequences(dataset: Mapping[str, Any]) -> int:
  """Returns how many sequences there are, if too few to be drawn, else 0."""
  count = dataset.get('sequences', 1)
  drawn = summary.units_drawn(dataset)
  return count if drawn.endswith('images') and 1 < count < LEAST_IMAGES else 0


def _defined_classes(
  dataset: Mapping[str, Any], detector: str, group: str
) -> str | None:
  """Says how many classes stand behind a detector's class mean."""
  counts = dataset['failure'][detector].get('class_macro_classes', {})
  if group != 'class_macro' or 'auroc' not in counts:
    return None
  return (
    f'AUROC: {counts["auroc"]} of {len(dataset["segmentation"]["iou"])} classes'
  )


def _segmentation_table(datasets: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Returns the table of the segmentation network.

  Nothing is marked as best: data sets do not compete.
  """
  return [
    {
      'dataset': name,
      'images': f'{dataset["images"]:,}',
      'pixels': f'{dataset["pixels"]:,}',
      'cells': [
        cells.cell(dataset['segmentation'].get(column.key), column)
        for column in measures.SEGMENTATION_MEASURES
      ],
    }
    for name, dataset in datasets.items()
  ]


def _risk_table(name: str, dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the numbers behind one panel of the risk-coverage plot.

  The mean over classes stands below, where the file has it.
  """
  curves = {}
  for key, suffix in (
    ('risk_at_coverage', ''),
    ('risk_at_coverage_class_macro', ', mean over classes'),
  ):
    for detector, entry in dataset['failure'].items():
      if key in entry:
        curves[measures.detector_title(detector, entry) + suffix] = entry[key]
  coverages = sorted({c for risks in curves.values() for c in risks}, key=float)
  return {
    'dataset': name,
    'coverages': [f'{100 * float(coverage):g}%' for coverage in coverages],
    'rows': [
      {
        'detector': title,
        'risks': [
          measures.UNDEFINED
          if (risk := risks.get(coverage)) is None
          else f'{100 * risk:.2f}'
          for coverage in coverages
        ],
      }
      for title, risks in curves.items()
    ],
  }


def _budget_table(name: str, dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the share of errors that a review of some pixels would catch."""
  caught = {
    measures.detector_title(detector, entry): entry['caught_at_budget']
    for detector, entry in dataset['failure'].items()
  }
  budgets = sorted({b for shares in caught.values() for b in shares}, key=float)
  return {
    'dataset': name,
    'budgets': [f'{100 * float(budget):g}%' for budget in budgets],
    'rows': [
      {
        'detector': title,
        'shares': [measures.format_percent(shares[b]) for b in budgets],
      }
      for title, shares in caught.items()
    ],
  }


def _class_table(
  name: str, dataset: Mapping[str, Any], colors: Mapping[str, str]
) -> dict[str, Any]:
  """Returns the per-class table of one data set.

  A column stands only where the file has its numbers: share of pixels,
  accuracy and the AUROC of each detector are optional keys.
  """
  detectors = [
    detector
    for detector, entry in dataset['failure'].items()
    if 'per_class' in entry
  ]
  pixels = _class_pixels(dataset, detectors)
  total = sum(pixels.values())
  return {
    'dataset': name,
    'detectors': [
      measures.detector_title(detector, dataset['failure'][detector])
      for detector in detectors
    ],
    'has_share': bool(total),
    'has_accuracy': 'class_acc' in dataset['segmentation'],
    'rows': [
      {
        'name': class_name,
        'color': colors.get(class_name),
        'share': measures.format_percent(
          pixels.get(class_name, 0) / total if total else None
        ),
        **_class_cells(class_name, dataset, detectors),
      }
      for class_name in dataset['segmentation']['iou']
    ],
  }


def _class_cells(
  class_name: str, dataset: Mapping[str, Any], detectors: Sequence[str]
) -> dict[str, Any]:
  """Returns IoU, accuracy and the detectors' AUROC of one class."""
  segmentation = dataset['segmentation']
  iou = segmentation['iou'][class_name]
  accuracy = segmentation.get('class_acc', {}).get(class_name)
  aurocs = [
    dataset['failure'][detector]['per_class'].get(class_name, {}).get('auroc')
    for detector in detectors
  ]
  auroc = measures.BY_KEY['auroc']
  return {
    'iou': cells.cell(iou, measures.BY_KEY['miou']),
    'iou_percent': None if iou is None else round(100 * iou, 1),
    'accuracy': cells.cell(accuracy, measures.BY_KEY['cls_acc']),
    'aurocs': [
      cells.cell(value, auroc, best)
      for value, best in zip(aurocs, measures.best_in_column(aurocs, auroc))
    ],
  }


def _class_pixels(
  dataset: Mapping[str, Any], detectors: Sequence[str]
) -> Mapping[str, int]:
  """Returns the labelled pixels of each class, empty where not known.

  Every detector judges the same pixels, so any of them can tell.
  """
  if 'class_pixels' in dataset:
    return dataset['class_pixels']
  if not detectors:
    return {}
  per_class = dataset['failure'][detectors[0]]['per_class']
  return {
    name: measured['pixels']
    for name, measured in per_class.items()
    if 'pixels' in measured
  }
