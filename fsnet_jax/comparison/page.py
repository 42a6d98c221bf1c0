"""The comparison as one HTML file that needs nothing beside it."""

import base64
import pathlib
from collections.abc import Mapping
from typing import Any

import jinja2

from fsnet_jax import report
from fsnet_jax.comparison import paper
from fsnet_jax.comparison.tables import NETWORKS, Table


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
  folders = [
    pathlib.Path(__file__).parent,
    pathlib.Path(report.__file__).parent,
  ]
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(folders),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template('page.html').render(
    content=content,
    network=NETWORKS.get(content['network'], content['network']),
    facts=dict(content['environment']),
    tables=tables,
    pictures={name: _data_url(file) for name, file in pictures.items()},
    risk_notes=paper.CAVEATS_RISK,
  )


def _data_url(file: bytes) -> str:
  return 'data:image/png;base64,' + base64.b64encode(file).decode('ascii')
