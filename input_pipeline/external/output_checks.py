"""Outputs of a network from elsewhere, as they have to be or one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from common_lib.errors import UserError
from input_pipeline.external.channel_map import ChannelMap
from input_pipeline.external.protocol import Notes
from input_pipeline.external.resizing import resize

# Probabilities in 16 bits add up to 1 within that.
_SUM_TOLERANCE = 0.01
# The smallest probability whose logarithm is taken: float32's own.
LEAST = np.float32(1.2e-38)


@dataclasses.dataclass(frozen=True)
class OutputRules:
  """What a network's outputs are compared with, and what to do about them.

  Attributes:
    where: what a sentence begins with: the file, the output's name.
    network: what a note begins with, which is the same for all images.
    channels: of the classes.
    channels_first: which layout is tried first where both are possible.
    export: what to do to give logits in place of a class map.
    select: what to do to leave out a channel that is no class; CHANNELS
      stands for a list of those that are.
  """

  where: str
  network: str
  channels: ChannelMap
  channels_first: bool
  export: str
  select: str


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Sizes around one call.

  Attributes:
    images: how many there were.
    input: height and width of what the network got.
    image: height and width of the images, and so of the logits.
  """

  images: int
  input: tuple[int, int]
  image: tuple[int, int]


def checked_logits(
  found: np.ndarray, sizes: Sizes, rules: OutputRules, notes: Notes
) -> tuple[np.ndarray, bool]:
  """What a network gave back, as logits of the classes at the images' size.

  Probabilities become their logarithms, which have the same softmax. Logits of
  another size than the images are resized bilinearly, before any softmax.

  Args:
    found: [b c h w] or [b h w c], of any size.
    sizes: see `Sizes`.
    rules: see `OutputRules`.
    notes: receives what was changed.

  Returns:
    float32 [b h w classes], and whether `found` was [b c h w].

  Raises:
    UserError: a class map, NaN or infinity, another number of classes, another
      shape.
  """
  _check_kind(found, sizes, rules)
  first = _is_channels_first(found, sizes, rules)
  if first:
    found = found.transpose(0, 2, 3, 1)
  logits = np.ascontiguousarray(found, np.float32)
  if not np.isfinite(logits).all():
    what = 'NaN' if np.isnan(logits).any() else 'infinite values'
    raise UserError(
      f'{rules.where}: the logits hold {what}; look for a division by zero, a '
      'logarithm of zero or a sum beyond the range of 16 bits in the network'
    )
  if is_probabilities(logits):
    notes.add(
      f'{rules.network}: these are probabilities, not logits: their logarithm '
      'is taken; max_logit and energy say more of the logits before the softmax'
    )
    logits = np.log(np.maximum(logits, LEAST))
  logits = rules.channels.apply(logits)
  size = logits.shape[1:3]
  if size != sizes.image:
    notes.add(
      f'{rules.network}: the logits are {size[0]}x{size[1]}, the images '
      f'{sizes.image[0]}x{sizes.image[1]}: the logits are resized bilinearly'
    )
    logits = resize(logits, sizes.image)
  return np.ascontiguousarray(logits, np.float32), first


def is_probabilities(logits: np.ndarray) -> bool:
  """Whether none is negative and each pixel's add up to 1.

  Args:
    logits: float32 [b h w c].
  """
  if logits.min() < 0 or logits.max() > 1 + _SUM_TOLERANCE:
    return False
  return bool((abs(logits.sum(-1) - 1) <= _SUM_TOLERANCE).all())


def checked_features(
  found: list[np.ndarray], sizes: Sizes, where: str, channels_first: bool
) -> np.ndarray:
  """Features of one or several depths, side by side.

  Args:
    found: [b k h w] or [b h w k] each.
    sizes: see `Sizes`.
    where: what a sentence begins with.
    channels_first: which layout is tried first where both are possible.

  Returns:
    float32 [b fh fw k], at the size of the finest of them, to which the others
    are resized bilinearly: nothing of the finest is lost.

  Raises:
    UserError: another shape, NaN or infinity.
  """
  parts = []
  for one in found:
    if is_features_first(one, sizes, where, channels_first):
      one = one.transpose(0, 2, 3, 1)
    one = np.ascontiguousarray(one, np.float32)
    if not np.isfinite(one).all():
      raise UserError(
        f'{where}: the features hold NaN or infinite values; name another '
        'tensor, or none'
      )
    parts.append(one)
  height, width = max((part.shape[1:3] for part in parts), key=np.prod)
  parts = [resize(part, (height, width)) for part in parts]
  return np.ascontiguousarray(np.concatenate(parts, -1))


def is_features_first(
  one: np.ndarray, sizes: Sizes, where: str, channels_first: bool
) -> bool:
  """Whether features are [b k h w], not [b h w k]; see `checked_features`."""
  shaped = one.ndim == 4 and len(one) == sizes.images and one.size
  if one.dtype.kind != 'f' or not shaped:
    raise UserError(
      f'{where}: the features are {_shape(one)}, not numbers of the shape '
      '[images channels height width]; name a tensor of that shape, like the '
      'output of a convolution'
    )
  spatial = {True: one.shape[2:], False: one.shape[1:3]}
  tried = (channels_first, not channels_first)
  fits = [first for first in tried if _has_aspect(spatial[first], sizes.input)]
  exact = [f for f in fits if _deviation(spatial[f], sizes.input) == 0]
  if not fits:
    raise UserError(
      f'{where}: the features are {_shape(one)}, which has not the aspect '
      f'ratio of images of {sizes.input[0]}x{sizes.input[1]}; name a tensor '
      'that covers the whole image'
    )
  return (exact or fits)[0]


def _shape(found: np.ndarray) -> str:
  shape = ' '.join(str(side) for side in found.shape)
  return f'{found.dtype} [{shape}]'


def _check_kind(found: np.ndarray, sizes: Sizes, rules: OutputRules) -> None:
  """Raises UserError for what cannot be logits whatever its layout."""
  if found.dtype.kind not in 'fiub':
    raise UserError(
      f'{rules.where}: {_shape(found)} are no numbers; give back the logits'
    )
  flat = found.ndim == 4 and 1 in (found.shape[1], found.shape[3])
  some = found.ndim == 3 and any(
    rules.channels.fits(found.shape[axis]) for axis in (0, 2)
  )
  if some and sizes.images == 1 and found.dtype.kind == 'f':
    raise UserError(
      f'{rules.where}: {_shape(found)} has no axis of images; give back '
      '[images height width classes], of one image, too'
    )
  if found.dtype.kind != 'f' or found.ndim == 3 or flat:
    raise UserError(
      f'{rules.where}: {_shape(found)} is a class map or mask, which tells '
      f'nothing of confidence; {rules.export}'
    )
  if found.ndim != 4 or 0 in found.shape:
    raise UserError(
      f'{rules.where}: {_shape(found)} is no logit of each class at each '
      f'pixel, [images classes height width]; {rules.export}'
    )
  if len(found) != sizes.images:
    raise UserError(
      f'{rules.where}: of {sizes.images} images came {_shape(found)}; give '
      'back one entry an image along the first axis'
    )


def _deviation(size: Any, image: tuple[int, int]) -> int:
  """How far a size is from an image's aspect ratio; 0 = the same."""
  return abs(size[0] * image[1] - size[1] * image[0])


def _has_aspect(size: Any, image: tuple[int, int]) -> bool:
  """Whether a size is a fraction of an image's, up to one pixel each way."""
  return _deviation(size, image) <= sum(image)


def _is_channels_first(
  found: np.ndarray, sizes: Sizes, rules: OutputRules
) -> bool:
  """Which axis the classes are along."""
  counts = {True: found.shape[1], False: found.shape[3]}
  spatial = {True: found.shape[2:], False: found.shape[1:3]}
  tried = (rules.channels_first, not rules.channels_first)
  exact = [first for first in tried if spatial[first] == sizes.input]
  if len(exact) == 1:  # Of the two, only one can be a size.
    tried = (exact[0],)
  fit = [first for first in tried if rules.channels.fits(counts[first])]
  whole = [first for first in fit if _has_aspect(spatial[first], sizes.input)]
  if whole:
    return whole[0]
  if fit:
    height, width = spatial[fit[0]]
    raise UserError(
      f'{rules.where}: the logits are {height}x{width} for images of '
      f'{sizes.input[0]}x{sizes.input[1]}, which is another aspect ratio; give '
      'logits that cover the image exactly, without cropping or padding'
    )
  likely = [f for f in tried if _has_aspect(spatial[f], sizes.input)] or tried
  raise UserError(_count_sentence(counts[likely[0]], rules))


def _count_sentence(count: int, rules: OutputRules) -> str:
  classes = len(rules.channels.channels)
  if rules.channels.expected == 0:
    return (
      f'{rules.where}: the logits have {count} channels, but outputs.classes '
      f'names channel {rules.channels.least - 1}; channels count from 0'
    )
  start = (
    f'{rules.where}: the logits have {count} channels, but the class table has '
    f'{rules.channels.expected} classes; '
  )
  if count == rules.channels.expected + 1:
    last = rules.select.replace('CHANNELS', f'[0, 1, ..., {classes - 1}]')
    return (
      f'{start}if the last one is void or background, {last}, and if it is '
      f'the first, [1, 2, ..., {classes}]'
    )
  return f'{start}give the class table of the network (classes.json)'
