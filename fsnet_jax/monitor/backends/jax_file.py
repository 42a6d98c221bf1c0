"""A monitor's networks out of a .jaxexport file: jax and numpy alone.

The file has one program for each size of images, for CPU, CUDA and TPU, and the
weights of all of them once. A program takes the weights as a list, and images.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.backends import archive, other_sizes
from fsnet_jax.monitor.backends.card import FIX, Card

WEIGHTS = 'weights.bin'
# Of a program, which is some 100 kB for each hundred layers.
_MOST_BYTES = 1 << 26
# Of an array inside, for one image: 64 channels of 4096x8192.
_MOST_VALUES = 1 << 31
_OUTPUTS = (('labels', 'uint8'), ('failure', 'float32'), ('flagged', 'bool'))
_TENSOR = re.compile(r'tensor<((?:[\d?]+x)+)')
# Of calls out of a program only this one: it says that a batch has an image.
# Others run code of whoever is linked into the process.
_CALL, _HARMLESS = 'custom_call', 'custom_call @shape_assertion('


def program_name(size: Sequence[int]) -> str:
  """Name of the part for images of (h, w)."""
  return f'{size[0]}x{size[1]}.stablehlo'


class JaxBackend:
  """What `--mode=export --output=x.jaxexport` wrote; see `monitor.Backend`.

  Attributes:
    classes: see `Backend`.
    threshold: see `Backend`.
    statement: see `Backend`.
    reference: see `Backend`.
    sizes: (h, w) that there is a program for; images of another size are
      resized to the first.
  """

  def __init__(
    self,
    card: Card,
    weights: Sequence[np.ndarray],
    programs: Mapping[tuple[int, int], Callable[..., Any]],
  ):
    """Takes what is in a file; see `open`."""
    self.classes, self.threshold = card.classes, card.threshold
    self.reference = card.reference
    self.statement, self.sizes = card.statement, card.sizes
    self._host: Sequence[np.ndarray] | None = weights
    self._weights: Any = None
    self._programs = programs

  @classmethod
  def open(cls, path: str | os.PathLike[str]) -> JaxBackend:
    """Opens a file.

    Raises:
      UserError: jax is missing, or the file is no such monitor.
    """
    if importlib.util.find_spec('jax') is None:
      raise UserError(f'{path} needs jax: pip install jax.')
    card, parts = archive.read(path)
    return cls.of_parts(card, parts, path)

  @classmethod
  def of_parts(
    cls, card: Card, parts: Mapping[str, bytes], path: object
  ) -> JaxBackend:
    """As `open`, of what is in memory."""
    problem = ''
    try:
      if parts.keys() != {WEIGHTS, *map(program_name, card.sizes)}:
        raise ValueError('it has no program for a size of its card')
      weights = _arrays(parts[WEIGHTS], card)
      programs = {
        size: _program(parts[program_name(size)], card, size)
        for size in card.sizes
      }
      return cls(card, weights, programs)
    except ValueError as error:
      problem = quoted(error, 160)
    raise UserError(f'{path} is no exported monitor ({problem}): {FIX}.')

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See `Backend`; the first call of a size and batch compiles."""
    own = (images.shape[1], images.shape[2])
    size = own if own in self.sizes else self.sizes[0]

    def networks(fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
      found = self._programs[size](self._on_device(), fitted)
      return np.asarray(found[0]), np.asarray(found[1])

    return other_sizes.call(networks, images, size)

  def _on_device(self) -> Any:
    """The weights, which go there once."""
    if self._weights is None:
      import jax

      self._weights, self._host = jax.device_put(list(self._host or ())), None
    return self._weights


def _arrays(content: bytes, card: Card) -> list[np.ndarray]:
  """Weights, without a copy.

  Raises:
    ValueError: there are more or fewer bytes than the card says.
  """
  sizes = [
    math.prod(shape) * np.dtype(kind).itemsize for kind, shape in card.weights
  ]
  if sum(sizes) != len(content):
    raise ValueError('its weights are not as many as its card says')
  found, at = [], 0
  for (kind, shape), size in zip(card.weights, sizes, strict=True):
    flat = np.frombuffer(content[at : at + size], kind)
    found.append(flat.reshape(shape))
    at += size
  return found


def _program(
  content: bytes, card: Card, size: tuple[int, int]
) -> Callable[..., Any]:
  """A program, compiled when it is called.

  Raises:
    ValueError: it is none, takes or gives something else, is too large, or
      calls code outside of it.
  """
  import jax
  from jax import export

  if len(content) > _MOST_BYTES:
    raise ValueError('a program in it is too large')
  try:
    exported = export.deserialize(bytearray(content))
    text = str(exported.mlir_module())
  # flatbuffers, MLIR and jax have errors of their own for each damage.
  except Exception as error:
    raise ValueError(
      f'a program in it cannot be read by jax {jax.__version__}: '
      f'{quoted(error, 80)}'
    ) from error
  _check_signature(exported, card, size)
  if text.count(_CALL) != text.count(_HARMLESS):
    raise ValueError('a program in it calls code outside of it')
  for sides in _TENSOR.findall(text):
    known = [int(one) for one in sides.split('x') if one.isdigit()]
    if math.prod(known) > _MOST_VALUES:
      raise ValueError('an array of a program in it is too large')
  return jax.jit(exported.call)


def _check_signature(exported: Any, card: Card, size: tuple[int, int]) -> None:
  """Raises ValueError for a program of other arrays than a monitor has."""
  inputs = [(one.dtype.name, one.shape) for one in exported.in_avals]
  outputs = [(one.dtype.name, one.shape) for one in exported.out_avals]
  effects = exported.ordered_effects or exported.unordered_effects
  images = inputs[-1] if inputs else ('', ())
  maps = [(kind, (*images[1][:1], *size)) for _, kind in _OUTPUTS]
  if (
    effects
    or exported.nr_devices != 1
    or inputs[:-1] != list(card.weights)
    or images != ('uint8', (*images[1][:1], *size, 3))
    or outputs != maps
  ):
    raise ValueError('a program in it is for other arrays than its card says')
