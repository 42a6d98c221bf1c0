"""A PyTorch network as a file that this project runs: ONNX and `model.json`.

`model.json` lies beside the ONNX file and says what no ONNX file can: how an
image becomes the network's input, and which outputs are which.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import pathlib
import warnings
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from common_lib.errors import UserError
from common_lib.files import write_bytes, write_text
from common_lib.foreign import quoted

DESCRIPTION = 'model.json'
CLASSES = 'classes.json'
# What a runtime may differ by, of the largest value of an output: sums in
# another order. A wrong graph is off by its size.
_TOLERANCE = 1e-3
# Of the images that a file for any size is traced and checked with.
_SIZE = (64, 96)


@dataclasses.dataclass(frozen=True)
class InputFormat:
  """How an image (RGB, 0..255) becomes the input of a network.

  The channels are put into the order of `color` first; then
  `x = (image / scale - mean) / std`, where `mean` and `std` are in that order,
  too: of BGR, blue comes first.

  Attributes:
    color: 'RGB' or 'BGR', as the network is fed.
    scale: 255 for networks of images in [0, 1], 1 for those of 0..255.
    mean: three numbers, in units of `image / scale`.
    std: three numbers, in the same.
  """

  color: str
  scale: float
  mean: tuple[float, float, float]
  std: tuple[float, float, float]

  def apply(self, images: np.ndarray) -> np.ndarray:
    """Images to input.

    Args:
      images: uint8 [b h w 3], RGB.

    Returns:
      float32 [b 3 h w].
    """
    ordered = images[..., ::-1] if self.color == 'BGR' else images
    x = ordered.astype(np.float32) / self.scale
    mean, std = (np.array(v, np.float32) for v in (self.mean, self.std))
    return np.ascontiguousarray(((x - mean) / std).transpose(0, 3, 1, 2))


def export(
  network: nn.Module,
  path: pathlib.Path,
  form: InputFormat,
  outputs: Sequence[str],
  size: tuple[int, int] | None = None,
  classes: Sequence[int] | None = None,
  table: dict[str, Any] | None = None,
) -> float:
  """Writes a network as ONNX, `model.json` beside it, and checks the first.

  Args:
    network: takes float32 [b 3 h w], returns a tuple of arrays [b k h w];
      height and width must be divisible by 8.
    path: the ONNX file, ending in `.onnx`; its folder is made.
    form: how an image becomes the network's input.
    outputs: a name for each output: the logits', the features', and more.
    size: (h, w) that the file is made for; None for any.
    classes: channels of the logits that are classes of the table, in its
      order; None for all.
    table: what `classes.json` shall hold, written beside the file; None for the
      table of the data.

  Returns:
    The largest difference between onnxruntime and PyTorch on random images, of
    the largest value of the same output.

  Raises:
    UserError: a path that cannot be written, or has another network's
      `model.json` beside it; onnxruntime computes something else than PyTorch.
  """
  named: dict[str, Any] = {'logits': outputs[0], 'features': outputs[1]}
  if classes is not None:
    named['classes'] = list(classes)
  description = {
    'input': {
      'layout': 'NCHW',
      **dataclasses.asdict(form),
      'size': size,
    },
    'outputs': named,
    'classes': None if table is None else CLASSES,
  }
  beside = {DESCRIPTION: description}
  if table is not None:
    beside[CLASSES] = table
  texts = {name: json.dumps(v, indent=2) + '\n' for name, v in beside.items()}
  _check_path(path, texts)
  content = _graph(network, outputs, size)
  difference = _difference(network, content, form, size or _SIZE)
  # The network last: whoever finds it finds its description, too.
  for name, text in texts.items():
    write_text(path.with_name(name), text)
  write_bytes(path, content)
  return difference


def _check_path(path: pathlib.Path, texts: dict[str, str]) -> None:
  """Makes the folder of an ONNX file.

  Raises:
    UserError: it cannot be made, or holds other networks, whose description
      would be replaced.
  """
  if path.suffix != '.onnx':
    raise UserError(f'{path}: the name of an ONNX file ends in .onnx')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f'{path.parent}: no such folder can be made ({error.strerror}); choose '
      'another path'
    ) from error
  others = [o.name for o in path.parent.glob('*.onnx') if o.name != path.name]
  for name, text in texts.items():
    file = path.with_name(name)
    if others and file.exists() and file.read_text(errors='replace') != text:
      raise UserError(
        f'{file} describes {quoted(others[0], 80)}; write {path.name} into '
        'another folder'
      )


def _graph(
  network: nn.Module, outputs: Sequence[str], size: tuple[int, int] | None
) -> bytes:
  """The network in ONNX, its weights inside."""
  # Two images: a dimension of one would be taken for a constant.
  example = torch.zeros(2, 3, *(size or _SIZE))
  dynamic: dict[int, Any] = {0: torch.export.Dim('batch')}
  if size is None:
    for axis, name in ((2, 'height'), (3, 'width')):
      # In eighths: the networks of this folder halve three times.
      dynamic[axis] = 8 * torch.export.Dim(name, min=2, max=1024)
  with _quiet_exporter():
    program = torch.onnx.export(
      network.eval(),
      (example,),
      input_names=['images'],
      output_names=list(outputs),
      dynamo=True,
      dynamic_shapes=(dynamic,),
      verbose=False,
    )
  return program.model_proto.SerializeToString()


@contextlib.contextmanager
def _quiet_exporter() -> Generator[None]:
  """Without what the exporter says of torchvision and of its own code."""
  logger = logging.getLogger('torch.onnx._internal.exporter._registration')
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    with warnings.catch_warnings():
      # In PyTorch 2.13, of a module of PyTorch.
      warnings.filterwarnings(
        'ignore', r'`isinstance\(treespec, LeafSpec\)`', FutureWarning
      )
      yield
  finally:
    logger.setLevel(level)


def _difference(
  network: nn.Module, content: bytes, form: InputFormat, size: tuple[int, int]
) -> float:
  """See `export`.

  Raises:
    UserError: it is too large.
  """
  random = np.random.default_rng(0)
  images = form.apply(random.integers(0, 256, (2, *size, 3), np.uint8))
  session = onnxruntime.InferenceSession(
    content, providers=['CPUExecutionProvider']
  )
  found = session.run(None, {'images': images})
  with torch.no_grad():
    expected = [one.numpy() for one in network(torch.from_numpy(images))]
  worst = 0.0
  for one, array, wanted in zip(session.get_outputs(), found, expected):
    difference = float(np.abs(array - wanted).max() / np.abs(wanted).max())
    # So that NaN is refused, too.
    if not difference <= _TOLERANCE:
      raise UserError(
        f'the output {one.name} of the ONNX file differs from PyTorch by '
        f'{difference:.0e} of its largest value; use the versions of '
        'requirements-parity.txt'
      )
    worst = max(worst, difference)
  return worst
