"""The comparison as one HTML file that needs nothing beside it."""

import pathlib
from collections.abc import Mapping
from typing import Any

from fsnet_jax.experiments.comparison import paper_tables
from fsnet_jax.report import measures
from fsnet_jax.report.pages import templates
from fsnet_jax.report.pages.table import Table


def render(
  content: Mapping[str, Any],
  tables: Mapping[str, Table],
  pictures: Mapping[str, bytes],
) -> str:
  """Renders the page.

  Args:
    content: of `compare.json`.
    tables: of `tables.all_tables`.
    pictures: PNG files `risk_coverage`, `risk_coverage_class_macro`,
      `detectors` and, where there is one, `qualitative`.

  Returns:
    The HTML file, with style and pictures inside.
  """
  facts = dict(content['environment'])
  page = templates.template('page.html', pathlib.Path(__file__).parent)
  return page.render(
    content=content,
    network=measures.network_title(content['network']),
    command=facts.pop('command', None),
    facts=facts,
    tables=tables,
    pictures=templates.data_urls(pictures),
    risk_notes=paper_tables.CAVEATS_RISK,
  )
