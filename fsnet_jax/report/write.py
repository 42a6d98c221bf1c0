"""Writes a report folder."""

import io
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from common_lib.files import remove_leftovers, write_bytes
from fsnet_jax.report import measures, metrics_json, schema
from fsnet_jax.report.figures import examples as example_pictures
from fsnet_jax.report.pages import html as html_report
from fsnet_jax.report.pages import templates


def write_report(
  report_dir: str | os.PathLike[str],
  metrics: Mapping[str, Any],
  examples: Mapping[str, Sequence[example_pictures.Example]],
) -> list[pathlib.Path]:
  """Writes metrics.json, report.html and the pictures of a run.

  Args:
    report_dir: the folder; made if it is not there. Files of an earlier
      report are replaced, or removed.
    metrics: see `schema.validate`.
    examples: example images by data set; a data set without any may be left
      out. Each example carries a failure map of at least one of the data
      set's detectors; those it carries are shown.

  Returns:
    The files written: metrics.json, report.html, risk_coverage.png,
    detectors.png and one examples_<data set>.png for each data set with
    examples.

  Raises:
    ValueError: metrics of the wrong layout, or examples of a data set or
      without a detector that the metrics know. Nothing is written then.
  """
  # matplotlib's figures, for which no image should wait.
  from fsnet_jax.report.figures import plots

  schema.validate(metrics)
  sheets = {
    name: Image.fromarray(_sheet(name, group, metrics))
    for name, group in examples.items()
    if group
  }
  pictures = {
    'risk_coverage': plots.to_png(plots.risk_coverage_figure(metrics)),
    'detectors': plots.to_png(plots.detectors_figure(metrics)),
  }
  html = html_report.render_html(
    metrics, pictures, {name: _webp(sheet) for name, sheet in sheets.items()}
  )
  report_dir = pathlib.Path(report_dir)
  report_dir.mkdir(parents=True, exist_ok=True)
  files = {f'{name}.png': png for name, png in pictures.items()}
  for sheet, name in zip(sheets.values(), file_names(sheets)):
    files[f'examples_{name}.png'] = _encode(sheet, 'png')
  _remove_examples(report_dir, keep=files)
  metrics_json.write_metrics_json(report_dir / 'metrics.json', metrics)
  for name, content in {'report.html': html.encode(), **files}.items():
    write_bytes(report_dir / name, content)
  return [report_dir / name for name in ('metrics.json', 'report.html', *files)]


def _remove_examples(report_dir: pathlib.Path, keep: Iterable[str]) -> None:
  """Removes pictures of an earlier report that has other data sets."""
  names = {path.name for path in report_dir.glob('examples_*.png')}
  names |= {
    path.name[1:].rpartition('.')[0]
    for path in report_dir.glob('.examples_*.png.*')
  }
  for name in names.difference(keep):
    remove_leftovers(report_dir, name)
    (report_dir / name).unlink(missing_ok=True)


def file_names(datasets: Iterable[str]) -> list[str]:
  """Returns a name for each data set that is safe as part of a file name.

  Args:
    datasets: names such as `streets/fog:test`.

  Returns:
    The names with everything but letters, digits, `.`, `-` and `_` replaced
    by `_`; a number is added where two would be equal (also on file systems
    that ignore case).
  """
  names, taken = [], set()
  for dataset in datasets:
    name = safe = re.sub(r'[^A-Za-z0-9.-]+', '_', dataset)
    number = 2
    while name.lower() in taken:
      name, number = f'{safe}_{number}', number + 1
    taken.add(name.lower())
    names.append(name)
  return names


def _sheet(
  dataset: str,
  examples: Sequence[example_pictures.Example],
  metrics: Mapping[str, Any],
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Draws the examples of one data set with the detectors that they carry."""
  if dataset not in metrics['datasets']:
    raise ValueError(
      f'Examples of {dataset!r}, which the metrics do not contain.'
    )
  failure = metrics['datasets'][dataset]['failure']
  detectors = [
    name
    for name in failure
    if any(name in example.failure for example in examples)
  ]
  if not detectors:
    raise ValueError(
      f'Examples of {dataset!r} carry a failure map of none of its detectors:'
      f' {", ".join(failure)}.'
    )
  return example_pictures.example_sheet(
    examples,
    detectors,
    titles=measures.detector_titles(failure),
    classes=templates.class_table_of(metrics),
  )


def _webp(sheet: Image.Image) -> bytes:
  """Returns a sheet at a quarter of its PNG's size, to stand in the page."""
  return _encode(sheet, 'webp', quality=90, method=2)


def _encode(sheet: Image.Image, kind: str, **settings: int) -> bytes:
  """Returns a picture as a file of the given kind."""
  buffer = io.BytesIO()
  sheet.save(buffer, format=kind, **settings)
  return buffer.getvalue()
