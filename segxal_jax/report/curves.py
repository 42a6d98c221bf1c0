"""Learning curves: mIoU against what was paid."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fsnet_jax.report import palette
from fsnet_jax.report.figures import figure_style

UNITS = ('images', 'pixels', 'clicks')
#: What grows where nothing is paid either: the labelled pool D^L, in images.
POOL = 'pool'
#: What curves and areas are over.
AXES = (*UNITS, POOL)
_TITLES = {
  POOL: 'images in the labelled pool',
  'images': 'images opened by an annotator',
  'pixels': 'labelled pixels',
  'clicks': 'clicks (corners of outlines)',
}
# Markers tell the same as colours.
_MARKERS = 'os^DvPX<>'
_LOOKS = tuple(zip(palette.SERIES, _MARKERS, strict=True))
# Of the methods beyond those looks.
_LINES = ('-', '--', ':')
_MOST_BANDS = 5


class Curve(NamedTuple):
  """One method on one data set.

  Attributes:
    title: for the legend.
    runs: for each seed the points (cost, mIoU), by axis.
  """

  title: str
  runs: Sequence[Mapping[str, Sequence[tuple[float, float]]]]


def points(
  cycles: Sequence[Mapping[str, Any]], dataset: str, unit: str
) -> list[tuple[float, float]]:
  """(paid, mIoU) after each cycle; mIoU not defined is left out.

  By `POOL` it is (images in the labelled pool, mIoU).
  """
  pairs = []
  for entry in cycles:
    miou = entry['datasets'][dataset]['segmentation']['miou']
    paid = entry['labelled_images'] if unit == POOL else entry['cost'][unit]
    if miou is not None:
      pairs.append((float(paid), float(miou)))
  return pairs


def by_axis(
  cycles: Sequence[Mapping[str, Any]], dataset: str
) -> dict[str, list[tuple[float, float]]]:
  """The `points` of one run over each of `AXES`."""
  return {axis: points(cycles, dataset, axis) for axis in AXES}


def area(pairs: Sequence[tuple[float, float]]) -> float | None:
  """Mean mIoU over the budget: the area under the curve over its width.

  None for a curve without width (one point, or nothing paid).
  """
  x = np.array([pair[0] for pair in pairs])
  y = np.array([pair[1] for pair in pairs])
  if len(x) < 2 or not x[-1] > x[0]:
    return None
  return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def gap(
  mine: Sequence[Mapping[str, Any]],
  other: Sequence[Mapping[str, Any]],
  dataset: str,
  unit: str,
) -> float | None:
  """Difference of the areas over the budget that both have spent.

  None where they share no stretch of the budget.
  """
  a, b = points(mine, dataset, unit), points(other, dataset, unit)
  if not a or not b:
    return None
  end = min(a[-1][0], b[-1][0])
  first, second = (area(_until(pairs, end)) for pairs in (a, b))
  return None if first is None or second is None else first - second


def _until(
  pairs: Sequence[tuple[float, float]], end: float
) -> list[tuple[float, float]]:
  """The curve cut off at a cost, interpolated there."""
  kept = [pair for pair in pairs if pair[0] < end]
  x = [pair[0] for pair in pairs]
  y = [pair[1] for pair in pairs]
  return [*kept, (end, float(np.interp(end, x, y)))]


def figure(
  curves: Sequence[Curve], pool_pixels: int | None, secs_a_click: float = 0.0
) -> Figure:
  """One panel a unit of cost; bands are the deviation over seeds.

  More than a few bands would cover each other: they are bars then. Where
  nothing is paid after the start, as by a free oracle, there is
  one panel, by the size of the labelled pool.

  Args:
    curves: at least one.
    pool_pixels: labelled pixels of the whole pool, which scales that panel;
      None shows the pixels themselves.
    secs_a_click: of the estimated hours over the clicks; 0 shows none.
  """
  with matplotlib.rc_context(figure_style.STYLE):
    units = UNITS if _anything_paid(curves) else (POOL,)
    result = Figure((11 if len(units) > 1 else 5.5, 3.6), layout='constrained')
    panels = result.subplots(1, len(units), sharey=True, squeeze=False)[0]
    for unit, axes in zip(units, panels, strict=True):
      share = unit == 'pixels' and pool_pixels is not None
      factor = 100 / max(pool_pixels or 0, 1) if share else 1.0
      for number, curve in enumerate(curves):
        drawn = _draw(axes, curve, unit, factor, _look(number))
        if len(curves) == 1 and len(curve.runs) == 1:
          _write_values(axes, *drawn[:2])
        elif len(curve.runs) > 1:
          _draw_spread(axes, *drawn, bars=len(curves) > _MOST_BANDS)
      axes.set_xlabel(_TITLES[unit] + (', share of the pool' if share else ''))
      axes.xaxis.set_major_formatter('{x:g}%' if share else '{x:,.0f}')
      axes.xaxis.set_major_locator(MaxNLocator(4))
      axes.margins(x=0.06, y=0.12)
      if unit == 'clicks' and secs_a_click:
        _add_hours(axes, secs_a_click / 3600)
    panels[0].set_ylabel('mIoU')
    panels[0].yaxis.set_major_formatter('{x:g}%')
    handles, names = panels[0].get_legend_handles_labels()
    result.legend(
      handles,
      names,
      loc='outside upper center',
      ncols=min(4, len(curves)),
    )
    return result


def _add_hours(axes: Any, hours_a_click: float) -> None:
  """A second axis over the clicks, which says what it rests on."""
  hours = axes.secondary_xaxis(
    'top',
    functions=(lambda x: x * hours_a_click, lambda x: x / hours_a_click),
  )
  hours.set_xlabel(f'hours, estimated at {3600 * hours_a_click:g} s a click')
  hours.xaxis.set_major_locator(MaxNLocator(4))


def _anything_paid(curves: Sequence[Curve]) -> bool:
  """Whether a run pays for more than it begins with; a lone point counts."""
  runs = [run['images'] for curve in curves for run in curve.runs]
  return any(len(run) < 2 or run[-1][0] > run[0][0] for run in runs)


def _look(number: int) -> tuple[str, str, str]:
  """Colour, marker and line of a method."""
  turn, index = divmod(number, len(_LOOKS))
  color, marker = _LOOKS[index]
  return color, marker, _LINES[turn % len(_LINES)]


def _draw(
  axes: Any, curve: Curve, unit: str, factor: float, look: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
  """Draws the mean; returns it with its x values, deviation and colour."""
  color, marker, line = look
  length = min(len(run[unit]) for run in curve.runs)
  x = np.array([[p[0] for p in run[unit][:length]] for run in curve.runs])
  y = np.array([[p[1] for p in run[unit][:length]] for run in curve.runs])
  middle, mean = factor * x.mean(axis=0), 100 * y.mean(axis=0)
  axes.plot(
    middle,
    mean,
    color=color,
    marker=marker,
    linestyle=line,
    markersize=5,
    label=curve.title,
  )
  deviation = 100 * y.std(axis=0, ddof=min(1, len(y) - 1))
  return middle, mean, deviation, color


def _draw_spread(
  axes: Any,
  middle: np.ndarray,
  mean: np.ndarray,
  deviation: np.ndarray,
  color: str,
  bars: bool,
) -> None:
  if bars:
    axes.errorbar(
      middle, mean, deviation, fmt='none', ecolor=color, alpha=0.45, lw=1
    )
    return
  axes.fill_between(
    middle, mean - deviation, mean + deviation, color=color, alpha=0.15, lw=0
  )


def _write_values(axes: Any, middle: np.ndarray, mean: np.ndarray) -> None:
  """Beside the points of the only curve."""
  for x, value in zip(middle, mean, strict=True):
    axes.annotate(
      f'{value:.1f}',
      (x, value),
      xytext=(0, 6),
      textcoords='offset points',
      ha='center',
      fontsize=8,
      color=palette.LIGHT.faint,
    )
