"""Damaged and hostile .npz files end in one sentence."""

import io
import zipfile

import numpy as np
import pytest

from common_lib.errors import UserError
from common_lib.npz import read_npz

ARRAYS = {
  'image': np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
  'mask': np.array([[True, False]]),
  'map': np.linspace(0, 1, 6, dtype=np.float16).reshape(2, 3),
  'turned': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
  'nothing': np.zeros((0, 4)),
  'number': np.array(7),
}


def _read(path):
  return read_npz(path, what='the maps', fix='make them anew')


@pytest.fixture(params=[np.savez, np.savez_compressed])
def path(tmp_path, request):
  request.param(tmp_path / 'a.npz', **ARRAYS)
  return tmp_path / 'a.npz'


def _assert_same(found):
  assert found.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)
    assert found[name].flags.writeable


def test_arrays_come_back(path):
  _assert_same(_read(path))


def test_random_damage_is_named_or_harmless(path):
  content = path.read_bytes()
  rng = np.random.default_rng(0)
  named = 0
  for _ in range(400):
    damaged = bytearray(content)
    kind = rng.integers(3)
    place = int(rng.integers(len(content)))
    if kind == 0:
      damaged[place] ^= 1 << rng.integers(8)
    elif kind == 1:
      del damaged[place:]
    else:
      damaged[place : place + 20] = rng.bytes(20)
    path.write_bytes(damaged)
    try:
      found = _read(path)
    except UserError as error:
      assert 'a.npz, the maps, cannot be read' in str(error)
      named += 1
    else:  # A date or another field that tells nothing of the arrays.
      _assert_same(found)
  assert named > 200


def _archive(path, name, content):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(name, content)


def _npy(header, data=b''):
  text = header.encode().ljust(117) + b'\n'
  return b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text + data


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('a.txt', b'x'),
    ('a.npy', b''),
    ('a.npy', b'\x93NUMPY\x09\x00'),
    (
      'a.npy',
      _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}"),
    ),
    ('a.npy', _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}")),
    (
      'a.npy',
      _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}"),
    ),
    (
      'a.npy',
      _npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,)}"
      ),
    ),
    ('a.npy', _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")),
    ('a.npy', _npy("{'descr': '<U1', 'fortran_order': False, 'shape': (0,)}")),
    ('a.npy', _npy('__import__("os").system("true")')),
    ('a.npy', _npy('(' * 100)),
  ],
)
def test_archives_that_hold_no_arrays(tmp_path, name, content):
  path = tmp_path / 'a.npz'
  _archive(path, name, content)
  with pytest.raises(UserError, match='a.npz, the maps, cannot be read'):
    _read(path)


def test_pickles_are_not_run(tmp_path):
  path = tmp_path / 'a.npz'
  buffer = io.BytesIO()
  np.savez(buffer, a=np.array([{}], object))
  path.write_bytes(buffer.getvalue())
  with pytest.raises(UserError, match='of the type object'):
    _read(path)


@pytest.mark.parametrize('make', [None, 'mkdir'])
def test_no_file(tmp_path, make):
  path = tmp_path / 'a.npz'
  if make:
    path.mkdir()
  with pytest.raises(UserError, match='(No such file|Is a directory).*anew'):
    _read(path)
