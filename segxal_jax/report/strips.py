"""Why an image was queried: its maps side by side (paper Fig. 2, 4 and 6)."""

from collections.abc import Callable, Sequence

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
  truth: UInt8[np.ndarray, 'h w'] | None,
  classes: ClassTable,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Everything about one question, with a legend.

  Args:
    maps: of the question.
    heading: a line above.
    answer: label and asked pixels, or None without an answer.
    truth: ground truth, or None where the data set has none.
    classes: of the labels.

  Returns:
    RGB picture.
  """
  image, values = maps.image, maps.maps
  pictures = [
    ('Image', map_rendering.photo(image)),
    ('Proximity', map_rendering.scalar(values['proximity'], 'cividis')),
  ]
  if 'cam' in values:
    near = map_rendering.heat(image, values['pae'])
    pictures += [
      ('Grad-CAM', map_rendering.heat(image, values['cam'])),
      ('PAE: Grad-CAM of what is near', near),
    ]
  pictures += [
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
  shown = [maps.prediction] + ([answer[0]] if answer else [])
  if truth is not None:
    pictures.append(('Ground truth', map_rendering.classes(truth, classes)))
    pictures.append(('True errors', _errors(maps, truth)))
    shown.append(truth)
  scale = max(1.0, pictures[0][1].shape[1] / _WRITING_WIDTH_PX)
  grid = canvas.grid(pictures, _COLUMNS, heading, scale)
  return canvas.stack([grid, _legend(shown, classes, grid.shape[1], scale)])


def through_cycles(
  history: Sequence[Maps],
  truth: UInt8[np.ndarray, 'h w'] | None,
  heading: str,
  classes: ClassTable,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """One image through all cycles (paper Fig. 4): columns are cycles.

  Args:
    history: its maps after each cycle's training, at least one.
    truth: ground truth, or None where the data set has none.
    heading: a line above.
    classes: of the labels.
  """
  rows: list[tuple[str, Callable[[Maps], np.ndarray]]] = [
    ('prediction', lambda m: map_rendering.classes(m.prediction, classes)),
    ('entropy', lambda m: map_rendering.scalar(m.maps['entropy'])),
    ('EEM', _asked),
  ]
  if all('cam' in maps.maps for maps in history):
    rows[2:2] = [
      ('Grad-CAM', lambda m: map_rendering.heat(m.image, m.maps['cam'])),
      ('PAE', lambda m: map_rendering.heat(m.image, m.maps['pae'])),
    ]
  pictures = []
  left = _beside(history, truth, classes, len(rows))
  for (title, draw), beside in zip(rows, left, strict=True):
    pictures.append(beside)
    pictures += [
      (f'Cycle {cycle}: {title}', draw(maps))
      for cycle, maps in enumerate(history, 1)
    ]
  scale = max(1.0, pictures[0][1].shape[1] / _WRITING_WIDTH_PX)
  grid = canvas.grid(pictures, 1 + len(history), heading, scale)
  shown = [] if truth is None else [truth]
  shown += [maps.prediction for maps in history]
  return canvas.stack([grid, _legend(shown, classes, grid.shape[1], scale)])


def _beside(
  history: Sequence[Maps],
  truth: np.ndarray | None,
  classes: ClassTable,
  rows: int,
) -> list[tuple[str, np.ndarray]]:
  """The first column: so many pictures, white where nothing is left to show."""
  first = history[0]
  near = first.maps['proximity']
  left = [
    ('Image', map_rendering.photo(first.image)),
    ('Proximity', map_rendering.scalar(near, 'cividis')),
    ('Input of PAE', map_rendering.dimmed(first.image, near)),
  ]
  if truth is not None:
    left.insert(1, ('Ground truth', map_rendering.classes(truth, classes)))
    errors = _errors(history[-1], truth)
    left.append(('True errors after the last cycle', errors))
  white = np.full_like(left[0][1], 255)
  left += [('', white)] * (rows - len(left))
  return left[:rows]


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
