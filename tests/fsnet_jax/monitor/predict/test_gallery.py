"""The page: complete, self-contained, and safe whatever names files have."""

import html.parser
import json
import os
import re
import urllib.parse

import numpy as np
import pytest

from fsnet_jax.monitor.predict import pictures
from fsnet_jax.monitor.predict.gallery import page as gallery
from tests.fsnet_jax.monitor.predict import stub


class _Page(html.parser.HTMLParser):
  def __init__(self, text):
    super().__init__()
    self.ids, self.addresses, self.data, self._inside = [], [], '', False
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    found = dict(attrs)
    if 'id' in found:
      self.ids.append(found['id'])
    self.addresses += [found[k] for k in ('src', 'href') if k in found]
    self._inside = found.get('id') == 'data'

  def handle_data(self, data):
    if self._inside:
      self.data += data

  def handle_endtag(self, tag):
    self._inside = False


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  root = tmp_path_factory.mktemp('page')
  source, output = stub.folder(root / 'in', 5), root / 'out'
  (source / 'bad.png').write_bytes(b'junk')
  stub.save(source / 'x.png', stub.picture(np.random.default_rng(3)))
  odd = source / 'b' / "<script> #1 %41 'é' {{ x }}.png"
  stub.save(odd, stub.picture(np.random.default_rng(4)))
  # No UTF-8, as names of other systems are.
  stub.save(
    source / os.fsdecode(b'\xff.png'), stub.picture(np.random.default_rng(5))
  )
  stub.predict(source, output, found=stub.calibration())
  return output, _Page((output / 'index.html').read_text())


def test_the_page_asks_nobody_for_anything(page):
  output, found = page
  text = (output / 'index.html').read_text()
  assert re.findall(r'(?:https?:)?//[a-z]', text) == []
  assert set(found.addresses) == {'triage.csv'}
  assert len(found.ids) == len(set(found.ids))


def test_every_element_that_the_script_asks_for_is_there(page):
  output, found = page
  text = (output / 'index.html').read_text()
  wanted = set(re.findall(r"\bby\('([a-z-]+)'\)", text))
  assert len(wanted) > 15 and wanted <= set(found.ids)
  assert set(re.findall(r'url\(#([a-z]+)\)', text)) <= set(found.ids)


def test_the_data_are_the_triage(page):
  output, found = page
  cards = json.loads(found.data)['images']
  rows = [
    json.loads(line)
    for line in (output / 'triage.jsonl').read_text().splitlines()
  ]
  assert [card['i'] for card in cards] == [row['image'] for row in rows]
  for card, row in zip(cards, rows):
    if row['problem']:
      assert card['p'] == row['problem'] and 'm' not in card
      continue
    assert card['m'] == pytest.approx(row['failure_mean'], abs=1e-4)
    assert card['b'] == row['largest_region']
    assert (card['h'], card['w']) == (row['height'], row['width'])
    classes = {stub.CLASSES.names[index] for index in card['c']}
    assert row['largest_region_class'] in classes
  assert {card['g'] for card in cards} == {'', 'a', 'b'}


def test_addresses_are_of_files_that_are_there(page):
  output, found = page
  for card in json.loads(found.data)['images']:
    original = os.fsdecode(urllib.parse.unquote_to_bytes(card['o']))
    assert (output / original).is_file()
    assert '#' not in card['o'] and '?' not in card['o']
    if 'p' in card:
      continue
    name = os.fsdecode(urllib.parse.unquote_to_bytes(card.get('u', card['i'])))
    for folder, kind in (
      ('thumbs', 'jpg'),
      ('labels', 'png'),
      ('failure', 'png'),
      ('overlay', 'jpg'),
    ):
      assert (output / folder / f'{name}.{kind}').is_file()


def test_names_cannot_end_the_script(page):
  output, _ = page
  assert (output / 'index.html').read_text().count('<script') == 2


def test_the_filter_of_labels_gives_the_class_colours():
  """A browser takes entry floor(256 v) of the table for a grey of v."""
  tables = gallery._tables(stub.CLASSES)['labels']
  for index, color in enumerate(stub.CLASSES.colors):
    place = int(np.floor(256 * (index / 255)))
    found = [float(tables[c].split()[place]) * 255 for c in range(3)]
    assert np.allclose(found, color, atol=0.5)


def test_only_the_worst_of_very_many_are_shown(tmp_path, monkeypatch):
  monkeypatch.setattr(gallery, 'MOST_IMAGES', 3)
  stub.predict(stub.folder(tmp_path / 'in', 5), tmp_path / 'out')
  text = (tmp_path / 'out' / 'index.html').read_text()
  assert len(json.loads(_Page(text).data)['images']) == 3
  assert 'The worst 3 are shown' in text


def test_parts_of_a_small_picture_are_apart(tmp_path):
  """Image grey, prediction of one class, P(wrong) 0, flagged nowhere."""
  import cv2

  image = np.full((90, 200, 3), 100, np.uint8)
  labels = np.full((90, 200), 2, np.uint8)
  failure = np.ones((90, 200), np.float32)
  drawn = np.full((90, 200, 3), (214, 40, 40), np.uint8)
  content = pictures.small_jpeg(image, labels, failure, drawn, stub.CLASSES)
  found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
  height, width = pictures.small_size(90, 200)
  assert (height, width) == (88, 200) and found.shape == (352, 200, 3)
  expected = ((100,) * 3, (70, 130, 180), (252, 254, 164), (214, 40, 40))
  for part, color in enumerate(expected):
    own = found[part * height : (part + 1) * height, :, ::-1].astype(int)
    assert np.abs(own - color).max() <= 6, part


def test_small_pictures_of_any_shape_are_whole_blocks():
  for shape in ((1, 1), (1, 9000), (9000, 1), (720, 1280), (7, 3)):
    height, width = pictures.small_size(*shape)
    assert height % 8 == 0 and width % 8 == 0 and 8 <= height <= 1024
    assert width == min(max(128, shape[1] + -shape[1] % 8), 256)


def test_an_overlay_is_red_where_flagged_and_tinted_elsewhere():
  image = np.full((2, 3, 3), 200, np.uint8)
  labels = np.array([[0, 1, 2]] * 2, np.uint8)
  flagged = np.array([[True, False, False]] * 2)
  drawn = pictures.overlay(image, labels, flagged, stub.CLASSES)
  # 0.5 * 200 + 0.5 * (214, 40, 40); 0.7 * 200 + 0.3 * the colour.
  np.testing.assert_allclose(drawn[0, 0], (207, 120, 120), atol=1)
  np.testing.assert_allclose(drawn[0, 1], (140, 140, 183), atol=1)
  np.testing.assert_allclose(drawn[1, 2], (161, 179, 194), atol=1)
