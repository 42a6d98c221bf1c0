"""Pixels packed for ranking: on device for a batch, on the host for many."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, Integer

from fsnet_jax.metrics.calibration import Calibration
from fsnet_jax.metrics.ranking.ranking import Ranking
from fsnet_jax.metrics.ranking.score_keys import finite_scores, score_keys

# Code of a pixel: twice its group, plus one if it is wrong.
#: This code: the pixel does not count.
NOT_COUNTED = 0xFFFF
_MAX_GROUPS = NOT_COUNTED // 2


@flax.struct.dataclass
class PixelKeys:
  """Pixels of one batch, ready to be ranked.

  Attributes:
    keys: uint32 [n], `score_keys` of the scores.
    codes: uint16 [n], 2 group + wrong, or 65535 where not counted.
    faults: int32 [2], valid pixels whose score is not finite, and those whose
      group is not one of the groups; neither is counted.
    num_groups: number of groups.
  """

  keys: Any
  codes: Any
  faults: Any
  num_groups: int = flax.struct.field(pytree_node=False)


def pixel_keys(
  score: Float[Array, '*p'],
  wrong: Bool[Array, '*p'],
  valid: Bool[Array, '*p'],
  group: Integer[Array, '*p'],
  num_groups: int,
) -> PixelKeys:
  """Packs the pixels of a batch; runs under jit.

  Args:
    score: higher = more likely wrong; any finite float32.
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts; elsewhere anything may stand.
    group: 0..`num_groups` - 1, usually the true class.
    num_groups: number of groups.

  Returns:
    The pixels.

  Raises:
    ValueError: if the arrays differ in shape, or there are too many groups.
  """
  shapes = {np.shape(array) for array in (score, wrong, valid, group)}
  if len(shapes) > 1:
    raise ValueError(
      f'score, wrong, valid and group differ in shape: {sorted(shapes)}'
    )
  if not 0 < num_groups <= _MAX_GROUPS:
    raise ValueError(f'{num_groups} groups are not in 1..{_MAX_GROUPS}')
  score, wrong, valid = score.reshape(-1), wrong.reshape(-1), valid.reshape(-1)
  group = group.reshape(-1).astype(jnp.int32)
  finite = finite_scores(score)
  known = (group >= 0) & (group < num_groups)
  counted = valid & finite & known
  codes = jnp.where(counted, 2 * group + wrong, NOT_COUNTED)
  return PixelKeys(
    keys=score_keys(score),
    codes=codes.astype(jnp.uint16),
    faults=_faults(valid, counted, finite, known),
    num_groups=num_groups,
  )


def _faults(
  valid: Bool[Array, ' n'],
  counted: Bool[Array, ' n'],
  finite: Bool[Array, ' n'],
  known: Bool[Array, ' n'],
) -> Int32[Array, '2']:
  """Numbers of valid pixels whose score is not finite, or group unknown."""
  return jax.lax.cond(
    # Whether there is any is told much faster than how many there are.
    jnp.max((valid != counted).astype(jnp.uint8), initial=0) > 0,
    lambda: jnp.stack(
      [jnp.sum(valid & ~finite), jnp.sum(valid & ~known)]
    ).astype(jnp.int32),
    lambda: jnp.zeros(2, jnp.int32),
  )


@dataclasses.dataclass(frozen=True)
class PixelStore:
  """Packed pixels on the host.

  Attributes:
    num_groups: number of groups.
    keys: chunks of uint32, `score_keys` of the scores.
    codes: chunks of uint16 of the same lengths, 2 group + wrong.
  """

  num_groups: int
  keys: tuple[np.ndarray, ...] = ()
  codes: tuple[np.ndarray, ...] = ()

  def __len__(self) -> int:
    return sum(map(len, self.keys))

  def num_counted(self) -> int:
    """How many of the pixels count."""
    last = 2 * self.num_groups
    return sum(int(np.count_nonzero(codes < last)) for codes in self.codes)

  def add(
    self,
    keys: Array | np.ndarray,
    codes: Array | np.ndarray,
    keep: np.ndarray | None = None,
  ) -> 'PixelStore':
    """Returns the store with the counted pixels of one batch added.

    Args:
      keys: `PixelKeys.keys`.
      codes: `PixelKeys.codes`.
      keep: bool [g], the groups to keep; None keeps all.
    """
    return self.append(
      *_select(np.asarray(keys), np.asarray(codes), keep, self.num_groups)
    )

  def append(self, keys: np.ndarray, codes: np.ndarray) -> 'PixelStore':
    """Returns the store with pixels added as they are."""
    if not len(keys):
      return self
    return PixelStore(self.num_groups, (*self.keys, keys), (*self.codes, codes))

  def only(self, keep: np.ndarray | None = None) -> 'PixelStore':
    """Returns the counted pixels, of the groups in `keep` as in `add`."""
    store = PixelStore(self.num_groups)
    for keys, codes in zip(self.keys, self.codes):
      store = store.add(keys, codes, keep)
    return store

  def merge(self, other: 'PixelStore') -> 'PixelStore':
    """Returns the pixels of both."""
    return PixelStore(
      self.num_groups, self.keys + other.keys, self.codes + other.codes
    )

  def arrays(self) -> tuple[np.ndarray, np.ndarray]:
    """All keys and all codes, each in one array."""
    return (
      np.concatenate([np.zeros(0, np.uint32), *self.keys]),
      np.concatenate([np.zeros(0, np.uint16), *self.codes]),
    )

  def ranking(self) -> Ranking:
    """Ranks all pixels together."""
    keys, codes = self.arrays()
    wrong = (codes & 1).astype(bool)
    return rank_pixels(keys[~wrong], keys[wrong])

  def rankings(self) -> list[Ranking]:
    """Ranks the pixels of each group."""
    keys, codes = self.arrays()
    # A stable sort of few small numbers is one of buckets.
    small = codes.astype(np.min_scalar_type(2 * self.num_groups))
    keys = keys[np.argsort(small, kind='stable')]
    ends = np.cumsum(np.bincount(small, minlength=2 * self.num_groups))
    parts = np.split(keys, ends[:-1])
    return [rank_pixels(*pair) for pair in zip(parts[::2], parts[1::2])]


def _select(
  keys: np.ndarray,
  codes: np.ndarray,
  keep: np.ndarray | None,
  num_groups: int,
) -> tuple[np.ndarray, np.ndarray]:
  """The counted pixels of the groups to keep; None: of all."""
  counted = codes < 2 * num_groups
  if keep is not None and not keep.all():
    # Clipped, what does not count is the last.
    counted = np.append(np.repeat(keep, 2), False).take(codes, mode='clip')
  # Much faster than indexing by a mask.
  places = np.flatnonzero(counted)
  if len(places) == len(keys):
    return keys, codes
  return keys[places], codes[places]


def rank_pixels(right: np.ndarray, wrong: np.ndarray) -> Ranking:
  """Ranks single pixels.

  Args:
    right: uint32, score keys of the rightly segmented pixels, in any order.
    wrong: uint32, of the wrongly segmented ones.

  Returns:
    An exact ranking, of as few steps as it takes.
  """
  keys, wrong = _merged(np.sort(right), np.sort(wrong))
  size = len(keys)
  # Whether pixel i starts a new score, and whether it is alone with it.
  fresh = np.ones(size + 1, bool)
  fresh[1:size] = keys[1:] != keys[:-1]
  alone = fresh[:-1] & fresh[1:]
  # Neighbours alone with their scores, all right or all wrong, make one
  # untied step: with a single kind of pixel their order is no question.
  fresh[1:size] &= ~(alone[1:] & alone[:-1] & (wrong[1:] == wrong[:-1]))
  ends = np.flatnonzero(fresh)
  total = np.diff(ends)
  errors = np.concatenate([[0], np.cumsum(wrong, dtype=np.int64)])
  errors = np.diff(errors[ends])
  tied = ~alone[ends[:-1]]
  return Ranking((total - errors)[::-1], errors[::-1], tied[::-1], exact=True)


def _merged(
  right: np.ndarray, wrong: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Two sorted arrays in one, and which of it is of the second."""
  few, many = (wrong, right) if len(wrong) < len(right) else (right, wrong)
  # Both sorted, so the searches walk through `many` once.
  places = np.searchsorted(many, few) + np.arange(len(few))
  of_few = np.zeros(len(right) + len(wrong), bool)
  of_few[places] = True
  keys = np.empty(len(of_few), np.uint32)
  keys[places] = few
  keys[np.flatnonzero(~of_few)] = many  # much faster than by a mask
  return keys, of_few if few is wrong else ~of_few


def raise_for_faults(faults: np.ndarray, calibration: Calibration) -> None:
  """Refuses to compute metrics of pixels that could not be counted.

  Args:
    faults: int64 [2], as `PixelKeys.faults`.
    calibration: sums of the same pixels.

  Raises:
    ValueError: if there is any fault, with how many pixels it concerns.
  """
  non_finite, foreign = (int(count) for count in faults)
  if non_finite:
    raise ValueError(
      f'{non_finite} valid pixels have a failure score that is NaN or infinite'
    )
  if foreign:
    raise ValueError(
      f'{foreign} valid pixels are in none of the groups: mark void as invalid'
    )
  if calibration.invalid:
    raise ValueError(
      f'{calibration.invalid} valid pixels have a probability of being wrong '
      'that is not in [0, 1]'
    )
