"""Exports ESPNet's published weights to ONNX.

    python -m examples.espnet --weights=espnet_p_2_q_8.pth \
        --output=runs/espnet/espnet.onnx

The weights are those that the authors of "ESPNet" (Mehta et al., ECCV 2018)
publish in github.com/sacmehta/ESPNet (MIT): PyTorch state dicts, with 20
classes for Cityscapes (trainIds, then void) or 12 for CamVid. Beside the ONNX
file `model.json` is written, and for CamVid `classes.json`.

The outputs of the file are `logits` (full size), `features` (256 channels at an
eighth of the image's size, what the classifier is given) and
`features_quarter` (131 channels at a quarter); `model.json` names the second,
and may name the third instead. Height and width must be divisible by 8.

The network is fed BGR. Its authors take the mean off values of 0..255, divide
by the deviation and then by 255; in `model.json`, where
`x = (image / scale - mean) / std`, that is a scale of 1 and a deviation that is
255 times theirs, both in the order blue, green, red.
"""

from __future__ import annotations

import argparse
import pathlib
import pickle
from typing import Any

import torch

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.paths import expanded
from examples import commands, espnet_network, model_files

# Mean and deviation of blue, green and red, 0..255. Cityscapes' are those of
# the authors' code. CamVid's, which it leaves to be computed, are computed as
# it does: the mean over the training frames of each frame's own.
STATISTICS = {
  'cityscapes': (
    (72.3923111, 82.90893555, 73.15840149),
    (45.3192215, 46.15289307, 44.91483307),
  ),
  'camvid': (
    (110.19555937, 108.35300967, 104.94934917),
    (72.03613331, 72.56380823, 69.84668846),
  ),
}
OUTPUTS = ('logits', 'features', 'features_quarter')

# Channels of the logits, the training set, and how many of them are classes:
# the last is void.
_CITYSCAPES_CHANNELS, _CAMVID_CHANNELS = 20, 12

# The ids and colours of the SegNet tutorial's CamVid.
CAMVID = {
  'classes': [
    {'name': name, 'color': list(color), 'ids': [index]}
    for index, (name, color) in enumerate(
      (
        ('sky', (128, 128, 128)),
        ('building', (128, 0, 0)),
        ('pole', (192, 192, 128)),
        ('road', (128, 64, 128)),
        ('pavement', (60, 40, 222)),
        ('tree', (128, 128, 0)),
        ('sign', (192, 128, 128)),
        ('fence', (64, 64, 128)),
        ('car', (64, 0, 128)),
        ('pedestrian', (64, 64, 0)),
        ('bicyclist', (0, 128, 192)),
      )
    )
  ],
  'void_ids': [11],
}


def input_format(statistics: str) -> model_files.InputFormat:
  """How an image becomes the input of a network.

  Args:
    statistics: 'cityscapes' or 'camvid', what it was trained on.
  """
  mean, (blue, green, red) = STATISTICS[statistics]
  return model_files.InputFormat(
    color='BGR', scale=1.0, mean=mean, std=(255 * blue, 255 * green, 255 * red)
  )


def read_weights(path: pathlib.Path) -> espnet_network.ESPNet:
  """Reads a state dict, without running what a pickle may hold.

  Args:
    path: of the `.pth` file.

  Returns:
    The network, in evaluation mode, on the CPU.

  Raises:
    UserError: there is no such file, or it holds something else.
  """
  fix = 'give a file of pretrained/decoder in github.com/sacmehta/ESPNet'
  try:
    state = torch.load(path, map_location='cpu', weights_only=True)
    return espnet_network.from_state(state)
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}; {fix}') from error
  except (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
  ) as error:
    # Of its own, PyTorch says pages.
    raise UserError(f'{path}: holds no weights of ESPNet; {fix}') from error


def export(
  network: espnet_network.ESPNet,
  path: pathlib.Path,
  size: tuple[int, int] | None = None,
  statistics: str = '',
) -> float:
  """Writes the ONNX file and what belongs beside it.

  Args:
    network: in evaluation mode.
    path: the ONNX file.
    size: (h, w) for a file of one size; None for one of any.
    statistics: of `STATISTICS`; '' for those that go with the channels.

  Returns:
    See `model_files.export`.
  """
  channels = network.classifier.out_channels
  known: dict[str, Any] = {}
  if channels in (_CITYSCAPES_CHANNELS, _CAMVID_CHANNELS):
    known['classes'] = range(channels - 1)
  if channels == _CAMVID_CHANNELS:
    known['table'] = CAMVID
    statistics = statistics or 'camvid'
  form = input_format(statistics or 'cityscapes')
  return model_files.export(network, path, form, OUTPUTS, size, **known)


def main(arguments: list[str] | None = None) -> None:
  """Exports, and says what was written.

  Args:
    arguments: of the command line; None for the process's own.
  """
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--weights', required=True, help='a .pth file')
  parser.add_argument('--output', required=True, help='the .onnx file')
  parser.add_argument(
    '--size', type=commands.size, help='H,W: for images of one size only'
  )
  parser.add_argument(
    '--statistics',
    choices=sorted(STATISTICS),
    default='',
    help='mean and deviation; by default those of the training set',
  )
  flags = parser.parse_args(arguments)
  path = expanded(flags.output)
  network = read_weights(expanded(flags.weights))
  difference = export(network, path, flags.size, flags.statistics)
  say(
    f'{path}: {network.classifier.out_channels} channels of logits, '
    f'{path.stat().st_size / 1e6:.1f} MB; onnxruntime and PyTorch differ by '
    f'{difference:.0e} of the largest value'
  )


if __name__ == '__main__':
  commands.run(main)
