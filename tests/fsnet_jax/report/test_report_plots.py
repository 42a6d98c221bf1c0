import io

import numpy as np
import pytest
from PIL import Image

from fsnet_jax.report.figures import plots
from tests.fsnet_jax.report.report_data import (
  make_dataset,
  make_detector,
  make_metrics,
)


def _panels(figure):
  return [axes for axes in figure.axes if axes.get_visible()]


def _curves(axes):
  """The drawn curves as (x, y), the base error rate's line left out."""
  return [
    (list(line.get_xdata()), list(line.get_ydata()))
    for line in axes.lines
    if len(line.get_xdata()) > 2
  ]


@pytest.mark.parametrize('count', [1, 2, 3, 5])
def test_one_panel_a_data_set(count):
  names = [f'set_{index}' for index in range(count)]
  metrics = make_metrics(
    {name: make_dataset({'msp': make_detector()}) for name in names}
  )
  figure = plots.risk_coverage_figure(metrics)
  panels = _panels(figure)
  assert [axes.get_title(loc='left') for axes in panels] == names


def test_curves_are_the_numbers_in_percent(metrics):
  day = _panels(plots.risk_coverage_figure(metrics))[0]
  curves = _curves(day)
  assert len(curves) == 3
  expected = [0.1 * (tenth / 10) ** 2 * 100 for tenth in range(1, 11)]
  for x, y in curves:
    np.testing.assert_allclose(x, np.arange(10, 101, 10), atol=1e-9)
    np.testing.assert_allclose(y, expected, atol=1e-9)


def test_base_error_rate_is_drawn_and_named(metrics):
  dusk = _panels(plots.risk_coverage_figure(metrics))[1]
  lines = [line for line in dusk.lines if len(line.get_xdata()) == 2]
  np.testing.assert_allclose(lines[0].get_ydata(), [25.0, 25.0])
  assert 'base error rate 25.0%' in [text.get_text() for text in dusk.texts]
  assert dusk.get_ylim()[1] > 25.0


def test_undefined_risks_are_left_out():
  detector = make_detector()
  detector['risk_at_coverage']['0.3'] = None
  dataset = make_dataset({'msp': detector})
  dataset['segmentation']['base_error_rate'] = None
  figure = plots.risk_coverage_figure(make_metrics({'day': dataset}))
  ((x, _),) = _curves(_panels(figure)[0])
  assert 30.0 not in np.round(x, 6)
  assert len(x) == 9


def test_nothing_defined_still_gives_a_picture():
  detector = make_detector(auroc=None, fpr95=None)
  detector['risk_at_coverage'] = {'1.0': None}
  dataset = make_dataset({'msp': detector})
  dataset['segmentation']['base_error_rate'] = None
  metrics = make_metrics({'day': dataset})
  for draw in (plots.risk_coverage_figure, plots.detectors_figure):
    png = plots.to_png(draw(metrics))
    assert Image.open(io.BytesIO(png)).format == 'PNG'


def test_detectors_keep_their_colour_and_differ():
  names = [
    'fsnet',
    'msp',
    'entropy',
    'max_logit',
    'mc_dropout',
    'tcp',
    'direct',
    'synthcp',
    'ensemble',
  ]
  metrics = make_metrics(
    {
      'all': make_dataset({name: make_detector() for name in names}),
      'two': make_dataset({n: make_detector() for n in ('entropy', 'fsnet')}),
    }
  )
  first, second = _panels(plots.risk_coverage_figure(metrics))

  def looks(axes):
    # The first detector is drawn last, then the base error rate.
    return [(line.get_color(), line.get_marker()) for line in axes.lines][
      -2::-1
    ]

  assert len(set(looks(first))) == len(names)
  assert looks(second) == [looks(first)[2], looks(first)[0]]


def test_dots_are_the_numbers_in_percent(metrics):
  auroc, fpr95 = plots.detectors_figure(metrics).axes

  def dots(axes):
    return [
      line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1
    ]

  np.testing.assert_allclose(dots(auroc), [91, 88, 88.5, 70, 80])
  np.testing.assert_allclose(dots(fpr95), [30, 34, 35, 80, 60])
  assert [t.get_text() for t in auroc.texts] == [
    '91.0',
    '88.0',
    '88.5',
    '70.0',
    '80.0',
  ]
  assert [label.get_text() for label in auroc.get_yticklabels()] == [
    'streets/day',
    'camvid/0001TP:val',
  ]


def test_equal_numbers_give_equal_files(metrics):
  first = plots.to_png(plots.risk_coverage_figure(metrics))
  second = plots.to_png(plots.risk_coverage_figure(metrics))
  assert first == second


def test_long_names_and_many_detectors_fit():
  names = [f'a_detector_with_a_rather_long_name_{i}' for i in range(9)]
  dataset = make_dataset({name: make_detector() for name in names})
  for datasets in (1, 3):
    metrics = make_metrics(
      {f'{i}/' + 'x' * 80: dataset for i in range(datasets)}
    )
    for draw in (plots.risk_coverage_figure, plots.detectors_figure):
      figure = draw(metrics)
      plots.to_png(figure)
      (legend,) = figure.legends
      box = legend.get_window_extent()
      assert box.x0 >= 0
      assert box.x1 <= figure.bbox.x1
      panel = figure.axes[0].get_window_extent()
      assert panel.width > figure.bbox.width / 6
