import re

import pytest

from fsnet_jax.detectors import DETECTORS
from fsnet_jax.report import (
  measures,
  metrics_json,
  schema,
  seeds,
  summary,
  text,
)
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages import html
from tests.fsnet_jax.report.report_data import (
  make_dataset,
  make_detector,
  make_metrics,
)

AUROC = measures.BY_KEY['auroc']
FPR95 = measures.BY_KEY['fpr95_error']
AURC = measures.BY_KEY['aurc']


def test_tables_show_every_measure_of_the_schema():
  assert [m.key for m in measures.FAILURE_MEASURES] == list(schema.MEASURE_KEYS)
  assert {m.key for m in measures.SEGMENTATION_MEASURES} == (
    set(schema.SEGMENTATION_KEYS) - {'iou', 'class_acc'}
  )


def test_directions():
  lower = {m.key for m in measures.FAILURE_MEASURES if m.lower_is_better}
  assert lower == {
    'fpr95_error',
    'fpr95_success',
    'aurc',
    'e_aurc',
    'augrc',
    'ece',
  }


@pytest.mark.parametrize(
  ('values', 'measure', 'best'),
  [
    ([0.9, 0.8, 0.7], AUROC, [True, False, False]),
    ([0.9, 0.8, 0.7], FPR95, [False, False, True]),
    ([0.9, 0.9, 0.7], AUROC, [True, True, False]),
    # Equal in the table, so equal here: 88.12 and 88.12.
    ([0.88121, 0.88124, 0.5], AUROC, [True, True, False]),
    ([0.8812, 0.8813], AUROC, [False, True]),
    # The AURC family is shown times 1000, so one more digit counts.
    ([0.012344, 0.012361], AURC, [True, False]),
    ([None, 0.8, 0.7], AUROC, [False, True, False]),
    ([None, 0.8, None], AUROC, [False, False, False]),
    ([None, None], AUROC, [False, False]),
    ([0.8, 0.8, None], AUROC, [False, False, False]),
    ([0.8], AUROC, [False]),
    ([], AUROC, []),
    ([0.0, None, 0.1], FPR95, [True, False, False]),
  ],
)
def test_best_in_column(values, measure, best):
  assert measures.best_in_column(values, measure) == best


@pytest.mark.parametrize(
  ('value', 'measure', 'text'),
  [
    (0.91234, AUROC, '91.23'),
    (1, AUROC, '100.00'),
    (0.0, AUROC, '0.00'),
    (0.0123456, AURC, '12.35'),
    (-1e-7, AURC, '0.00'),
    (None, AUROC, '—'),
  ],
)
def test_format_value(value, measure, text):
  assert measures.format_value(value, measure) == text


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (0.083, '8.3%'),
    (0.0, '0.0%'),
    (1.0, '100.0%'),
    (0.0001, '<0.1%'),
    (None, '—'),
  ],
)
def test_format_percent(value, text):
  assert measures.format_percent(value) == text


def test_unknown_detectors_keep_their_name():
  assert measures.detector_title('fsnet') == 'FSNet'
  assert measures.detector_title('my_own') == 'my_own'


def test_detectors_are_called_as_they_call_themselves():
  for name, detector in DETECTORS.items():
    assert measures.detector_title(name) == detector.title


def test_a_detector_of_ones_own_brings_its_title():
  entry = {'title': 'Margin'}
  assert measures.detector_title('margin', entry) == 'Margin'
  assert measures.detector_title('fsnet', entry) == 'FSNet'
  assert measures.detector_titles({'margin': entry, 'msp': {}, 'own': {}}) == {
    'margin': 'Margin',
    'msp': 'MSP',
    'own': 'own',
  }


def test_its_title_is_shown_everywhere():
  dataset = make_dataset(
    {
      'msp': make_detector(),
      'margin': make_detector(auroc=0.95) | {'title': 'Top margin'},
    }
  )
  metrics = make_metrics({'streets/day': dataset})
  drawn = [
    plots.risk_coverage_figure(metrics),
    plots.detectors_figure(metrics),
  ]
  for figure in drawn:
    texts = [label.get_text() for label in figure.legends[0].get_texts()]
    assert 'Top margin' in texts and 'margin' not in texts
  pictures = dict.fromkeys(('risk_coverage', 'detectors'), b'')
  for shown in (
    html.render_html(metrics, pictures, {}),
    text.text_table(metrics),
    seeds.markdown_table([metrics]),
    summary.summarize(dataset).text,
  ):
    assert 'Top margin' in shown
    rest = shown.replace('Top margin', '')
    assert not re.search(r'\bmargin\b(?![-:])', rest)


@pytest.mark.parametrize('title', ['', 3, None])
def test_a_title_is_a_name(title):
  metrics = make_metrics({'day': make_dataset({'msp': make_detector()})})
  metrics['datasets']['day']['failure']['msp']['title'] = title
  with pytest.raises(ValueError, match=r'msp\.title'):
    schema.validate(metrics)


def test_a_title_of_a_damaged_file_is_not_printed():
  metrics = make_metrics({'day': make_dataset({'msp': make_detector()})})
  metrics['datasets']['day']['failure']['msp']['title'] = 'a\x1b[31mb'
  assert 'not a name' in metrics_json.problem_of(metrics)
