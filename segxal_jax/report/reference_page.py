"""The references as one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsnet_jax.report import templates
from fsnet_jax.report.table import Table


def page(
  content: Mapping[str, Any],
  tables: Sequence[Table],
  curves: Sequence[tuple[str, bytes]],
) -> str:
  """Renders the page.

  Args:
    content: of `reference.content`.
    tables: of `reference_tables.all_tables`.
    curves: data set and PNG file.

  Returns:
    The HTML file, with style and pictures inside.
  """
  facts = dict(content['environment'])
  html = templates.template('reference.html', Path(__file__).parent)
  return html.render(
    name=facts.pop('config_name', 'unnamed run'),
    command=facts.pop('command', None),
    facts=_described(content) | {k: str(v) for k, v in facts.items()},
    tables=tables,
    curves=[(name, templates.data_url(file)) for name, file in curves],
  )


def _described(content: Mapping[str, Any]) -> dict[str, str]:
  """What was run."""
  config = content['config']
  reference = config['reference']
  network = config['segmentation']['name']
  return {
    'Network': f'{network}, width {config["width"]:g}',
    'Data': str(config['data']['name']),
    'Seeds': ', '.join(map(str, reference['seeds'])),
    'Folds': str(reference['folds']),
    'Updates of a training': f'{config["phase1_steps"]:,}',
  }
