"""Segmentation networks from elsewhere: ONNX files, stored logits, functions.

  open_network('onnx', 'model.onnx', classes)         -> OnnxNetwork
  open_network('logits', 'FOLDER', classes)           -> LogitsFolder
  open_network('python', 'module:function', classes)  -> PythonNetwork

All are `protocol.ExternalNetwork`: (images uint8 [b h w 3]) -> logits float32
[b h w c] and features float32 [b fh fw k] or None. They run outside JAX, on
numpy arrays, as a stage between the loader and the jitted program
(`stage.with_outputs`, `stage.WithLogits`), with a cache on disk (`cache`).
`check` says what is wrong with how one is fed, before anything is trained.
"""

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from input_pipeline.external.logits_folder import LogitsFolder
from input_pipeline.external.onnx_model.onnx_file import OnnxNetwork
from input_pipeline.external.protocol import (
  ExternalNetwork,
  ExternalOutput,
  Notes,
)
from input_pipeline.external.python_function import PythonNetwork

__all__ = [
  'NAMES',
  'ExternalNetwork',
  'ExternalOutput',
  'LogitsFolder',
  'Notes',
  'OnnxNetwork',
  'PythonNetwork',
  'open_network',
]
NAMES = ('onnx', 'logits', 'python')


def open_network(
  name: str,
  path: str,
  classes: ClassTable,
  *,
  threads: int = 0,
  provider: str = 'cpu',
  image_size: tuple[int, int] = (256, 512),
) -> OnnxNetwork | LogitsFolder | PythonNetwork:
  """Opens a segmentation network from elsewhere.

  Args:
    name: of `NAMES`.
    path: of the ONNX file or the folder, or `module:function`.
    classes: of the data, which the logits are of.
    threads: of onnxruntime; 0 = all of the machine.
    provider: of onnxruntime, 'cpu' or 'cuda'.
    image_size: on which a function is tried.

  Raises:
    UserError: it is missing or is not what it should be; the sentence says
      what to change.
  """
  if name not in NAMES:
    raise UserError(
      f'config.segmentation.name is {quoted(name, 40)!r}; use one of '
      f'{", ".join(NAMES)}'
    )
  if not path:
    kind = {'onnx': 'the .onnx file', 'logits': 'the folder of the logits'}
    raise UserError(
      f'config.segmentation.path is empty; give '
      f'{kind.get(name, "module:function")}'
    )
  if name == 'python':
    return PythonNetwork(path, classes, image_size=image_size)
  if name == 'logits':
    return LogitsFolder(expanded(path), classes)
  return OnnxNetwork(
    expanded(path), classes, threads=threads, provider=provider
  )
