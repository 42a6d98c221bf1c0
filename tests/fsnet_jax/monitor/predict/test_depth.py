"""Depth of flagged regions, from maps that somebody else measured."""

import json

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from fsnet_jax.monitor.predict import segments
from tests.fsnet_jax.monitor.predict import stub


def _rows(output, name='segments'):
  lines = (output / f'{name}.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def _depths(output):
  """Image to what its one region has."""
  return {row['image']: row['depth_m'] for row in _rows(output)}


def _flagged(path, size=(24, 40)):
  """An image all of which is flagged."""
  rng = np.random.default_rng(0)
  return stub.save(path, stub.picture(rng, *size, green=255))


def _map(path, values):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(values, np.uint16)).save(path)
  return path


def test_median_of_what_is_measured():
  flagged = np.zeros((4, 6), bool)
  flagged[0, :3] = flagged[2, 3:] = True
  depth = np.full((4, 6), 99.0, np.float32)
  depth[0, :3] = 4, np.nan, 7
  depth[2, 3:] = np.nan
  labels, failure = np.zeros((4, 6), np.uint8), np.ones((4, 6), np.float32)
  _, found = segments.find(labels, failure, flagged, 0.0, depth)
  assert [one.depth_m for one in found] == [5.5, None]
  _, without = segments.find(labels, failure, flagged, 0.0)
  assert [one.depth_m for one in without] == [None, None]


def test_maps_are_called_as_images(tmp_path):
  _flagged(tmp_path / 'in' / 'a' / 'x.jpg')
  _flagged(tmp_path / 'in' / 'y.png')
  values = np.random.default_rng(1).integers(1, 60_000, (24, 40))
  _map(tmp_path / 'maps' / 'a' / 'x.png', values)
  _map(tmp_path / 'maps' / 'y.png', np.zeros((24, 40)))
  depth = str(tmp_path / 'maps')
  stub.predict(tmp_path / 'in', tmp_path / 'out', depth=depth)
  median = pytest.approx(np.median(values) / 1000, abs=6e-4)
  assert _depths(tmp_path / 'out') == {'a/x.jpg': median, 'y.png': None}
  stub.predict(
    tmp_path / 'in', tmp_path / 'kitti', depth=depth, depth_per_metre=256.0
  )
  median = pytest.approx(np.median(values) / 256, abs=6e-4)
  assert _depths(tmp_path / 'kitti')['a/x.jpg'] == median


def test_maps_below_the_images_are_no_images(tmp_path):
  source = tmp_path / 'in'
  _flagged(source / 'x.png')
  # Half as large, as networks give it.
  _map(source / 'depth' / 'x.png', np.full((12, 20), 2500))
  stub.predict(source, tmp_path / 'out', depth=str(source / 'depth'))
  assert [row['image'] for row in _rows(tmp_path / 'out', 'triage')] == [
    'x.png'
  ]
  assert _depths(tmp_path / 'out') == {'x.png': 2.5}


def _eight_bits(path):
  Image.fromarray(np.zeros((24, 40), np.uint8)).save(path)


@pytest.mark.parametrize(
  ('spoil', 'said'),
  [
    (lambda path: path.unlink(), 'file is missing'),
    (lambda path: path.write_bytes(path.read_bytes()[:60]), 'cannot be decod'),
    (_eight_bits, 'its mode is L and has 8 bits, expected grey of 16'),
    (
      lambda path: _map(path, np.ones((24, 24))),
      'depth is 24x24, its image 24',
    ),
  ],
)
def test_a_map_that_cannot_be_used_is_told_once(tmp_path, capsys, spoil, said):
  for name in 'abc':
    _flagged(tmp_path / 'in' / f'{name}.png')
    _map(tmp_path / 'maps' / f'{name}.png', np.full((24, 40), 3000))
  spoil(tmp_path / 'maps' / 'a.png')
  spoil(tmp_path / 'maps' / 'c.png')
  stub.predict(tmp_path / 'in', tmp_path / 'out', depth=str(tmp_path / 'maps'))
  assert _depths(tmp_path / 'out') == {
    'a.png': None,
    'b.png': 3.0,
    'c.png': None,
  }
  assert {row['problem'] for row in _rows(tmp_path / 'out', 'triage')} == {''}
  error = capsys.readouterr().err
  assert error.count('has no depth_m') == 1 and said in error


def test_a_map_that_changes_is_read_again(tmp_path):
  for name in 'ab':
    _flagged(tmp_path / 'in' / f'{name}.png')
  _map(tmp_path / 'maps' / 'a.png', np.full((24, 40), 3000))
  asked = {'depth': str(tmp_path / 'maps')}
  source, output = tmp_path / 'in', tmp_path / 'out'
  stub.predict(source, output, **asked)
  assert _depths(output) == {'a.png': 3.0, 'b.png': None}
  assert stub.predict(source, output, **asked).calls == []
  _map(tmp_path / 'maps' / 'b.png', np.full((24, 40), 8000))
  found = stub.predict(source, output, **asked)
  # The first is to compile.
  assert [shape[0] for shape in found.calls] == [1, 1]
  assert _depths(output) == {'a.png': 3.0, 'b.png': 8.0}
  for other in ({}, {**asked, 'depth_per_metre': 256.0}):
    with pytest.raises(UserError, match='its depth .*was .* and is now'):
      stub.predict(source, output, **other)


def test_a_prediction_of_an_older_version_goes_on(tmp_path):
  source, output = stub.folder(tmp_path / 'in', 2), tmp_path / 'out'
  stub.predict(source, output)
  before = _rows(output)
  from common_lib import checksums

  journal = output / 'state' / 'journal.jsonl'
  lines = [json.loads(one) for one in journal.read_text().splitlines()]
  for line in lines:
    del line[checksums.FIELD]
    line['segments'] = [
      {k: v for k, v in one.items() if k != 'depth_m'}
      for one in line['segments']
    ]
    line[checksums.FIELD] = checksums.of_value(line)
  journal.write_text(''.join(json.dumps(one) + '\n' for one in lines))
  state = output / 'state' / 'state.json'
  stored = json.loads(state.read_text())
  kept = {
    k: v
    for k, v in stored.items()
    if k not in ('depth', 'depth per metre', checksums.FIELD)
  }
  checksums.write_json(state, kept)
  assert stub.predict(source, output).calls == []
  assert _rows(output) == before and before[0]['depth_m'] is None


@pytest.mark.parametrize(
  ('name', 'said'),
  [
    ('missing', 'is no folder'),
    ('in/x.png', 'is no folder'),
    ('in', 'has the images of --input in it'),
    ('.', 'has the images of --input in it'),
    ('empty', r'that of x.png would be .*empty/x.png'),
  ],
)
def test_a_folder_that_cannot_be_meant(tmp_path, name, said):
  _flagged(tmp_path / 'in' / 'x.png')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match=said) as raised:
    stub.predict(tmp_path / 'in', tmp_path / 'out', depth=str(tmp_path / name))
  assert 'config.predict.depth=' in str(raised.value)
  assert not (tmp_path / 'out').exists()


def test_disparity_beside_images_of_cityscapes_is_found(tmp_path):
  name = 'val/lindau/lindau_000000_000019'
  image = tmp_path / 'leftImg8bit' / f'{name}_leftImg8bit.png'
  _flagged(image)
  _flagged(image.with_name('lindau_000001_000019_leftImg8bit.png'))
  # A disparity of 40 pixels.
  disparity = np.full((24, 40), 40 * 256 + 1)
  disparity[:10] = 0
  _map(tmp_path / 'disparity' / f'{name}_disparity.png', disparity)
  camera = tmp_path / 'camera' / f'{name}_camera.json'
  camera.parent.mkdir(parents=True)
  camera.write_text(
    json.dumps({'extrinsic': {'baseline': 0.2}, 'intrinsic': {'fx': 2000.0}})
  )
  for source in (tmp_path / 'leftImg8bit', image.parent):
    output = tmp_path / f'out_{source.name}'
    stub.predict(source, output)
    assert list(_depths(output).values()) == [10.0, None]


def test_frames_have_depth_by_their_names(tmp_path):
  import cv2

  writer = cv2.VideoWriter(
    str(tmp_path / 'drive.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 10, (64, 48)
  )
  for _ in range(2):
    writer.write(np.full((48, 64, 3), (90, 250, 90), np.uint8))
  writer.release()
  _map(tmp_path / 'maps' / 'frame_000001.png', np.full((48, 64), 12_000))
  stub.predict(
    tmp_path / 'drive.mp4', tmp_path / 'out', depth=str(tmp_path / 'maps')
  )
  assert _depths(tmp_path / 'out') == {
    'frame_000000': None,
    'frame_000001': 12.0,
  }
