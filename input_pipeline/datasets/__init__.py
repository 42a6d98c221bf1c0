"""Data sets by name: one line of `DATASETS` and one module each.

The protocol of such a module is in `base`; docs/datasets.md shows how to add
one.
"""

from __future__ import annotations

import importlib
import re

from input_pipeline.datasets.base import DataRequest, Source
from input_pipeline.datasets.prepared import skipped_files
from input_pipeline.errors import UserError

__all__ = ['DATASETS', 'DataRequest', 'Source', 'open_source', 'skipped_files']

# Name in a spec to the module that opens it, imported when it is asked for.
DATASETS = {
  'bdd100k': 'input_pipeline.datasets.bdd100k',
  'camvid': 'input_pipeline.datasets.camvid',
  'cityscapes': 'input_pipeline.datasets.cityscapes',
  'idd_lite': 'input_pipeline.datasets.idd_lite',
  'mapillary_vistas': 'input_pipeline.datasets.mapillary_vistas',
  'streets': 'input_pipeline.datasets.streets',
}

_SPEC = re.compile(r'\w+(/(?P<variant>[\w+.-]+))?(:(?P<split>\w+))?')


def open_source(spec: str, request: DataRequest) -> Source:
  """Opens `<dataset>[/<variant>][:<split>]`, preparing it if needed.

  Args:
    spec: for example 'streets/fog:test', 'camvid/0016E5:train', 'cityscapes'.
      What it leaves out is the data set's default.
    request: size, folders and what to do about damaged files.

  Returns:
    Random access to the scenes.

  Raises:
    UserError: an unknown data set, variant or split, a missing folder, a
      damaged file.
  """
  name = re.split('[/:]', spec)[0]
  if name not in DATASETS:
    raise UserError(
      f'unknown data set {name!r} in {spec!r}; there are {", ".join(DATASETS)}'
    )
  module = importlib.import_module(DATASETS[name])
  match = _SPEC.fullmatch(spec)
  if match is None:
    raise UserError(f'data set {spec!r} cannot be read; write {module.SPECS}')
  return module.open_source(
    match['variant'] or '', match['split'] or '', request
  )
