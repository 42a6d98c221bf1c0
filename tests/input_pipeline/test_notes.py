import pytest

from input_pipeline import notes


@pytest.fixture(autouse=True)
def nothing_said():
  notes.once.cache_clear()
  yield
  notes.once.cache_clear()


def said(capsys):
  return capsys.readouterr().err.splitlines()


def test_a_note_is_printed_once(capsys):
  notes.once('a')
  notes.once('b')
  notes.once('a')
  assert said(capsys) == ['note: a', 'note: b']


def test_mixed_splits(capsys):
  notes.mixed_splits('camvid/0001TP', {'train': 3})
  notes.mixed_splits('camvid/0001TP', {'train': 3, 'val': 0})
  assert said(capsys) == []
  notes.mixed_splits('camvid/0001TP', {'train': 3, 'val': 0, 'test': 2})
  (line,) = said(capsys)
  assert line.startswith('note: camvid/0001TP names no split')
  assert '3 of train, 2 of test' in line
  assert 'val' not in line
  assert 'camvid/0001TP:test' in line


@pytest.mark.parametrize(
  ('sizes', 'words'),
  [
    ([], None),
    ([(512, 1024)], None),
    ([(500, 1024)], None),  # 2.4 %
    ([(360, 480)], 'camvid (360x480) are squeezed to image_size (256x512)'),
    ([(360, 480)], '1.50 times as wide'),
    ([(100, 300)], '1.50 times as tall'),
    ([(512, 1024), (480, 640), (360, 640)], 'camvid (480x640)'),
  ],
)
def test_squeezed_images(capsys, sizes, words):
  notes.squeezed('camvid', sizes, (256, 512))
  lines = said(capsys)
  assert len(lines) == (words is not None)
  if words:
    assert words in lines[0]
    assert 'eval.resize=letterbox' in lines[0]
