"""Tables and learning curves as one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fsnet_jax.report.pages import templates
from fsnet_jax.report.pages.table import Table


class Words(NamedTuple):
  """The text of a page around its tables.

  Attributes:
    kicker: above the title.
    introduction: one paragraph.
    caption: of a figure, after "mIoU on <data set> ".
    files: the file with the same numbers for programs.
    markdown: the file with the same tables in Markdown.
  """

  kicker: str
  introduction: str
  caption: str
  files: str
  markdown: str


def page(
  words: Words,
  content: Mapping[str, Any],
  described: Mapping[str, str],
  tables: Sequence[Table],
  curves: Sequence[tuple[str, bytes]],
) -> str:
  """Renders the page.

  Args:
    words: around the tables.
    content: `config` and `environment` of the run.
    described: facts of this kind of run, beside network, data and updates.
    tables: in order.
    curves: data set and PNG file.

  Returns:
    The HTML file, with style and pictures inside.
  """
  config, facts = content['config'], dict(content['environment'])
  network = config['segmentation']['name']
  updates = f'{config["phase1_steps"]:,}'
  if config.get('steps_per_image'):
    updates += f' and {config["steps_per_image"]:,} for each labelled image'
  ours = {
    'Network': f'{network}, width {config["width"]:g}',
    'Data': str(config['data']['name']),
    'Updates of a training': updates,
  }
  html = templates.template('tables_page.html', Path(__file__).parent)
  return html.render(
    words=words,
    name=facts.pop('config_name', 'unnamed run'),
    command=facts.pop('command', None),
    facts=ours | dict(described) | {k: str(v) for k, v in facts.items()},
    tables=tables,
    curves=[(name, templates.data_url(file)) for name, file in curves],
  )
