"""A run as one .jaxexport file: a program a size, for CPU, CUDA and TPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import export as jax_export

from common_lib.errors import UserError
from common_lib.files import write_bytes
from common_lib.foreign import quoted
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.monitor.backends import archive, card, other_sizes
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.jax_file import (
  WEIGHTS,
  JaxBackend,
  program_name,
)
from fsnet_jax.monitor.export import cards

PLATFORMS = ('cpu', 'cuda', 'tpu')
# What the program in the file and jit may differ by, of P(wrong).
_TOLERANCE = 1e-6
# Of weights and images.
_Program = Callable[[list[jax.Array], jax.Array], Sequence[jax.Array]]


def export(
  backend: CheckpointBackend,
  images: np.ndarray,
  path: Path,
  about: str,
  sizes: Sequence[tuple[int, int]] = (),
) -> str:
  """Writes a monitor as a .jaxexport file, unless it is another one.

  Args:
    backend: of the run.
    images: uint8 [n h w 3] at the run's size, that the file is tried on.
    path: of the file.
    about: what it is of, for people.
    sizes: (h, w) of the images that there is a program for, beside the run's
      own, which is always the first.

  Returns:
    What was written, in a sentence.

  Raises:
    UserError: the networks do not work at one of the sizes, or the file
      computes something else than the run.
  """
  every = tuple(dict.fromkeys([backend.image_size, *sizes]))
  function, tree = backend.function_and_weights()
  weights, structure = jax.tree.flatten(tree)
  weights = [np.asarray(one) for one in weights]

  def program(
    flat: list[jax.Array], pictures: jax.Array
  ) -> Sequence[jax.Array]:
    return function(jax.tree.unflatten(structure, flat), pictures)

  parts = {WEIGHTS: b''.join(one.tobytes() for one in weights)}
  for size in every:
    parts[program_name(size)] = _program(program, weights, size)
  described = cards.of_run(
    backend,
    about,
    parts,
    sizes=every,
    weights=tuple((one.dtype.name, one.shape) for one in weights),
  )
  # Read from the bytes, so that what is tried is what is written.
  content = archive.written(described, parts)
  read_back = JaxBackend.of_parts(
    card.parsed(card.to_json(described), path), parts, path
  )
  difference = _checked(program, weights, read_back, images, path)
  path.parent.mkdir(parents=True, exist_ok=True)
  write_bytes(path, content)
  shown = ', '.join(f'{height}x{width}' for height, width in every)
  return (
    f'{path}: {len(content) / 1e6:.1f} MB, for {", ".join(PLATFORMS)}, images '
    f'of {shown}, P(wrong) as jit has it but for {difference:.1g} on '
    f'{len(images)} images'
  )


def _program(
  program: _Program, weights: list[np.ndarray], size: tuple[int, int]
) -> bytes:
  """One program, serialised.

  Raises:
    UserError: the networks do not work at that size.
  """
  (batch,) = jax_export.symbolic_shape('b')
  flat = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in weights]
  images = jax.ShapeDtypeStruct((batch, *size, 3), np.uint8)
  try:
    with conv_forms.use('plain'):
      exporter = jax_export.export(jax.jit(program), platforms=PLATFORMS)
      return bytes(exporter(flat, images).serialize())
  # What a network asks of the size of its images.
  except (UserError, ValueError, TypeError) as error:
    problem = quoted(error, 300).rstrip('.')
  raise UserError(
    f'config.export.sizes has {size[0]}x{size[1]}, at which the networks of '
    f'this run do not work ({problem}): leave it out.'
  )


def _checked(
  program: _Program,
  weights: list[np.ndarray],
  read_back: JaxBackend,
  images: np.ndarray,
  path: Path,
) -> float:
  """The largest difference of P(wrong) between the file and jit.

  Raises:
    UserError: it is no rounding.
  """
  largest, jitted = 0.0, jax.jit(program)
  for size in read_back.sizes:
    pictures = images
    if images.shape[1:3] != size:
      pictures = other_sizes.fitted(images, size)
    with conv_forms.use('plain'):
      labels, failure, _ = jax.device_get(jitted(weights, pictures))
    theirs, own = read_back(pictures)
    difference = float(np.abs(own - failure).max(initial=0))
    if difference > _TOLERANCE or not np.array_equal(theirs, labels):
      raise UserError(
        f'{path} was not written: at {size[0]}x{size[1]} its program says '
        f'something else than jit (P(wrong) by up to {difference:.2g}); report '
        'this with your version of jax.'
      )
    largest = max(largest, difference)
  return largest
