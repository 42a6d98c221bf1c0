"""Puts `fsnet_monitor.py` beside an exported ONNX file.

That file needs numpy and onnxruntime alone, so that both can be copied into a
tree that knows nothing of this package.
"""

import hashlib
from pathlib import Path

from common_lib.files import write_bytes

NAME = 'fsnet_monitor.py'
# Before the digest of what follows, by which a changed file is known.
_HEADER = '# Written by fsnet_jax --mode=export; sha256 of the rest: '


def write(folder: Path) -> str:
  """Writes the file, unless somebody has changed the one that is there.

  Args:
    folder: of the ONNX file.

  Returns:
    What was done, in a sentence.
  """
  path, wanted = folder / NAME, _content()
  found = path.read_bytes() if path.is_file() else b''
  if found == wanted:
    return f'{path} runs it with numpy and onnxruntime alone'
  if path.exists() and not _is_ours(found):
    return (
      f'{path} was left as it is, for it is not as it was written; remove it '
      'for a new one'
    )
  write_bytes(path, wanted)
  return f'{path} runs it with numpy and onnxruntime alone'


def _content() -> bytes:
  source = (Path(__file__).parent / NAME).read_bytes()
  return f'{_HEADER}{hashlib.sha256(source).hexdigest()}\n'.encode() + source


def _is_ours(content: bytes) -> bool:
  """Whether nothing was changed since it was written, by whatever version."""
  first, _, rest = content.partition(b'\n')
  return first == f'{_HEADER}{hashlib.sha256(rest).hexdigest()}'.encode()
