"""`streets/...` through `open_source`, and the command that draws a page."""

import pickle

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline.datasets import DataRequest, open_source, streets
from street_scenes import SKY_DEPTH, __main__, draw

SIZE = (33, 64)


def request(tmp_path, **changes):
  settings = {
    'image_size': SIZE,
    'cache_dir': str(tmp_path / 'cache'),
    'num_examples': {'train': 3, 'test': 2},
  }
  return DataRequest(**{**settings, **changes})


def test_scenes_come_back_as_drawn(tmp_path):
  source = open_source('streets/fog:train', request(tmp_path, depth=True))
  assert len(source) == 3
  for i, name in enumerate(('000000', '000001', '000002')):
    scene = source[i]
    drawn = draw('fog', 'train', i, SIZE)
    np.testing.assert_array_equal(scene['image'], drawn.image)
    np.testing.assert_array_equal(scene['label'], drawn.label)
    np.testing.assert_array_equal(scene['depth'], drawn.depth)
    assert scene['id'] == f'fog_train_{name}'
    assert scene['sequence'] == 'fog'


def test_defaults_are_day_and_test(tmp_path):
  source = open_source('streets', request(tmp_path))
  assert len(source) == 2
  assert 'depth' not in source[0]
  np.testing.assert_array_equal(
    source[1]['image'], draw('day', 'test', 1, SIZE).image
  )
  again = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(again[0]['label'], source[0]['label'])


def test_several_domains_take_turns(tmp_path):
  wanted = request(tmp_path, num_examples={'train': 7})
  source = open_source('streets/day+day+fog:train', wanted)
  domains = [source[i]['sequence'] for i in range(len(source))]
  assert domains == ['day', 'day', 'fog', 'day', 'day', 'fog', 'day']
  # Each is a street of its own.
  drawn = draw('fog', 'train', 5, SIZE)
  np.testing.assert_array_equal(source[5]['image'], drawn.image)
  assert source[5]['id'] == 'fog_train_000005'


def test_sky_depth_is_the_documented_constant(tmp_path):
  source = open_source('streets:train', request(tmp_path, depth=True))
  scenes = [source[i] for i in range(len(source))]
  sky = np.concatenate([s['depth'][s['label'] == 10] for s in scenes])
  assert sky.size > 0
  assert (sky == SKY_DEPTH).all()


def copies(tmp_path):
  return {path.name for path in (tmp_path / 'cache' / 'streets').glob('*x*')}


def test_what_matters_makes_another_copy(tmp_path, monkeypatch):
  open_source('streets', request(tmp_path))
  first = copies(tmp_path)
  assert len(first) == 1
  open_source('streets', request(tmp_path))
  assert copies(tmp_path) == first
  open_source('streets/night', request(tmp_path))
  open_source('streets', request(tmp_path, image_size=(32, 64)))
  open_source('streets', request(tmp_path, num_examples={'test': 1}))
  newer = streets.tfds.core.Version('99.0.0')
  monkeypatch.setattr(streets.Streets, 'VERSION', newer)
  open_source('streets', request(tmp_path))
  names = copies(tmp_path)
  assert len(names) == 5
  assert sum(name.startswith('day-test-2-33x64') for name in names) == 2


@pytest.mark.parametrize(
  ('spec', 'changes', 'words'),
  [
    ('streets/snow', {}, ['snow', 'day', 'other_city']),
    ('streets/day+snow', {}, ["'snow'", 'day', 'other_city']),
    ('streets/day+', {}, ["''", 'day', 'joined']),
    ('streets:val', {}, ['val', 'validation']),
    ('streets', {'image_size': (31, 64)}, ['31', '32']),
  ],
)
def test_mistakes_are_explained(tmp_path, spec, changes, words):
  with pytest.raises(UserError) as error:
    open_source(spec, request(tmp_path, **changes))
  for word in words:
    assert word in str(error.value)
  assert not (tmp_path / 'cache').exists()


def test_command_writes_a_page(tmp_path):
  out = tmp_path / 'page.png'
  __main__.main(
    [f'--out={out}', '--size=32,64', '--columns=2', '--domains=day,fog']
  )
  page = np.asarray(Image.open(out))
  # Two rows; two scenes of three pictures each; gaps of 4.
  assert page.shape == (2 * 32 + 4, 6 * 64 + 5 * 4, 3)
  np.testing.assert_array_equal(
    page[:32, :64], draw('day', 'train', 0, (32, 64)).image
  )
  np.testing.assert_array_equal(
    page[36:, 3 * 68 : 3 * 68 + 64], draw('fog', 'train', 1, (32, 64)).image
  )


@pytest.mark.parametrize(
  'wrong',
  ['--size=64', '--size=8,8', '--domains=snow', '--columns=0', '--seed=-1'],
)
def test_command_refuses_mistakes(tmp_path, wrong, capsys):
  with pytest.raises(SystemExit) as stop:
    __main__.main([f'--out={tmp_path / "x.png"}', wrong])
  assert stop.value.code == 2
  assert 'error' in capsys.readouterr().err
