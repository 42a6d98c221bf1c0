import base64
import html.parser
import io
import re

import pytest
from PIL import Image

from fsnet_jax.report import schema
from fsnet_jax.report.pages import html as report_html
from tests.fsnet_jax.report.report_data import (
  make_best_baseline,
  make_dataset,
  make_details,
  make_detector,
  make_metrics,
)

VOID_ELEMENTS = {'meta', 'img', 'br', 'hr', 'link', 'input'}


def _picture(kind='webp'):
  buffer = io.BytesIO()
  Image.new('RGB', (3, 2)).save(buffer, format=kind)
  return buffer.getvalue()


def _render(metrics, examples=None):
  plots = {name: _picture('png') for name in ('risk_coverage', 'detectors')}
  return report_html.render_html(metrics, plots, examples or {})


class Page(html.parser.HTMLParser):
  """Collects elements and texts, and checks that tags are balanced."""

  def __init__(self, text):
    super().__init__()
    self.stack, self.elements, self.rows = [], [], []
    self.bold, self.text = [], []
    self.feed(text)
    self.close()
    assert not self.stack

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    if tag not in VOID_ELEMENTS:
      self.stack.append(tag)
    if tag == 'tr':
      self.rows.append([])
    elif tag in ('td', 'th') and self.rows:
      self.rows[-1].append('')

  def handle_endtag(self, tag):
    assert self.stack.pop() == tag, tag

  def handle_data(self, data):
    self.text.append(data)
    if 'td' in self.stack or 'th' in self.stack:
      self.rows[-1][-1] += data.strip()
    if 'strong' in self.stack and 'td' in self.stack:
      self.bold.append(data.strip())

  def all(self, tag):
    return [attributes for name, attributes in self.elements if name == tag]


def _row(page, detector):
  """Cells of a detector's first row, its name first."""
  for row in page.rows:
    if detector in row:
      return row[row.index(detector) :]
  raise AssertionError(f'no row of {detector}')


def test_page_is_balanced_and_complete(metrics):
  page = Page(_render(metrics, {'streets/day': _picture()}))
  identifiers = {a['id'] for _, a in page.elements if 'id' in a}
  targets = {a['href'] for a in page.all('a')}
  assert {f'#{identifier}' for identifier in identifiers} == targets
  text = ' '.join(page.text)
  assert 'streets/day' in text
  assert 'camvid/0001TP:val' in text


def test_page_needs_nothing_from_elsewhere(metrics):
  source = _render(metrics, {'streets/day': _picture()})
  page = Page(source)
  assert not page.all('script')
  assert not page.all('link')
  for _, attributes in page.elements:
    for key in ('src', 'href', 'srcset', 'data', 'poster'):
      if key in attributes:
        assert attributes[key].startswith(('data:image/', '#'))
  assert not re.search(r'url\(|@import|https?:', source)


def test_pictures_are_inside_and_described(metrics):
  page = Page(_render(metrics, {'streets/day': _picture()}))
  pictures = page.all('img')
  assert len(pictures) == 3
  for attributes in pictures:
    kind, _, content = attributes['src'].partition(';base64,')
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert picture.size == (3, 2)
    assert kind == f'data:image/{picture.format.lower()}'
    assert len(attributes['alt']) > 20


def test_examples_section_only_with_examples(metrics):
  without = Page(_render(metrics))
  assert len(without.all('img')) == 2
  assert '#examples' not in {a['href'] for a in without.all('a')}


def test_names_are_escaped():
  name = '<b>fog</b> & "night"'
  metrics = make_metrics({name: make_dataset({'<i>x': make_detector()})})
  metrics['config']['<script>'] = '</code><script>alert(1)</script>'
  metrics['environment']['command'] = 'python main.py --x="<u>"'
  source = _render(metrics, {name: _picture()})
  page = Page(source)
  for tag in ('b', 'i', 'script', 'u'):
    assert not page.all(tag)
  assert name in ''.join(page.text)
  assert any(
    name in attributes.get('alt', '') for attributes in page.all('img')
  )


def test_main_table_has_the_numbers_scaled(metrics):
  row = _row(Page(_render(metrics)), 'FSNet')
  assert row == [
    'FSNet',
    '50.00',
    '95.00',
    '91.00',
    '30.00',
    '40.00',
    '20.00',
    '10.00',
    '15.00',
    '60.00',
    '5.00',
  ]


def test_best_is_bold_by_direction(metrics):
  bold = Page(_render(metrics)).bold
  # Higher AUROC, lower FPR95 and lower ECE; never the other way round.
  assert {'91.00', '80.00', '60.00', '2.00'} <= set(bold)
  assert not {'88.00', '88.50', '34.00', '35.00', '5.00'} & set(bold)


def test_undefined_is_a_dash_that_explains_itself(metrics):
  page = Page(_render(metrics))
  assert _row(page, 'Entropy')[-1] == '—'
  train = next(row for row in page.rows if row[0] == 'train')
  assert train[1] == '—'
  dashes = [a for a in page.all('abbr') if a.get('class') == 'undefined']
  assert len(dashes) > 5
  assert all('not defined' in a['title'] for a in dashes)


def test_base_error_rate_stands_beside_ap_error(metrics):
  page = Page(_render(metrics))
  # The pooled table comes before the one averaged over classes.
  first = next(row[0] for row in page.rows if row[0].startswith('streets/day'))
  assert 'base error rate 10.0%' in first
  assert 'pixel accuracy 90.0%' in first
  assert 'rises with the error rate' in re.sub(r'\s+', ' ', ''.join(page.text))


def test_class_table_shows_optional_columns(metrics):
  page = Page(_render(metrics))
  assert not any('Share of pixels' in row for row in page.rows)
  day = metrics['datasets']['streets/day']
  day['segmentation']['class_acc'] = {'road': 0.625, 'train': None}
  for name, auroc in (('fsnet', 0.75), ('msp', 0.5)):
    day['failure'][name]['per_class'] = {
      'road': {'auroc': auroc, 'pixels': 3},
      'train': {'auroc': None, 'pixels': 1},
    }
  day['failure']['fsnet']['class_macro_classes'] = {'auroc': 1}
  schema.validate(metrics)
  page = Page(_render(metrics))
  rows = [row for row in page.rows if row[0] in ('road', 'train')][:2]
  assert rows == [
    ['road', '75.0%', '62.50', '80.00', '', '75.00', '50.00'],
    ['train', '25.0%', '—', '—', '', '—', '—'],
  ]
  assert 'AUROC: 1 of 2 classes' in ''.join(page.text)
  assert '75.00' in page.bold
  assert 'background:#804080' in _render(metrics)


def test_header_names_the_run(metrics):
  metrics['environment']['config_name'] = 'fsnet_fcn8:camvid'
  metrics['environment']['command'] = 'python main.py --config=a.py'
  page = Page(_render(metrics))
  text = ''.join(page.text)
  assert 'fsnet_fcn8:camvid' in text
  assert 'python main.py --config=a.py' in text
  assert 'data.name' in text


@pytest.mark.parametrize(
  ('config', 'title'),
  [
    ({'task': 'fsnet', 'data': {'name': 'streets'}}, 'fsnet on streets'),
    ({'name': 'my run', 'task': 'fsnet'}, 'my run'),
    ({}, 'unnamed run'),
  ],
)
def test_name_without_a_config_file(metrics, config, title):
  metrics['config'] = config
  source = _render(metrics)
  assert f'<title>Failure detection report: {title}</title>' in source


def test_verdicts_follow_the_numbers(metrics):
  source = _render(metrics)
  assert 'FSNet is ahead of MSP and Entropy on AUROC and FPR95.' in source
  assert 'FSNet is behind MSP on AUROC and FPR95.' in source
  assert source.count('FSNet ahead</span>') == 1
  assert source.count('FSNet behind</span>') == 1


def test_every_measure_is_in_the_glossary(metrics):
  source = _render(metrics)
  glossary = source[source.index('id="glossary"') :]
  for title in ('AP-Err', 'FPR95', 'FPR95-Suc', 'AUGRC', 'mIoU, image mean'):
    assert f'<dt>{title}' in glossary


def test_review_budgets_stand_where_the_file_has_them():
  detectors = {name: make_detector() for name in ('fsnet', 'msp')}
  page = Page(_render(make_metrics({'streets/day': make_dataset(detectors)})))
  assert not any('by the share of pixels reviewed' in t for t in page.text)
  shares = ({'0.1': 0.456, '0.01': 0.0999, '0.05': None}, {'0.01': 0.05})
  for name, caught in zip(detectors, shares):
    detectors[name]['caught_at_budget'] = dict.fromkeys(shares[0]) | caught
  page = Page(_render(make_metrics({'streets/day': make_dataset(detectors)})))
  assert ['Detector', '1%', '5%', '10%'] in page.rows
  assert ['FSNet', '10.0%', '—', '45.6%'] in page.rows
  assert ['MSP', '5.0%', '—', '—'] in page.rows


def test_differences_have_their_intervals_and_marks(metrics):
  page = Page(_render(metrics))
  rows = [row for row in page.rows if any('[' in cell for cell in row)]
  assert rows[0][-5:] == [
    'FSNet',
    '+3.00 [+2.90, +3.10]',
    '-4.00 [-4.10, -3.90]',
    '+0.00 [-0.10, +0.10]',
    '+0.00 [-0.10, +0.10]',
  ]
  entropy = rows[1]
  assert entropy[0] == 'Entropy'
  assert entropy[1] == '+0.50 [+0.40, +0.60]'
  # A higher FPR95 is worse.
  assert entropy[2] == '+1.00 [+0.90, +1.10]\N{NO-BREAK SPACE}†'
  bold = [a for name, a in page.elements if a.get('class') == 'number better']
  assert len(bold) == 3  # FSNet's two, and the AUROC of entropy
  text = ' '.join(' '.join(page.text).split())
  assert 'over 48 images' in text
  assert 'too narrow' not in text


def test_what_has_no_interval_says_why(metrics):
  day = metrics['datasets']['streets/day']
  day['images'] = 4
  for detector in day['failure'].values():
    detector['difference_to_msp'] = detector['difference_to_fsnet'] = None
  text = ' '.join(' '.join(Page(_render(metrics)).text).split())
  assert 'No interval: 4 images cannot tell a difference from chance' in text
  for dataset in metrics['datasets'].values():
    dataset['failure'].pop('msp')
  text = ' '.join(Page(_render(metrics)).text)
  assert 'Beyond MSP' not in text


def test_few_sequences_are_a_note(metrics):
  metrics['datasets']['streets/day']['sequences'] = 3
  text = ' '.join(' '.join(Page(_render(metrics)).text).split())
  assert 'all its images are from 3 sequences, too few to draw' in text


def test_both_conventions_of_the_mean_are_named(metrics):
  segmentation = metrics['datasets']['streets/day']['segmentation']
  segmentation['miou_cityscapes'] = 0.3579
  page = Page(_render(metrics))
  row = next(r for r in page.rows if '12,345' in r)
  assert row[3:5] == ['41.00', '35.79']
  assert 'mIoU, Cityscapes' in ' '.join(page.text)


def test_the_best_baseline_has_a_table(metrics):
  assert 'best baseline?' not in _render(metrics)
  failure = metrics['datasets']['streets/day']['failure']
  make_best_baseline(failure, auroc='entropy', fpr95_error='msp')
  page = Page(_render(metrics))
  row = next(r for r in page.rows if any('Entropy' in c for c in r[1:]))
  assert row == [
    'streets/day',
    '+2.50 [+2.40, +2.60]Entropy',
    '-4.00 [-4.10, -3.90]MSP',
    '—',
    '—',
  ]
  assert '+2.50 [+2.40, +2.60]' in page.bold


def test_regions_and_predicted_classes_stand_where_the_file_has_them(metrics):
  without = Page(_render(metrics))
  assert '#regions' not in {a['href'] for a in without.all('a')}
  day = metrics['datasets']['streets/day']['failure']
  make_details(day['fsnet'], gain=0.1)
  # A detector that has none is not compared, nor is a data set without.
  assert 'id="regions"' not in _render(metrics)
  make_details(day['msp'])
  schema.validate(metrics)
  page = Page(_render(metrics))
  rows = {row[-10]: row[-9:] for row in page.rows if len(row) >= 10}
  assert rows['boundary'] == [
    '30.0%', '26.7%', '80.0%', '80.00', '70.00', '40.00', '50.00', '40.00',
    '40.00',
  ]  # fmt: skip
  assert rows['small objects'] == [
    '0.0%', '—', '0.0%', '—', '—', '—', '—', '40.00', '40.00',
  ]  # fmt: skip
  # AUROC up, FPR95 down: both of FSNet's are bold.
  assert {'80.00', '40.00'} <= set(page.bold)
  road = next(row for row in page.rows if row[0] == 'road' and len(row) == 11)
  assert road[1:4] == ['90.0%', '10.0%', '90.0%'] and road[-1] == '+10.00'
  # Nothing was called a train.
  assert not any(row[0] == 'train' and len(row) == 11 for row in page.rows)


@pytest.mark.parametrize(
  ('gain', 'kind'),
  [
    (0.5, 'gain4'), (0.1, 'gain4'), (0.06, 'gain2'), (0.01, ''), (0.0, ''),
    (-0.03, 'loss1'), (-0.2, 'loss4'),
  ],
)  # fmt: skip
def test_colours_follow_the_gain(metrics, gain, kind):
  day = metrics['datasets']['streets/day']['failure']
  make_details(day['fsnet'], gain)
  make_details(day['msp'])
  page = Page(_render(metrics))
  colours = {
    word
    for _, attributes in page.elements
    for word in attributes.get('class', '').split()
    if re.fullmatch('(gain|loss)[0-9]', word)
  }
  assert colours == ({kind} if kind else set())


def test_one_detector_has_its_regions_alone():
  detector = make_detector()
  make_details(detector)
  page = Page(_render(make_metrics({'x': make_dataset({'own': detector})})))
  row = next(row for row in page.rows if 'interior' in row)
  assert row[-4:] == ['20.0%', '80.00', '50.00', '40.00']
  assert 'AUROC gained' not in ' '.join(page.text)
