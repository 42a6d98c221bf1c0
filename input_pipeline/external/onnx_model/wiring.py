"""What stands between images and an ONNX network, and behind it, as facts.

`OnnxNetwork` finds them out at each call. Who writes the same into another file
needs them once.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from input_pipeline.external.channel_map import ChannelMap
from input_pipeline.external.description import InputFormat
from input_pipeline.external.onnx_model.onnx_file import OnnxNetwork
from input_pipeline.external.onnx_model.onnx_inputs import InputShape
from input_pipeline.external.output_checks import (
  checked_logits,
  is_features_first,
  is_probabilities,
)
from input_pipeline.external.protocol import Notes


@dataclasses.dataclass(frozen=True)
class Output:
  """A tensor that a network gives.

  Attributes:
    name: of it.
    channels_first: whether it is [b k h w], not [b h w k].
    size: h and w.
    channels: k.
  """

  name: str
  channels_first: bool
  size: tuple[int, int]
  channels: int


@dataclasses.dataclass(frozen=True)
class Wiring:
  """How a network is fed with images of one size, and what comes back.

  Attributes:
    takes: the network's input.
    how: images are prepared.
    logits: the tensor that they are made of.
    channels: that mean the classes.
    are_probabilities: whether its logarithm is the logits.
    features: tensors; none, one or several.
  """

  takes: InputShape
  how: InputFormat
  logits: Output
  channels: ChannelMap
  are_probabilities: bool
  features: tuple[Output, ...]


def observed(network: OnnxNetwork, images: np.ndarray) -> Wiring:
  """Runs a network and looks.

  Args:
    network: to be looked at.
    images: uint8 [b h w 3], RGB.

  Raises:
    UserError: what comes back is not of the contract.
  """
  sizes, rules = network.sizes(images), network.rules()
  described = network.described
  names = list(dict.fromkeys([network.logits, *described.features]))
  found = network.run(images, names)
  _, first = checked_logits(
    found[network.logits], sizes, rules, Notes(quiet=True)
  )
  where = f'{network.path}: outputs.features'
  features = tuple(
    _output(
      name, found[name], is_features_first(found[name], sizes, where, first)
    )
    for name in described.features
  )
  logits = found[network.logits].astype(np.float32)
  return Wiring(
    takes=network.takes,
    how=network.input,
    logits=_output(network.logits, logits, first),
    channels=network.channels,
    are_probabilities=is_probabilities(
      logits.transpose(0, 2, 3, 1) if first else logits
    ),
    features=features,
  )


def _output(name: str, found: np.ndarray, first: bool) -> Output:
  _, *sides = found.shape
  channels, height, width = sides if first else (sides[2], *sides[:2])
  return Output(name, first, (height, width), channels)
