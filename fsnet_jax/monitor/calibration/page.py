"""The page of a calibration: its statement, its curves, what it is not."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import matplotlib
from matplotlib.figure import Figure

from common_lib.files import write_text
from fsnet_jax.monitor.calibration_file import CalibrationFile
from fsnet_jax.report import measures
from fsnet_jax.report.figures import figure_style, plots
from fsnet_jax.report.pages import templates
from fsnet_jax.report.palette import LIGHT, SERIES

FOLDER = 'calibration'
_BOUNDS = {
  'wsr': 'betting (Waudby-Smith and Ramdas)',
  'hb': 'Hoeffding and Bentkus',
  'crc': 'conformal risk control',
}
_RISKS = {
  'passing': 'misclassified share of the pixels that pass',
  'undetected': 'share of all pixels that are misclassified and pass',
}


def write(
  workdir: pathlib.Path, content: CalibrationFile, origin: Mapping[str, str]
) -> pathlib.Path:
  """Writes the page; returns its path."""
  folder = workdir / FOLDER
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / 'calibration.html'
  html = templates.template('page.html', pathlib.Path(__file__).parent).render(
    content=content,
    detector=measures.detector_title(content.detector),
    risk=_RISKS[content.kind],
    bound=_BOUNDS[content.bound],
    percent=_percent,
    facts={
      'Threshold': f'P(wrong) > {content.threshold:.4g}',
      'Pixels that pass': _percent(content.coverage),
      'Units': f'{content.units} {content.unit}s',
      'Data set': content.dataset,
      'Detector': measures.detector_title(content.detector),
    },
    command=origin.get('command'),
    curves=templates.data_url(plots.to_png(figure(content))),
  )
  write_text(path, html)
  return path


def _percent(share: float) -> str:
  return f'{100 * share:.3g} %'


def figure(content: CalibrationFile) -> Figure:
  """Risk of the units, and what passes, by threshold."""
  style = figure_style.STYLE
  with matplotlib.rc_context(style):
    drawn = Figure((7.2, 3.4), layout='constrained')
    left, right = drawn.subplots(1, 2)
    left.plot(
      content.grid, [100 * one for one in content.risks], color=SERIES[0]
    )
    left.axhline(
      100 * content.limit, color=LIGHT.ink, linestyle=(0, (4, 3)), linewidth=1
    )
    left.set_ylabel(f'{_RISKS[content.kind]}, %'.replace(' of ', '\nof ', 1))
    right.plot(
      content.grid, [100 * one for one in content.coverages], color=SERIES[1]
    )
    right.set_ylabel('pixels that pass, %')
    for axes in (left, right):
      axes.axvline(content.threshold, color=LIGHT.faint, linewidth=1)
      axes.set_xlabel('threshold of P(wrong)')
      axes.set_ylim(bottom=0)
    left.set_title('Risk (dashed: limit)', fontsize=10, loc='left')
    right.set_title('Coverage', fontsize=10, loc='left')
    return drawn
