"""Data sets by name: one line of `DATASETS` and one module each.

The protocol of such a module is in `base`; docs/guide/datasets.md shows how to
add one.
"""

from __future__ import annotations

import importlib
import re

from common_lib.errors import UserError
from input_pipeline import class_mapping, corruptions
from input_pipeline.datasets.base import DataRequest, Source
from input_pipeline.datasets.prepared import skipped_files

__all__ = [
  'DATASETS',
  'DataRequest',
  'Source',
  'dataset_of',
  'has_depth',
  'open_source',
  'skipped_files',
]

# Name in a spec to the module that opens it, imported when it is asked for.
DATASETS = {
  'bdd100k': 'input_pipeline.datasets.bdd100k',
  'camvid': 'input_pipeline.datasets.camvid',
  'cityscapes': 'input_pipeline.datasets.cityscapes',
  'folder': 'input_pipeline.datasets.folder',
  'idd_lite': 'input_pipeline.datasets.idd_lite',
  'mapillary_vistas': 'input_pipeline.datasets.mapillary.vistas',
  'street_views': 'input_pipeline.datasets.street_views',
  'streets': 'input_pipeline.datasets.streets',
}

_SPEC = re.compile(r'\w+(/(?P<variant>[\w+.-]+))?(:(?P<split>\w+))?')


def dataset_of(spec: str) -> str:
  """The name of the data set that a spec begins with."""
  return re.split('[/:@]', spec)[0]


def has_depth(spec: str, request: DataRequest) -> bool:
  """Whether a data set's scenes carry depth where a request asks for it.

  Args:
    spec: as `open_source` takes it; False for one that it refuses.
    request: folders.
  """
  name = dataset_of(spec)
  if name not in DATASETS:
    return False
  module = importlib.import_module(DATASETS[name])
  known = getattr(module, 'has_depth', None)
  return known is not None and known(request)


def open_source(spec: str, request: DataRequest) -> Source:
  """Opens `<dataset>[/<variant>][:<split>][@<corruption>]`.

  The data set is prepared if needed; corruptions (`corruptions.CORRUPTIONS`
  with a severity) are painted over its images when they are read.

  Args:
    spec: for example 'streets/fog:test', 'camvid/0016E5:train', 'cityscapes',
      'camvid/0006R0@fog3'.
      What it leaves out is the data set's default.
    request: size, folders and what to do about damaged files.

  Returns:
    Random access to the scenes, labels in the classes of `request.classes`.

  Raises:
    UserError: an unknown data set, variant, split or corruption, a missing
      folder, a damaged file, a class table that lacks a trainId.
  """
  spec, at, corruption = spec.partition('@')
  if at:
    corruptions.parse(corruption)
    return corruptions.corrupted(open_source(spec, request), corruption)
  name = dataset_of(spec)
  if name not in DATASETS:
    raise UserError(
      f'unknown data set {name!r} in {spec!r}; there are {", ".join(DATASETS)}'
    )
  module = importlib.import_module(DATASETS[name])
  match = _SPEC.fullmatch(spec)
  if match is None:
    raise UserError(f'data set {spec!r} cannot be read; write {module.SPECS}')
  arguments = match['variant'] or '', match['split'] or '', request
  if getattr(module, 'READS_CLASS_TABLE', False):
    return module.open_source(*arguments)
  # Before anything is prepared.
  indices = class_mapping.class_of_train_id(request.classes, name)
  return class_mapping.mapped(module.open_source(*arguments), indices, name)
