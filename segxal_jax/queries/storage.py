"""Questions on disk: the maps of an image and the selected regions.

An oracle answers what is written here, also one that answers days later, and
a resumed run puts exactly the questions of the interrupted one.
"""

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from common_lib import files
from common_lib.errors import UserError
from common_lib.npz import read_npz
from segxal_jax.queries.region_selectors import RegionSelector
from segxal_jax.queries.regions import Region
from segxal_jax.queries.types import Question

# Those with a picture in the report, all in [0, 1]; half precision is far
# finer than a colour.
MAPS = ('entropy', 'proximity', 'cam', 'pae', 'eem', 'failure')
_TYPES = {
  'image': np.uint8,
  'prediction': np.uint8,
  'usable': np.bool_,
  'segments': np.int32,
  'regions': np.float64,
}
# Which of them there are depends on the networks and on the strategy.
_OPTIONAL = {'guide', 'failure', 'cam'}
_RESTORE = 'restore it from a backup or choose another --workdir'
# Their names for annotators.
_PARTS = {'pae': 'proximity'}


@dataclasses.dataclass(frozen=True)
class Maps:
  """What was written about an image.

  Attributes:
    image: RGB.
    prediction: classes.
    confidence: probability of those classes.
    maps: those of `MAPS` that there are, float32 [h w].
    usable: False on the ego vehicle.
    segments: numbers of the regions.
    regions: the selected ones.
    guide: the map that ranked them, where it is not the error mask.
  """

  image: UInt8[np.ndarray, 'h w 3']
  prediction: UInt8[np.ndarray, 'h w']
  confidence: np.ndarray
  maps: Mapping[str, np.ndarray]
  usable: Bool[np.ndarray, 'h w']
  segments: np.ndarray
  regions: tuple[Region, ...]
  guide: np.ndarray | None = None

  def question(
    self, cycle: int, index: int, id: str, weights: Mapping[str, float]
  ) -> Question:
    """The part that an oracle gets to see.

    Args:
      cycle: of the loop.
      index: of the image in the pool.
      id: name of the image.
      weights: of the maps that the error mask is made of.
    """
    return Question(
      cycle=cycle,
      index=index,
      id=id,
      image=self.image,
      prediction=self.prediction,
      confidence=self.confidence,
      eem=self.maps['eem'] if self.guide is None else self.guide,
      usable=self.usable,
      segments=self.segments,
      regions=self.regions,
      parts=self._parts(weights) if self.guide is None else {},
    )

  def _parts(self, weights: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The weighted maps, by their names for annotators."""
    return {
      _PARTS.get(name, name): weight * self.maps[name]
      for name, weight in weights.items()
      if weight
    }


def path(folder: Path, index: int) -> Path:
  """The file of an image by its index in the pool."""
  return folder / f'{index:07d}.npz'


def write(
  file: Path,
  image: UInt8[np.ndarray, 'h w 3'],
  maps: Mapping[str, np.ndarray],
  usable: Bool[np.ndarray, 'h w'],
  selector: RegionSelector,
  rng: np.random.Generator,
) -> None:
  """Selects the regions of the query, and writes everything.

  Args:
    file: of the image.
    image: RGB.
    maps: of `explanation.step.make_maps_step` (or `from_outputs`), and
      `proximity`.
    usable: False on the ego vehicle.
    selector: of the regions.
    rng: for selectors that draw.
  """
  stored = {
    name: maps[name].astype(np.float16)
    for name in (*MAPS, 'confidence', 'guide')
    if name in maps
  }
  # Ranked by what is stored, so that a reader comes to the same ranking.
  guide = stored.get('guide', stored['eem']).astype(np.float32)
  segments, ranked = selector.select(image, guide, usable, rng)
  content = io.BytesIO()
  np.savez_compressed(
    content,
    image=image,
    prediction=maps['prediction'],
    usable=usable,
    segments=segments,
    regions=np.array(ranked, np.float64).reshape(-1, 4),
    # No map is named allow_pickle, which is NumPy's own keyword.
    **stored,  # pyrefly: ignore[bad-argument-type]
  )
  files.write_bytes(file, content.getvalue())


def read(file: Path, fix: str = _RESTORE) -> Maps:
  """What `write` wrote.

  Args:
    file: of the image.
    fix: what the user can do if it is damaged, for the message.

  Raises:
    UserError: it is missing or damaged.
  """
  what = 'the maps of an image'
  arrays = read_npz(file, what=what, fix=fix)
  problem = _problem(arrays)
  if problem:
    raise UserError(f'{file}, {what}, is damaged ({problem}): {fix}.')
  guide = arrays.get('guide')
  return Maps(
    image=arrays['image'],
    prediction=arrays['prediction'],
    confidence=arrays['confidence'].astype(np.float32),
    maps={
      name: arrays[name].astype(np.float32) for name in MAPS if name in arrays
    },
    usable=arrays['usable'],
    segments=arrays['segments'],
    regions=tuple(
      Region(int(row[0]), float(row[1]), int(row[2]), int(row[3]))
      for row in arrays['regions']
    ),
    guide=None if guide is None else guide.astype(np.float32),
  )


def _problem(arrays: Mapping[str, np.ndarray]) -> str:
  """What is wrong with the arrays of a file, or ''."""
  expected = _TYPES | dict.fromkeys((*MAPS, 'confidence', 'guide'), np.float16)
  missing = expected.keys() - arrays.keys() - _OPTIONAL
  if missing:
    return f'it lacks {min(missing)}'
  unknown = arrays.keys() - expected.keys()
  if unknown:
    return f'it has the unknown {min(unknown)}'
  size = arrays['prediction'].shape
  for name, array in arrays.items():
    if array.dtype != expected[name]:
      return f'{name} is of the type {array.dtype}'
    shape = (*size, 3) if name == 'image' else size
    if len(size) != 2 or (name != 'regions' and array.shape != shape):
      return f'{name} has the shape {array.shape}'
  regions, segments = arrays['regions'], arrays['segments']
  if regions.ndim != 2 or regions.shape[1] != 4:
    return f'regions has the shape {regions.shape}'
  limits = (segments.max(initial=-1) + 1, np.inf, *size)
  inside = (regions[:, [0, 2, 3]] >= 0) & (regions < limits)[:, [0, 2, 3]]
  return '' if inside.all() else 'a region lies outside the image'
