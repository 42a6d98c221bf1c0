"""The card of a run's exported file."""

from __future__ import annotations

from collections.abc import Mapping

import jax

from fsnet_jax.monitor.backends.card import Card, part_of
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend


def of_run(
  backend: CheckpointBackend,
  about: str,
  parts: Mapping[str, bytes],
  *,
  sizes: tuple[tuple[int, int], ...],
  weights: tuple[tuple[str, tuple[int, ...]], ...] = (),
  versions: Mapping[str, str] | None = None,
  is_exact: bool = True,
) -> Card:
  """What a file says of itself.

  Args:
    backend: of the run.
    about: what it is of, for people.
    parts: of the file, by name.
    sizes: (h, w) of its images, the run's own first.
    weights: type and shape of each array of the weights, in their order.
    versions: of packages beside jax.
    is_exact: whether P(wrong) is what was calibrated, but for float32's
      rounding; nothing is guaranteed of another.
  """
  statement = backend.statement if is_exact else ''
  if statement and len(sizes) > 1:
    # Larger images are other images, whatever the threshold.
    statement = f'Images of {sizes[0][0]}x{sizes[0][1]}: {statement}'
  return Card(
    classes=backend.classes,
    threshold=backend.threshold,
    statement=statement,
    detector=backend.detector,
    run=about or 'run',
    versions={'jax': jax.__version__, **(versions or {})},
    sizes=sizes,
    weights=weights,
    parts={name: part_of(content) for name, content in parts.items()},
    reference=_reference(backend) if is_exact else None,
  )


def _reference(
  backend: CheckpointBackend,
) -> Mapping[str, tuple[float, ...]] | None:
  """Statistics of the calibration images, as a card has them."""
  if backend.reference is None:
    return None
  return {name: tuple(own) for name, own in backend.reference.items()}
