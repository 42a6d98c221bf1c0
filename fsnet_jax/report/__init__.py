"""Reports: metrics and example images in, files that a person reads out.

`write_report` leaves metrics.json (layout in `schema`), report.html and the
plots; `text_table` is the short form for a terminal; `failure_overlay` draws
one failure map for TensorBoard. Needs numpy, matplotlib, Pillow and jinja2;
jax is not imported.
"""

from fsnet_jax.report.figures.examples import (
  Example,
  example_panel,
  example_sheet,
  failure_overlay,
)
from fsnet_jax.report.metrics_json import write_metrics_json
from fsnet_jax.report.schema import SCHEMA, validate
from fsnet_jax.report.text import text_table
from fsnet_jax.report.write import write_report

__all__ = [
  'SCHEMA',
  'Example',
  'example_panel',
  'example_sheet',
  'failure_overlay',
  'text_table',
  'validate',
  'write_metrics_json',
  'write_report',
]
