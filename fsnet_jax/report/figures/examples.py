"""Example pictures: what the network saw, said, got wrong, and doubted.

The panel follows the paper's Fig. 4 (image, ground truth, prediction, failure
map) with the true errors beside (Fig. 1c) and one failure map a detector.

Failure scores of different detectors live on different scales, so a map shows
ranks, not values: the colour tells how far up a pixel stands among the
labelled pixels of its image. Every map of an image then spends the same
amount of each colour, and only the places differ.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image

from common_lib.class_table import CITYSCAPES, ClassTable
from fsnet_jax.report import measures, palette
from fsnet_jax.report.figures import canvas

# Width of one picture in a panel: small ones are enlarged by a whole factor,
# large ones reduced.
MIN_TILE_WIDTH_PX = 256
MAX_TILE_WIDTH_PX = 512

# The top 1% of the pixels get the brightest colour.
_TOP_SHARE = 0.01
_COLUMNS = 4
# Writing has its usual size on pictures of this width, more on wider ones.
_WRITING_WIDTH_PX = 320


@dataclasses.dataclass(frozen=True)
class Example:
  """One image with everything a panel shows.

  Attributes:
    id: name of the image in its data set.
    image: RGB.
    label: ground truth, trainId 0..18 or 255 for void.
    prediction: trainId 0..18 of every pixel, void ones included.
    valid: False where the label is void; these pixels count nowhere.
    failure: score of each detector by its name, higher = more likely wrong,
      any finite range.

  Raises:
    ValueError: shapes that differ, or a score that is not finite.
  """

  # Underscores: sizes are compared below, with a message that names the part.
  id: str
  image: UInt8[np.ndarray, '_h _w 3']
  label: UInt8[np.ndarray, '_h _w']
  prediction: UInt8[np.ndarray, '_h _w']
  valid: Bool[np.ndarray, '_h _w']
  failure: Mapping[str, Float32[np.ndarray, '_h _w']]

  def __post_init__(self):
    size = self.image.shape[:2]
    parts = {
      'label': self.label,
      'prediction': self.prediction,
      'valid': self.valid,
      **self.failure,
    }
    for name, part in parts.items():
      if part.shape != size:
        raise ValueError(
          f'Example {self.id!r}: {name} has shape {part.shape}, the image'
          f' {size}.'
        )
    for name, score in self.failure.items():
      if not np.isfinite(score).all():
        raise ValueError(f'Example {self.id!r}: {name} has non-finite scores.')

  def cropped(self, content: Int[np.ndarray, '4']) -> 'Example':
    """The part of the pictures that is scene, not a letterbox's bars.

    Args:
      content: top, left, bottom and right, the last two exclusive, pixels.
    """
    top, left, bottom, right = content
    rows, columns = slice(top, bottom), slice(left, right)
    return Example(
      id=self.id,
      image=self.image[rows, columns],
      label=self.label[rows, columns],
      prediction=self.prediction[rows, columns],
      valid=self.valid[rows, columns],
      failure={
        name: score[rows, columns] for name, score in self.failure.items()
      },
    )

  @property
  def wrong(self) -> Bool[np.ndarray, 'h w']:
    """The true errors: prediction differs from the label, void excluded."""
    return self.valid & (self.label != self.prediction)


def example_panel(
  example: Example, detectors: Sequence[str]
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Draws one example with titles and a legend.

  Args:
    example: the image and its maps.
    detectors: names of the failure maps to show, in this order.

  Returns:
    The picture, RGB.

  Raises:
    ValueError: a detector without a map in the example.
  """
  return example_sheet([example], detectors)


def example_sheet(
  examples: Sequence[Example],
  detectors: Sequence[str],
  columns: int = _COLUMNS,
  titles: Mapping[str, str] | None = None,
  classes: ClassTable = CITYSCAPES,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Draws several examples below each other with one legend.

  Args:
    examples: at least one.
    detectors: names of the failure maps to show, in this order.
    columns: pictures in a row; there are four and one for each detector.
    titles: of detectors by their names; those of the package's own are known.
    classes: that labels and predictions are of.

  Returns:
    The picture, RGB.

  Raises:
    ValueError: no example, or a detector without a map in one of them.
  """
  if not examples:
    raise ValueError('An example sheet needs at least one example.')
  blocks = []
  tile_width = max(_tile_size(*e.valid.shape)[1] for e in examples)
  scale = max(1.0, tile_width / _WRITING_WIDTH_PX)
  for example in examples:
    missing = [name for name in detectors if name not in example.failure]
    if missing:
      raise ValueError(
        f'Example {example.id!r} has no failure map of {", ".join(missing)}.'
      )
    heading = (
      f'{example.id}   {measures.format_percent(_error_rate(example))} of'
      f' {int(example.valid.sum()):,} labelled pixels wrong'
    )
    named = {n: (titles or {}).get(n) for n in detectors}
    tiles = _tiles(example, named, classes)
    blocks.append(canvas.grid(tiles, columns, heading, scale))
  present = np.unique(
    np.concatenate(
      [part[e.valid] for e in examples for part in (e.label, e.prediction)]
    )
  )
  swatches = [
    (classes.colors[index], classes.names[index])
    for index in present
    if index < classes.num_classes
  ]
  legend = canvas.legend(
    [*swatches, (palette.VOID, 'void'), (palette.ERROR, 'wrong')],
    _color_bar(),
    width_px=max(block.shape[1] for block in blocks),
    scale=scale,
  )
  return canvas.stack([*blocks, legend])


def failure_overlay(
  image: UInt8[np.ndarray, '_h _w 3'],
  failure: Float[np.ndarray, '_h _w'],
  scale: Literal['rank', 'probability'] = 'rank',
) -> UInt8[np.ndarray, '_h _w 3']:
  """Lays a failure map over its image, for a look during training.

  Args:
    image: RGB.
    failure: higher = more likely wrong; finite. With `scale="probability"` in
      [0, 1].
    scale: `rank` colours the most suspicious tenth of the pixels whatever
      their scores; `probability` colours by the score itself, so an image
      without doubt stays plain.

  Returns:
    The grey image, red where the failure score is high; the image's size.

  Raises:
    ValueError: shapes that differ, scores that are not finite, or
      probabilities outside [0, 1].
  """
  if failure.shape != image.shape[:2]:
    raise ValueError(
      f'The failure map has shape {failure.shape}, the image {image.shape[:2]}.'
    )
  if not np.isfinite(failure).all():
    raise ValueError('The failure map has non-finite scores.')
  if scale == 'rank':
    strength = suspicion(failure, np.ones(failure.shape, np.bool_))
    # Below the top tenth (half way up the log scale) nothing is coloured.
    opacity = np.clip(2.0 * strength - 1.0, 0.0, 1.0)
  else:
    if failure.size and not 0 <= failure.min() <= failure.max() <= 1:
      raise ValueError('A probability lies outside [0, 1].')
    opacity = failure.astype(np.float64)
  opacity = 0.85 * opacity[..., None]
  mixed = (1 - opacity) * _grey(image) + opacity * np.array(palette.ERROR)
  return mixed.round().astype(np.uint8)


def suspicion(
  failure: Float[np.ndarray, 'h w'], valid: Bool[np.ndarray, 'h w']
) -> Float[np.ndarray, 'h w']:
  """Turns failure scores into their place in the ranking, on a log scale.

  A pixel that is among the top share q of the valid pixels gets
  log(q) / log(0.01), limited to [0, 1]: 0 for the most trusted one, 0.5 in the
  top 10%, 1 in the top 1%. Equal scores share the middle of their places.

  Args:
    failure: higher = more likely wrong; finite.
    valid: pixels that take part; the others get 0.

  Returns:
    float64 in [0, 1].
  """
  result = np.zeros(failure.shape)
  share = 1.0 - _mid_ranks(failure[valid])
  result[valid] = np.clip(np.log(share) / math.log(_TOP_SHARE), 0.0, 1.0)
  return result


def image_auroc(example: Example, detector: str) -> float | None:
  """Returns a detector's AUROC within one image.

  The Mann-Whitney form: the mean rank of the wrong pixels, shifted and scaled.

  Args:
    example: the image.
    detector: name of one of its failure maps.

  Returns:
    A fraction, or None where no pixel or every pixel is wrong.
  """
  wrong = example.wrong[example.valid]
  errors, total = int(wrong.sum()), wrong.size
  if errors in (0, total):
    return None
  ranks = _mid_ranks(example.failure[detector][example.valid]) * total
  excess = ranks[wrong].sum() - errors * errors / 2
  return float(excess / (errors * (total - errors)))


def errors_picture(example: Example) -> UInt8[np.ndarray, 'th tw 3']:
  """Draws the true errors at the size that a panel shows them.

  Args:
    example: the image.

  Returns:
    The pale grey image with wrong pixels in red and void ones black
    with stripes.
  """
  # Grey between 150 and 255: a quiet ground that still shows the place.
  pale = 150 + _grey(example.image) * (105 / 255)
  tile = _resize(pale.round().astype(np.uint8), Image.Resampling.BICUBIC)
  tile[_resize_mask(example.wrong)] = palette.ERROR
  _hatch(tile, _resize_mask(~example.valid))
  return tile


def _mid_ranks(scores: Float[np.ndarray, ' n']) -> Float[np.ndarray, ' n']:
  """Returns each score's place in (0, 1), ties in the middle of theirs."""
  _, inverse, counts = np.unique(
    scores, return_inverse=True, return_counts=True
  )
  middle = np.cumsum(counts) - counts / 2
  return middle[inverse] / max(1, scores.size)


def _error_rate(example: Example) -> float | None:
  """Returns the share of wrong pixels, or None where all is void."""
  total = int(example.valid.sum())
  return float(example.wrong.sum() / total) if total else None


def _tiles(
  example: Example,
  detectors: Mapping[str, str | None],
  classes: ClassTable,
) -> list[tuple[str, UInt8[np.ndarray, 'th tw 3']]]:
  """Returns the titled pictures of one example, all of one size."""
  smooth, sharp = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
  tiles = [
    ('Image', _resize(example.image, smooth)),
    ('Ground truth', _resize(classes.colorize(example.label), sharp)),
    ('Prediction', _resize(classes.colorize(example.prediction), sharp)),
    ('True errors', errors_picture(example)),
  ]
  for name, title in detectors.items():
    strength = suspicion(example.failure[name], example.valid)
    tile = _resize(_colored(strength), sharp)
    _hatch(tile, _resize_mask(~example.valid))
    title = title or measures.detector_title(name)
    auroc = image_auroc(example, name)
    if auroc is not None:
      title += f' (AUROC {100 * auroc:.1f})'
    tiles.append((title, tile))
  return tiles


def _hatch(
  tile: UInt8[np.ndarray, 'th tw 3'], void: Bool[np.ndarray, 'th tw']
) -> None:
  """Paints void black with diagonal grey stripes, in place."""
  rows, columns = np.indices(void.shape)
  tile[void] = palette.VOID
  tile[void & ((rows + columns) % 8 < 2)] = palette.VOID_STRIPE


def _grey(image: UInt8[np.ndarray, 'h w 3']) -> Float[np.ndarray, 'h w 3']:
  """Returns the luma (ITU-R BT.601) in all three channels, 0..255."""
  luma = image @ np.array([0.299, 0.587, 0.114])
  return np.repeat(luma[..., None], 3, axis=-1)


def _colored(
  strength: Float[np.ndarray, 'h w'],
) -> UInt8[np.ndarray, 'h w 3']:
  """Paints values in [0, 1] in a perceptually uniform colour map."""
  import matplotlib  # Slow, and needed at the end of a command alone.

  return matplotlib.colormaps['inferno'](strength, bytes=True)[..., :3]


def _color_bar() -> canvas.ColorBar:
  """Returns the scale of the failure maps."""
  ticks = [(0.0, 'all'), (0.15, '50%'), (0.5, '10%'), (1.0, '1%')]
  return canvas.ColorBar(
    title='Failure maps show ranks: pixel is among the most suspicious',
    colors=_colored(np.linspace(0, 1, 256)[None])[0],
    ticks=ticks,
  )


def _tile_size(height: int, width: int) -> tuple[int, int]:
  """Returns the height and width that a picture is shown at."""
  if width < MIN_TILE_WIDTH_PX:
    factor = math.ceil(MIN_TILE_WIDTH_PX / width)
    return height * factor, width * factor
  if width > MAX_TILE_WIDTH_PX:
    return (
      max(1, round(height * MAX_TILE_WIDTH_PX / width)),
      MAX_TILE_WIDTH_PX,
    )
  return height, width


def _resize(
  picture: UInt8[np.ndarray, 'h w 3'], resampling: Image.Resampling
) -> UInt8[np.ndarray, 'th tw 3']:
  """Brings a picture to the size of a tile; returns a writable copy."""
  height, width = _tile_size(*picture.shape[:2])
  resized = Image.fromarray(picture).resize((width, height), resampling)
  return np.array(resized)


def _resize_mask(
  mask: Bool[np.ndarray, 'h w'],
) -> Bool[np.ndarray, 'th tw']:
  """Brings a mask to the size of a tile, nearest pixel."""
  height, width = _tile_size(*mask.shape)
  # Image.fromarray reads numpy bools as bits, so the mask goes as bytes.
  picture = Image.fromarray(mask.astype(np.uint8))
  return np.array(picture.resize((width, height), Image.Resampling.NEAREST)) > 0
