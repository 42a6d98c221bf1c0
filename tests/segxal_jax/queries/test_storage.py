"""Maps of an image on disk: whole and sensible, or refused."""

import numpy as np
import pytest

from common_lib.errors import UserError
from segxal_jax.queries import region_selectors, storage

SIZE = (6, 8)


@pytest.fixture
def file(tmp_path):
  rng = np.random.default_rng(0)
  maps = {name: rng.random(SIZE, np.float32) for name in storage.MAPS}
  maps |= {
    'confidence': rng.random(SIZE, np.float32),
    'prediction': rng.integers(0, 19, SIZE).astype(np.uint8),
  }
  path = tmp_path / '0000003.npz'
  storage.write(
    path,
    rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8),
    maps,
    np.ones(SIZE, bool),
    region_selectors.Pixels(count=3, share=0.5),
    rng,
  )
  return path


def _arrays(file):
  with np.load(file) as arrays:
    return dict(arrays)


def test_what_a_strategy_without_a_guide_or_failure_map_writes(file):
  arrays = _arrays(file)
  del arrays['failure']
  np.savez(file, **arrays)
  found = storage.read(file)
  assert found.guide is None and 'failure' not in found.maps
  assert len(found.regions) == 3 and found.image.shape == (*SIZE, 3)


def _region(**changes):
  row = {'id': 1.0, 'score': 0.5, 'row': 5.0, 'column': 7.0} | changes
  return np.array([list(row.values())])


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('image', np.zeros((*SIZE, 4), np.uint8)),
    ('image', np.zeros((*SIZE, 3), np.float32)),
    ('prediction', np.zeros((6, 9), np.uint8)),
    ('prediction', np.zeros(SIZE, np.int64)),
    ('prediction', np.zeros(48, np.uint8)),
    ('usable', np.ones(SIZE, np.uint8)),
    ('segments', np.zeros((1, *SIZE), np.int32)),
    ('eem', np.zeros(SIZE, np.float32)),
    ('confidence', np.zeros((8, 6), np.float16)),
    ('guide', np.zeros(8, np.float16)),
    ('more', np.zeros(SIZE, np.float16)),
    ('regions', np.zeros((2, 3))),
    ('regions', np.zeros(4)),
    ('regions', _region(id=4.0)),
    ('regions', _region(id=-1.0)),
    ('regions', _region(row=6.0)),
    ('regions', _region(column=8.0)),
    ('regions', _region(column=np.nan)),
    ('regions', _region(row=1e300)),
    *((name, None) for name in ('image', 'regions', 'eem', 'pae', 'usable')),
  ],
)
def test_arrays_that_make_no_sense(file, name, value):
  arrays = _arrays(file)
  arrays.pop(name, None)
  if value is not None:
    arrays[name] = value
  np.savez(file, **arrays)
  with pytest.raises(UserError, match='0000003.npz.*is damaged.*fix it'):
    storage.read(file, 'fix it')


def test_a_region_at_the_last_pixel_is_inside(file):
  arrays = _arrays(file) | {'regions': _region(id=3.0)}
  np.savez(file, **arrays)
  assert storage.read(file).regions == ((3, 0.5, 5, 7),)
