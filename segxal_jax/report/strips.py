"""Why an image was queried: its maps side by side (paper Fig. 2, 4 and 6)."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Bool, UInt8

from common_lib.class_table import VOID, ClassTable
from fsnet_jax.report import palette
from fsnet_jax.report.figures import canvas
from segxal_jax.queries import map_rendering
from segxal_jax.queries.storage import Maps

_COLUMNS = 5
_WRITING_WIDTH_PX = 340


def strip(
  maps: Maps,
  heading: str,
  answer: tuple[UInt8[np.ndarray, 'h w'], Bool[np.ndarray, 'h w']] | None,
  truth: UInt8[np.ndarray, 'h w'],
  classes: ClassTable,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Everything about one question, with a legend.

  Args:
    maps: of the question.
    heading: a line above.
    answer: label and asked pixels, or None without an answer.
    truth: ground truth.
    classes: of the labels.

  Returns:
    RGB picture.
  """
  image, values = maps.image, maps.maps
  pictures = [
    ('Image', map_rendering.photo(image)),
    ('Proximity', map_rendering.scalar(values['proximity'], 'cividis')),
    ('Grad-CAM', map_rendering.heat(image, values['cam'])),
    ('PAE: Grad-CAM of what is near', map_rendering.heat(image, values['pae'])),
    ('EBU: entropy', map_rendering.scalar(values['entropy'])),
    ('EEM with regions and prompts', _asked(maps)),
    ('Prediction', map_rendering.classes(maps.prediction, classes)),
  ]
  if answer is not None:
    pictures.append(
      (
        'Annotation (pale: not answered)',
        map_rendering.annotation(*answer, classes),
      )
    )
  pictures.append(('Ground truth', map_rendering.classes(truth, classes)))
  pictures.append(('True errors', _errors(maps, truth)))
  scale = max(1.0, pictures[0][1].shape[1] / _WRITING_WIDTH_PX)
  grid = canvas.grid(pictures, _COLUMNS, heading, scale)
  shown = [maps.prediction, truth] + ([answer[0]] if answer else [])
  return canvas.stack([grid, _legend(shown, classes, grid.shape[1], scale)])


def through_cycles(
  history: Sequence[Maps],
  truth: UInt8[np.ndarray, 'h w'],
  heading: str,
  classes: ClassTable,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """One image through all cycles (paper Fig. 4): columns are cycles.

  Args:
    history: its maps after each cycle's training, at least one.
    truth: ground truth.
    heading: a line above.
    classes: of the labels.
  """
  rows = (
    ('prediction', lambda m: map_rendering.classes(m.prediction, classes)),
    ('entropy', lambda m: map_rendering.scalar(m.maps['entropy'])),
    ('Grad-CAM', lambda m: map_rendering.heat(m.image, m.maps['cam'])),
    ('PAE', lambda m: map_rendering.heat(m.image, m.maps['pae'])),
    ('EEM', _asked),
  )
  first = history[0]
  left = (
    ('Image', map_rendering.photo(first.image)),
    ('Ground truth', map_rendering.classes(truth, classes)),
    ('Proximity', map_rendering.scalar(first.maps['proximity'], 'cividis')),
    (
      'Input of PAE',
      map_rendering.dimmed(first.image, first.maps['proximity']),
    ),
    ('True errors after the last cycle', _errors(history[-1], truth)),
  )
  pictures = []
  for (title, draw), beside in zip(rows, left, strict=True):
    pictures.append(beside)
    pictures += [
      (f'Cycle {cycle}: {title}', draw(maps))
      for cycle, maps in enumerate(history, 1)
    ]
  scale = max(1.0, pictures[0][1].shape[1] / _WRITING_WIDTH_PX)
  grid = canvas.grid(pictures, 1 + len(history), heading, scale)
  shown = [truth, *(maps.prediction for maps in history)]
  return canvas.stack([grid, _legend(shown, classes, grid.shape[1], scale)])


def _asked(maps: Maps) -> np.ndarray:
  """The error mask, stretched to its own largest value, and the prompts."""
  mask = maps.maps['eem']
  largest = max(float(mask.max()), 1e-6)
  tile = map_rendering.heat(maps.image, mask / largest)
  return map_rendering.prompts(tile, maps.segments, maps.regions)


def _errors(maps: Maps, truth: np.ndarray) -> np.ndarray:
  """Where the prediction is wrong, void aside."""
  wrong = (truth != VOID) & (maps.prediction != truth)
  return map_rendering.marked(maps.image, wrong)


def _legend(
  label_maps: Sequence[np.ndarray],
  classes: ClassTable,
  width_px: int,
  scale: float,
) -> np.ndarray:
  """The classes that occur, the prompt, and the scale of the heat."""
  present = np.unique(np.concatenate([m.ravel() for m in label_maps]))
  swatches = [
    (classes.colors[index], classes.names[index])
    for index in present
    if index < classes.num_classes
  ]
  swatches += [
    (palette.VOID, 'void'),
    (palette.PROMPT, 'prompt point'),
  ]
  colors = matplotlib.colormaps['inferno'](np.linspace(0, 1, 256), bytes=True)
  bar = canvas.ColorBar(
    title='Heat: each map on its own scale from 0 to 1',
    colors=np.ascontiguousarray(colors[:, :3]),
    ticks=[(0.0, '0'), (0.5, '0.5'), (1.0, '1')],
  )
  return canvas.legend(swatches, bar, width_px, scale)
