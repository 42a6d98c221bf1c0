"""How all plots look, whatever they show."""

from typing import Any

from fsnet_jax.report import palette

#: For `matplotlib.rc_context`.
STYLE: dict[str, Any] = {
  'font.family': 'DejaVu Sans',
  'font.size': 9,
  'text.color': palette.LIGHT.ink,
  'axes.edgecolor': palette.LIGHT.edge,
  'axes.labelcolor': palette.LIGHT.ink,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'axes.axisbelow': True,
  'grid.color': palette.LIGHT.line,
  'xtick.color': palette.LIGHT.faint,
  'ytick.color': palette.LIGHT.faint,
  'legend.frameon': False,
  'figure.facecolor': palette.LIGHT.picture,
  'axes.facecolor': palette.LIGHT.picture,
}
