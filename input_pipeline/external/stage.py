"""Batches with the outputs of a segmentation network from elsewhere in them.

The network runs here, between the loader and the jitted program:

  s_logits: float32 [b h w c].
  s_flip_logits: the same of the mirrored images, mirrored back; if asked for.
  s_features: float32 [b fh fw k]; where the network gives any.

Both what a failure network is fitted on and what it is run on pass through the
compact form (`compact`), whether a cache is used or not: they are the same
numbers then.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np

from input_pipeline.external import compact
from input_pipeline.external.cache import Cache, Entry, half
from input_pipeline.external.logits_folder import LogitsFolder
from input_pipeline.external.protocol import (
  FEATURES,
  FLIP_LOGITS,
  LOGITS,
  ExternalNetwork,
)
from input_pipeline.sources import Source

# Within which two machines compute the same network.
_LOGIT_TOLERANCE = 0.05
_SAME_CLASS = 0.99

Batch = dict[str, np.ndarray]


@runtime_checkable
class Batches(Protocol):
  """An iterator over batches that can be continued: `loader.BatchIterator`."""

  def __next__(self) -> Batch: ...

  def get_state(self) -> dict[str, Any]:
    """What `set_state` needs to continue."""
    ...

  def set_state(self, state: dict[str, Any]) -> None:
    """Continues where another iterator was."""
    ...

  def close(self) -> None:
    """Ends what runs behind it."""
    ...


def with_outputs(
  batches: Batches,
  network: ExternalNetwork,
  *,
  flip: bool = False,
  cache: Cache | None = None,
  exact: bool = False,
) -> OutputStage:
  """Adds a network's outputs to each batch.

  Args:
    batches: with 'image', uint8 [b h w 3], and perhaps 'mask', bool [b]: where
      it is False the image is padding, and its outputs are 0.
    network: one that takes any image.
    flip: whether it runs on mirrored images, too.
    cache: where outputs are kept, or None.
    exact: whether logits and features stay as the network gave them; not with
      a cache.
  """
  if exact and cache is not None:
    raise ValueError('a cache does not keep exact outputs')
  return OutputStage(batches, network, flip, cache, exact)


class OutputStage:
  """Iterates over batches; its state is that of the iterator before it."""

  def __init__(
    self,
    batches: Batches,
    network: ExternalNetwork,
    flip: bool,
    cache: Cache | None,
    exact: bool,
  ):
    """See `with_outputs`."""
    self._batches = batches
    self._network = network
    self._flip = flip
    self._cache = cache
    self._exact = exact
    self._cache_is_checked = False

  def __iter__(self) -> OutputStage:
    return self

  def __next__(self) -> Batch:
    batch = next(self._batches)
    images = batch['image']
    mask = batch.get('mask')
    rows = np.arange(len(images)) if mask is None else np.flatnonzero(mask)
    if not len(rows):  # All is padding; its size is what counts.
      outputs = self._of_images(images[:1])
    else:
      outputs = self._of_images(images[rows])
    added = {}
    for name, found in outputs.items():
      added[name] = np.zeros((len(images), *found.shape[1:]), np.float32)
      added[name][rows] = found[: len(rows)]
    return {**batch, **added}

  def get_state(self) -> dict[str, Any]:
    """Returns what `set_state` needs to continue with the next batch."""
    return self._batches.get_state()

  def set_state(self, state: dict[str, Any]) -> None:
    """Continues where another iterator was."""
    self._batches.set_state(state)

  def close(self) -> None:
    """Ends what runs behind the batches."""
    self._batches.close()

  def _of_images(self, images: np.ndarray) -> Batch:
    """Outputs by name, none of them of padding."""
    if self._exact:
      return self._run(images)
    entries = [self._read(image) for image in images]
    missing = [i for i, entry in enumerate(entries) if entry is None]
    if missing:
      for index, entry in zip(
        missing, self._compute(images[missing]), strict=True
      ):
        entries[index] = entry
        if self._cache is not None:
          self._cache.write(images[index], entry)
    found = [entry for entry in entries if entry is not None]
    return _expanded(found, self._network.classes.num_classes, self._flip)

  def _run(self, images: np.ndarray) -> Batch:
    output = self._network(images)
    found = {LOGITS: output.logits}
    if output.features is not None:
      found[FEATURES] = output.features
    if self._flip:
      mirrored = np.ascontiguousarray(images[:, :, ::-1])
      found[FLIP_LOGITS] = self._network(mirrored).logits[:, :, ::-1]
    return found

  def _compute(self, images: np.ndarray) -> list[Entry]:
    """What is kept of each image."""
    found = self._run(images)
    logits = compact.compress(found[LOGITS])
    flip = compact.compress(found[FLIP_LOGITS]) if self._flip else None
    features = half(found[FEATURES]) if FEATURES in found else None
    return [
      Entry(
        _row(logits, i),
        None if flip is None else _row(flip, i),
        None if features is None else features[i],
      )
      for i in range(len(images))
    ]

  def _read(self, image: np.ndarray) -> Entry | None:
    """What is kept of an image, after one such entry was found to be right."""
    if self._cache is None:
      return None
    entry = self._cache.read(image, flip=self._flip)
    if entry is None:
      return None
    if not self._has_features(entry, image):
      return None
    if not self._cache_is_checked:
      self._cache_is_checked = True
      computed = self._compute(image[None])[0]
      if not _alike(entry.logits, computed.logits):
        self._network.notes.add(
          'the segmentation network is not the one whose outputs are in the '
          'cache, though its files are: the cache is emptied'
        )
        self._cache.remove()
        return computed
    return entry

  def _has_features(self, entry: Entry, image: np.ndarray) -> bool:
    """Whether an entry's features are those of the network."""
    channels = self._network.feature_channels
    if entry.features is None or not channels:
      return entry.features is None and not channels
    height, width = image.shape[:2]
    size = self._network.feature_size((height, width))
    return entry.features.shape == (*(size or ()), channels)


def _row(kept: compact.Compact, index: int) -> compact.Compact:
  return compact.Compact(
    *(getattr(kept, one.name)[index] for one in dataclasses.fields(kept))
  )


def _stack(rows: list[compact.Compact]) -> compact.Compact:
  return compact.Compact(
    *(
      np.stack([getattr(row, one.name) for row in rows])
      for one in dataclasses.fields(compact.Compact)
    )
  )


def _alike(first: compact.Compact, second: compact.Compact) -> bool:
  """Whether both are of one network, computed by two machines perhaps."""
  difference = abs(first.largest - second.largest)
  near = difference <= _LOGIT_TOLERANCE * (1 + abs(second.largest))
  same = first.classes[..., 0] == second.classes[..., 0]
  return bool(near.mean() >= _SAME_CLASS and same.mean() >= _SAME_CLASS)


def _expanded(entries: list[Entry], num_classes: int, flip: bool) -> Batch:
  found = {
    LOGITS: compact.expand(_stack([e.logits for e in entries]), num_classes)
  }
  flipped = [e.flip_logits for e in entries if e.flip_logits is not None]
  if flip:
    found[FLIP_LOGITS] = compact.expand(_stack(flipped), num_classes)
  features = [e.features for e in entries if e.features is not None]
  if features:
    found[FEATURES] = np.stack(features).astype(np.float32)
  return found


class WithLogits:
  """A source whose scenes carry the logits that are stored of them."""

  def __init__(self, source: Source, logits: LogitsFolder, exact: bool = False):
    """Wraps a source.

    Args:
      source: of the scenes.
      logits: where those of each `id` are.
      exact: as in `with_outputs`.
    """
    self._source = source
    self._logits = logits
    self._exact = exact

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """The scene, with 's_logits', float32 [h w c]."""
    scene = dict(self._source[index])
    height, width = scene['image'].shape[:2]
    logits = self._logits.of_image(scene['id'], (height, width))
    if not self._exact:
      logits = compact.expand(compact.compress(logits), logits.shape[-1])
    scene[LOGITS] = logits
    return scene
