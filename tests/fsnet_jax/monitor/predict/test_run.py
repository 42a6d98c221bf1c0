"""Everything that a prediction leaves, with a monitor that is a formula."""

import csv
import gc
import json
import re
import weakref

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.predict import batches, inputs, rows, run
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.monitor.predict import stub


def triage(output):
  lines = (output / 'triage.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def without_times(output):
  return [{**row, 'milliseconds': None} for row in triage(output)]


@pytest.fixture(scope='module')
def done(tmp_path_factory):
  """(input, output) of a prediction with a calibration."""
  root = tmp_path_factory.mktemp('predict')
  stub.folder(root / 'in')
  (root / 'in' / 'a' / 'damaged.png').write_bytes(b'\x89PNG\r\n\x1a\n' * 9)
  (root / 'in' / 'empty.jpg').write_bytes(b'')
  stub.predict(root / 'in', root / 'out', found=stub.calibration())
  return root / 'in', root / 'out'


def test_maps_are_those_of_the_monitor(done):
  source, output = done
  for path in sorted(source.glob('*/??.png')):
    name = path.relative_to(source).with_suffix('')
    image = np.asarray(Image.open(path))
    labels = np.asarray(Image.open(output / 'labels' / f'{name}.png'))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, image[..., 0] % 3)
    failure = np.asarray(Image.open(output / 'failure' / f'{name}.png'))
    assert failure.dtype == np.uint16
    # 65535 is 255 * 257.
    np.testing.assert_array_equal(failure, image[..., 1] * np.uint16(257))
    with Image.open(output / 'overlay' / f'{name}.jpg') as overlay:
      assert overlay.format == 'JPEG' and overlay.size == image.shape[1::-1]


def test_rows_against_counting_by_hand(done):
  source, output = done
  found = {row['image']: row for row in triage(output)}
  for path in sorted(source.glob('*/??.png')):
    image = np.asarray(Image.open(path)).astype(np.float64)
    failure = image[..., 1] / 255
    flagged = failure > 0.7
    row = found[path.relative_to(source).as_posix()]
    assert tuple(row) == rows.COLUMNS
    assert (row['height'], row['width']) == failure.shape
    assert row['failure_mean'] == pytest.approx(failure.mean(), abs=1e-6)
    assert row['failure_q90'] == pytest.approx(
      np.quantile(failure, 0.9), abs=1e-6
    )
    assert row['flagged_share'] == pytest.approx(flagged.mean())
    assert row['expected_error'] == pytest.approx(
      failure[~flagged].mean(), abs=1e-6
    )
    reference = np.array(stub.calibration().reference['failure_mean'])
    larger = (reference >= row['failure_mean']).sum()
    assert row['shift_p'] == (1 + larger) / 61
    left, top, width, height = row['largest_region']
    box = flagged[top : top + height, left : left + width]
    assert box.any(0).all() and box.any(1).all()
    assert row['largest_region_class'] in stub.CLASSES.names
    assert row['milliseconds'] >= 0 and row['problem'] == ''


def test_the_worst_come_first_and_problems_last(done):
  found = triage(done[1])
  means = [row['failure_mean'] for row in found[:7]]
  assert means == sorted(means, reverse=True) and len(found) == 9
  assert [row['image'] for row in found[7:]] == ['a/damaged.png', 'empty.jpg']
  for row in found[7:]:
    assert row['problem'].startswith('The file cannot be decoded')
    others = {k: v for k, v in row.items() if k not in ('image', 'problem')}
    assert set(others.values()) == {None}


def test_both_tables_say_the_same(done):
  for name, columns in (
    ('triage', rows.COLUMNS),
    ('segments', rows.SEGMENT_COLUMNS),
  ):
    with (done[1] / f'{name}.csv').open(newline='') as file:
      table = list(csv.DictReader(file))
    lines = (done[1] / f'{name}.jsonl').read_text().splitlines()
    assert len(table) == len(lines) > 0
    for row, line in zip(table, lines):
      other = json.loads(line)
      assert tuple(row) == tuple(other) == columns
      assert row == {k: rows.as_text(v) for k, v in other.items()}
  assert re.fullmatch(r'\d+ \d+ \d+ \d+', table[0]['box'])


def test_no_calibration_no_p_values(tmp_path):
  stub.folder(tmp_path / 'in', 2)
  stub.predict(tmp_path / 'in', tmp_path / 'out')
  assert [row['shift_p'] for row in triage(tmp_path / 'out')] == [None, None]
  assert 'Not calibrated' in (tmp_path / 'out' / 'index.html').read_text()


@pytest.mark.parametrize('green', [0, 255])
def test_nothing_and_everything_is_flagged(tmp_path, green):
  image = stub.picture(np.random.default_rng(0), green=green)
  stub.save(tmp_path / 'in' / 'x.png', image)
  stub.predict(tmp_path / 'in', tmp_path / 'out')
  (row,) = triage(tmp_path / 'out')
  share = green / 255
  assert row['failure_mean'] == row['flagged_share'] == share
  assert row['expected_error'] == 0
  region = [0, 0, 40, 24] if green else None
  assert row['largest_region'] == region


def test_images_of_one_size_are_looked_at_together(tmp_path):
  rng = np.random.default_rng(0)
  for index, width in enumerate((8, 8, 16, 8, 8, 8, 8)):
    image = stub.picture(rng, 8, width)
    stub.save(tmp_path / 'in' / f'{index}.png', image)
  found = stub.predict(tmp_path / 'in', tmp_path / 'out', batch_size=3)
  # The first is to compile.
  sizes = [(shape[0], shape[2]) for shape in found.calls]
  assert sizes == [(1, 8), (2, 8), (1, 16), (3, 8), (1, 8)]


def test_large_images_come_alone(tmp_path, monkeypatch):
  monkeypatch.setattr(batches, '_MOST_PIXELS', 100)
  rng = np.random.default_rng(0)
  for index in range(3):
    stub.save(tmp_path / 'in' / f'{index}.png', stub.picture(rng, 9, 9))
  found = stub.predict(tmp_path / 'in', tmp_path / 'out')
  assert [shape[0] for shape in found.calls] == [1] * 4


@pytest.mark.slow
def test_no_more_than_a_batch_is_held(tmp_path, monkeypatch):
  stub.folder(tmp_path / 'in', 12)
  alive, most = weakref.WeakSet(), []
  read = inputs.read_image

  class Watched(np.ndarray):
    __hash__ = object.__hash__

  def counted(path):
    image = np.array(read(path)).view(Watched)
    alive.add(image)
    gc.collect()
    most.append(len(alive))
    return image

  monkeypatch.setattr(inputs, 'read_image', counted)
  stub.predict(tmp_path / 'in', tmp_path / 'out', batch_size=4)
  gc.collect()
  assert len(most) == 12 and max(most) <= 4 and len(alive) == 0


class _Stops(stub.Stub):
  """Is interrupted at one of its calls."""

  def __call__(self, images):
    if len(self.calls) == 4:
      raise Interrupted('as a signal does')
    return super().__call__(images)


def test_a_stopped_prediction_goes_on_to_the_same_result(done, tmp_path):
  source, whole = done
  output = tmp_path / 'out'
  with pytest.raises(Interrupted):
    stub.predict(source, output, _Stops(), found=stub.calibration())
  assert not (output / 'triage.csv').exists()
  # As if it had been killed in the middle of a line.
  journal = output / 'state' / 'journal.jsonl'
  count = len(journal.read_text().splitlines())
  assert count == 3
  with journal.open('a') as file:
    file.write('{"row": {"image": "b/0')
  found = stub.predict(source, output, found=stub.calibration())
  assert sum(shape[0] for shape in found.calls[1:]) == 4
  assert without_times(output) == without_times(whole)
  for path in whole.rglob('*'):
    other = output / path.relative_to(whole)
    if path.suffix in ('.png', '.jpg') or path.name.startswith('segments'):
      assert other.read_bytes() == path.read_bytes(), path
  # And nothing is left to do.
  assert stub.predict(source, output, found=stub.calibration()).calls == []
  assert without_times(output) == without_times(whole)


def test_what_was_lost_or_has_changed_is_done_again(tmp_path):
  source, output = stub.folder(tmp_path / 'in', 6), tmp_path / 'out'
  stub.predict(source, output)
  (output / 'failure' / 'a' / '01.png').unlink()
  (output / 'labels' / 'b' / '02.png').write_bytes(b'')
  stub.save(source / 'a' / '03.png', stub.picture(np.random.default_rng(9)))
  stub.save(source / 'new.png', stub.picture(np.random.default_rng(10)))
  (source / 'b' / '00.png').unlink()
  found = stub.predict(source, output)
  assert sum(shape[0] for shape in found.calls[1:]) == 4
  other = tmp_path / 'other'
  stub.predict(source, other)
  assert without_times(output) == without_times(other)
  assert len(triage(output)) == 6


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'identity': {'networks': 'y'}}, 'its networks was x and is now y'),
    ({'segment_share': 0.5}, 'its segment share was 0.002 and is now 0.5'),
    ({'source': 'other'}, 'its input was '),
    ({'found': stub.calibration(0.6)}, 'its threshold was 0.5 and is now 0.6'),
  ],
)
def test_another_command_is_refused(tmp_path, monkeypatch, change, said):
  monkeypatch.chdir(tmp_path)
  stub.folder(tmp_path / 'in', 1)
  stub.folder(tmp_path / 'other', 1)
  stub.predict(tmp_path / 'in', tmp_path / 'out')
  source = change.pop('source', tmp_path / 'in')
  with pytest.raises(UserError, match=said) as raised:
    stub.predict(source, tmp_path / 'out', **change)
  assert str(raised.value).endswith('or delete this one.')


def test_a_folder_of_something_else_is_left_alone(tmp_path):
  stub.folder(tmp_path / 'in', 1)
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'mine.txt').write_text('mine')
  with pytest.raises(UserError, match='holds other files .mine.txt among'):
    stub.predict(tmp_path / 'in', tmp_path / 'out')
  assert [p.name for p in (tmp_path / 'out').iterdir()] == ['mine.txt']
  with pytest.raises(UserError, match='in is the input: name a folder of its'):
    stub.predict(tmp_path / 'in', tmp_path / 'in')
  with pytest.raises(UserError, match='is a file'):
    stub.predict(tmp_path / 'in', tmp_path / 'out' / 'mine.txt')


def test_a_folder_in_use_is_refused(tmp_path):
  source, output = stub.folder(tmp_path / 'in', 1), tmp_path / 'out'

  def load():
    stub.predict(source, output)
    return Monitor(stub.Stub())

  with pytest.raises(UserError, match='in use by another prediction'):
    run.predict(load, stub.options(source, output))


def test_no_readable_image_is_an_error_that_names_one(tmp_path):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in' / 'x.png').write_bytes(b'junk')
  with pytest.raises(UserError, match='none of its 1 images could be read'):
    stub.predict(tmp_path / 'in', tmp_path / 'out')
  assert 'x.png' in (tmp_path / 'out' / 'triage.csv').read_text()


def test_the_last_line_counts_problems(done, tmp_path, capsys):
  stub.predict(done[0], tmp_path / 'out')
  last = capsys.readouterr().err.splitlines()[-1]
  assert last.startswith('predicted 9 images (')
  assert '2 had problems (problem column of triage.csv)' in last
  stub.folder(tmp_path / 'in', 1)
  stub.predict(tmp_path / 'in', tmp_path / 'fine')
  assert 'none had problems' in capsys.readouterr().err


@pytest.mark.parametrize('shifted', [False, True])
def test_a_shift_is_said_and_shown(tmp_path, capsys, shifted):
  source, output = stub.folder(tmp_path / 'in', 8), tmp_path / 'out'
  reference = {}
  if not shifted:
    stub.predict(source, tmp_path / 'first', found=stub.calibration())
    lines = (tmp_path / 'first/state/journal.jsonl').read_text().splitlines()
    kept = [json.loads(line)['statistics'] for line in lines]
    reference = {name: tuple(one[name] for one in kept) * 8 for name in kept[0]}
    capsys.readouterr()
  stub.predict(source, output, found=stub.calibration(count=64, **reference))
  said = capsys.readouterr().err
  page = (output / 'index.html').read_text().replace('\xa0', ' ')
  for text in (said, page):
    assert ('the limit of 5 % does not hold' in text) == shifted
    assert ('no proof that there is none' in text) != shifted
  assert 'With 95 % confidence, it is so.' in page
