"""Every colour of plots, pages and pictures, but those of the classes.

Pages take theirs as CSS variables of the same names (`pages/base.html`), so
that a figure and the page around it look alike. Colours of the classes are
those of Cityscapes, in `common_lib.class_table`.
"""

from collections.abc import Mapping
from typing import NamedTuple

Rgb = tuple[int, int, int]


class Colors(NamedTuple):
  """The colours of a page, as `#rrggbb`.

  Attributes:
    page: behind everything.
    sheet: behind a section.
    ink: writing.
    faint: writing of less weight: captions, axes.
    line: rules of tables, grids of plots.
    edge: frames of pictures and plots.
    accent: links, the best of a column.
    soft: behind cards and commands.
    good: better beyond chance.
    good_soft: behind it.
    bad: worse beyond chance.
    bad_soft: behind it.
    mixed: better here, worse there.
    mixed_soft: behind it.
    picture: behind plots and pictures, which are drawn on white.
  """

  page: str
  sheet: str
  ink: str
  faint: str
  line: str
  edge: str
  accent: str
  soft: str
  good: str
  good_soft: str
  bad: str
  bad_soft: str
  mixed: str
  mixed_soft: str
  picture: str

  def variables(self) -> Mapping[str, str]:
    """The colours by the names of their CSS variables."""
    return {
      f'--{name.replace("_", "-")}': color
      for name, color in self._asdict().items()
    }


LIGHT = Colors(
  page='#f6f7f9',
  sheet='#ffffff',
  ink='#1f2733',
  faint='#5b6572',
  line='#dfe4ea',
  edge='#b6bdc6',
  accent='#00619b',
  soft='#eef4f9',
  good='#0b6b45',
  good_soft='#e0f3ea',
  bad='#a33a12',
  bad_soft='#fbe8e0',
  mixed='#7a5a00',
  mixed_soft='#fbf1d5',
  picture='#ffffff',
)

DARK = Colors(
  page='#14181d',
  sheet='#1c2229',
  ink='#e4e8ed',
  faint='#9aa5b1',
  line='#323b45',
  edge='#4a5561',
  accent='#6db8ec',
  soft='#202b36',
  good='#7ddcb0',
  good_soft='#16392b',
  bad='#ffab8a',
  bad_soft='#46241a',
  mixed='#f0cd6e',
  mixed_soft='#3d3316',
  picture='#ffffff',
)

#: Of methods in plots: the seven of Okabe and Ito, which people with
#: colour-blindness tell apart, and two more.
SERIES = (
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#000000',
  '#8b6f00',
  '#7a4fa3',
)

WHITE: Rgb = (255, 255, 255)
BLACK: Rgb = (0, 0, 0)

#: Wrong pixels.
ERROR: Rgb = (214, 40, 40)
#: Pixels without a label, and the stripes over them.
VOID: Rgb = BLACK
VOID_STRIPE: Rgb = (70, 70, 70)
#: Where an annotator is asked to look: the magenta of SegXAL's Fig. 3d.
PROMPT: Rgb = (255, 0, 200)
#: The same over colours of classes: magenta is hardly told from a sidewalk.
PROMPT_ON_CLASSES: Rgb = (0, 255, 255)


def rgb(color: str) -> Rgb:
  """Red, green and blue, 0 to 255, of `#rrggbb`."""
  return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def hexadecimal(color: Rgb) -> str:
  """`#rrggbb` of red, green and blue, 0 to 255."""
  return '#{:02x}{:02x}{:02x}'.format(*color)
