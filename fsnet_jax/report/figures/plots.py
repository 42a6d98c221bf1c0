"""Plots of a report: risk against coverage, and detectors side by side.

Figures are drawn without pyplot, so a caller's figures and style stay as they
are. Markers and dashes repeat what colour says.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fsnet_jax.report import measures
from fsnet_jax.report.figures import figure_style
from fsnet_jax.report.palette import LIGHT, SERIES

# FSNet blue, MSP vermilion, entropy green wherever they appear; others take
# the next free look.
_MARKERS = 'os^DvPX<>'
_DASHES = (
  '-',
  (0, (5, 1.5)),
  (0, (3, 1.2, 1, 1.2)),
  (0, (1, 1)),
  (0, (6, 1, 1, 1, 1, 1)),
  (0, (2, 1)),
  (0, (8, 2)),
  (0, (4, 1, 2, 1)),
  (0, (1, 2)),
)
_LOOKS: tuple[tuple[str, str, Any], ...] = tuple(
  zip(SERIES, _MARKERS, _DASHES, strict=True)
)

_RESOLUTION_DPI = 144
_NAME_LENGTH = 29
_STYLE: dict[str, Any] = figure_style.STYLE | {
  'axes.titlesize': 10,
  'axes.titleweight': 'bold',
  'axes.titlelocation': 'left',
  'grid.linewidth': 0.8,
}


def risk_coverage_figure(
  metrics: Mapping[str, Any], columns: int = 3
) -> Figure:
  """Draws error rate among the kept pixels against the share kept.

  One panel a data set with all its detectors, the base error rate (dashed)
  and the curve of a perfect ranking, max(0, 1 - (1 - e) / c) (grey area).
  Pooled over all labelled pixels; the paper's Fig. 3 plots another
  aggregation (pooled risks at 60% coverage would be far below its 10.5%).

  Args:
    metrics: a valid metrics dictionary.
    columns: panels side by side, at most.

  Returns:
    The figure; `to_png` makes a file of it.
  """
  datasets = metrics['datasets']
  looks = _looks(metrics)
  columns = min(columns, len(datasets))
  rows = math.ceil(len(datasets) / columns)
  width = 7.2 if columns == 1 else 3.7 * columns
  height = 3.6 if columns == 1 else 2.9 * rows
  with matplotlib.rc_context(_STYLE):
    figure = Figure((width, height + 0.4), layout='constrained')
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for (name, dataset), axes in zip(datasets.items(), panels, strict=False):
      _risk_panel(axes, name, dataset, looks)
    for axes in panels[len(datasets) :]:
      axes.set_visible(False)
    handles = [*_handles(looks, _titles(metrics)), *_reference_handles()]
    _add_legend(figure, handles)
    return figure


def detectors_figure(metrics: Mapping[str, Any]) -> Figure:
  """Draws AUROC and FPR95 of every detector as dots, one row a data set.

  Both are pooled and do not depend on the base error rate. Dots, not bars:
  the axes need not start at 0, so small differences stay visible.

  Args:
    metrics: a valid metrics dictionary.

  Returns:
    The figure; `to_png` makes a file of it.
  """
  datasets = metrics['datasets']
  looks = _looks(metrics)
  lines = sum(len(dataset['failure']) for dataset in datasets.values())
  with matplotlib.rc_context(_STYLE):
    figure = Figure(
      (9.2, 1.3 + 0.24 * lines + 0.16 * len(datasets)), layout='constrained'
    )
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, title in zip(
      panels,
      ('auroc', 'fpr95_error'),
      (
        'AUROC (right is better)',
        'FPR95 (left is better)',
      ),
    ):
      _dot_panel(axes, datasets, looks, measures.BY_KEY[key])
      axes.set_title(title)
    _add_legend(figure, _handles(looks, _titles(metrics), lines=False))
    return figure


def to_png(figure: Figure) -> bytes:
  """Returns a figure as a PNG file; equal figures give equal files."""
  buffer = io.BytesIO()
  with matplotlib.rc_context(_STYLE):
    # Without the version stamp the bytes depend on the numbers alone.
    figure.savefig(
      buffer, format='png', dpi=_RESOLUTION_DPI, metadata={'Software': None}
    )
  return buffer.getvalue()


def _looks(metrics: Mapping[str, Any]) -> dict[str, tuple[str, str, Any]]:
  """Gives every detector of the run its colour, marker and dashes."""
  names = {
    name: None
    for dataset in metrics['datasets'].values()
    for name in dataset['failure']
  }
  fixed = [name for name in ('fsnet', 'msp', 'entropy') if name in names]
  order = [*fixed, *(name for name in names if name not in fixed)]
  # A run without FSNet keeps FSNet's blue free.
  first = 0 if 'fsnet' in names else 1
  return {
    name: _LOOKS[(first + index) % len(_LOOKS)]
    for index, name in enumerate(order)
  }


def _titles(metrics: Mapping[str, Any]) -> dict[str, str]:
  """What the legend calls every detector of the run."""
  titles: dict[str, str] = {}
  for dataset in metrics['datasets'].values():
    titles |= measures.detector_titles(dataset['failure'])
  return titles


def _risk_panel(
  axes: Axes,
  name: str,
  dataset: Mapping[str, Any],
  looks: Mapping[str, tuple[str, str, Any]],
) -> None:
  """Draws the risk-coverage curves of one data set."""
  error_rate = dataset['segmentation']['base_error_rate']
  highest = 0.0
  # The first detector is drawn last, on top.
  for detector in reversed(list(dataset['failure'])):
    risks = dataset['failure'][detector]['risk_at_coverage']
    points = sorted(
      (float(coverage) * 100, risk * 100)
      for coverage, risk in risks.items()
      if risk is not None
    )
    color, marker, dashes = looks[detector]
    axes.plot(
      [x for x, _ in points],
      [y for _, y in points],
      color=color,
      marker=marker,
      linestyle=dashes,
      markersize=4.5,
      linewidth=1.8,
    )
    highest = max([highest, *(y for _, y in points)])
  if error_rate is not None:
    highest = max(highest, error_rate * 100)
    _draw_references(axes, error_rate)
  axes.set_title(_short(name))
  axes.set_xlim(8, 102)
  axes.set_xticks(range(20, 101, 20))
  axes.set_ylim(0, highest * 1.16 or 1.0)
  axes.xaxis.set_major_formatter('{x:.0f}%')
  axes.yaxis.set_major_formatter('{x:g}%')
  axes.set_xlabel('coverage: pixels kept, most trusted first')
  axes.set_ylabel('risk: wrong among those kept')


def _draw_references(axes: Axes, error_rate: measures.Number) -> None:
  """Draws the base error rate and the best possible curve."""
  rate = float(error_rate)
  axes.axhline(rate * 100, color=LIGHT.faint, linewidth=1, linestyle='--')
  axes.annotate(
    f'base error rate {measures.format_percent(error_rate)}',
    (9, rate * 100),
    xytext=(0, 3),
    textcoords='offset points',
    color=LIGHT.faint,
    fontsize=8,
  )
  coverages = [share / 100 for share in range(10, 101)]
  perfect = [max(0.0, 1 - (1 - rate) / share) for share in coverages]
  axes.fill_between(
    [share * 100 for share in coverages],
    [risk * 100 for risk in perfect],
    color=LIGHT.line,
    linewidth=0,
    zorder=0.5,
  )


def _dot_panel(
  axes: Axes,
  datasets: Mapping[str, Any],
  looks: Mapping[str, tuple[str, str, Any]],
  measure: measures.Measure,
) -> None:
  """Draws one measure of all detectors, grouped by data set."""
  height, ticks, values = 0.0, [], []
  for dataset in datasets.values():
    top = height
    for detector, entry in dataset['failure'].items():
      value = entry['pooled'][measure.key]
      color, marker, _ = looks[detector]
      if value is not None:
        values.append(value * measure.scale)
        axes.plot(values[-1], height, marker=marker, color=color, markersize=6)
        _label_dot(axes, values[-1], height, f'{values[-1]:.1f}')
      height -= 1.0
    ticks.append((top + height + 1.0) / 2)
    axes.axhline(height + 0.15, color=LIGHT.edge, linewidth=0.8)
    height -= 0.7
  axes.set_yticks(ticks, [_short(name) for name in datasets], color=LIGHT.ink)
  axes.tick_params(axis='y', length=0)
  axes.grid(visible=False, axis='y')
  axes.set_ylim(height + 0.85, 0.9)
  low, high = (min(values), max(values)) if values else (0.0, 100.0)
  margin = max(1.0, 0.12 * (high - low))
  axes.set_xlim(low - margin, high + 2 * margin)


def _label_dot(axes: Axes, x: float, y: float, text: str) -> None:
  """Writes a value to the right of its dot."""
  axes.annotate(
    text,
    (x, y),
    xytext=(7, 0),
    textcoords='offset points',
    verticalalignment='center',
    fontsize=8,
    color=LIGHT.ink,
  )


def _add_legend(figure: Figure, handles: list[Line2D]) -> None:
  """Puts a legend above the panels, in as many lines as it needs."""
  longest = max(len(str(handle.get_label())) for handle in handles)
  # Inches at 9 points: 0.08 a letter, 0.6 for the sample and the gap.
  columns = int(figure.get_figwidth() / (0.08 * longest + 0.6))
  figure.legend(
    handles=handles,
    loc='outside upper center',
    ncols=max(1, min(columns, len(handles))),
  )


def _short(name: str) -> str:
  """Returns a name that fits a panel; the middle of a long one is cut out."""
  if len(name) > _NAME_LENGTH:
    half = (_NAME_LENGTH - 1) // 2
    name = f'{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}'
  # Between two of them Matplotlib would expect a formula.
  return name.replace('$', r'\$')


def _handles(
  looks: Mapping[str, tuple[str, str, Any]],
  titles: Mapping[str, str],
  lines: bool = True,
) -> list[Line2D]:
  """Returns the legend's entries for the detectors."""
  return [
    Line2D(
      [],
      [],
      color=color,
      marker=marker,
      linestyle=dashes if lines else '',
      linewidth=1.8,
      label=_short(titles[name]),
    )
    for name, (color, marker, dashes) in looks.items()
  ]


def _reference_handles() -> list[Line2D]:
  """Returns the legend's entries for the reference curves."""
  return [
    Line2D(
      [],
      [],
      color=LIGHT.line,
      linewidth=7,
      label='beyond a perfect ranking',
    ),
  ]
