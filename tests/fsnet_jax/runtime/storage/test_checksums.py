"""Digests of what is saved, by hand and on odd arrays."""

import hashlib
import json

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from fsnet_jax.runtime.storage import checksums
from fsnet_jax.runtime.storage.checksums import Damaged


def test_a_digest_is_of_shape_dtype_and_bytes():
  found = checksums.of_arrays(
    {'params': {'w': np.array([[1, 2]], np.int32)}, 'opt': (jnp.int32(3),)}
  )
  one_two = hashlib.sha256(b'\1\0\0\0\2\0\0\0').hexdigest()
  three = hashlib.sha256(b'\3\0\0\0').hexdigest()
  assert found == {
    'params/w': f'int32[1,2]:{one_two}',
    'opt/0': f'int32[]:{three}',
  }


@pytest.mark.parametrize(
  'array',
  [
    np.zeros((0, 3), np.float32),
    np.float32(np.nan),
    np.arange(12.0).reshape(3, 4).T,
    np.arange(12.0)[::-2],
    np.array([True, False]),
    np.arange(4, dtype=ml_dtypes.bfloat16),
  ],
  ids=['empty', 'scalar', 'transposed', 'strided', 'bool', 'bfloat16'],
)
def test_layout_does_not_matter_and_each_bit_does(array):
  copy = np.array(array, order='C')
  found = checksums.of_arrays({'x': array})
  assert found == checksums.of_arrays({'x': copy})
  assert found == checksums.of_arrays({'x': jnp.asarray(array)}) or (
    array.dtype == np.float64
  )
  raw = bytearray(copy.tobytes())
  for bit in range(8 * len(raw)):
    raw[bit // 8] ^= 1 << bit % 8
    changed = np.frombuffer(bytes(raw), copy.dtype).reshape(copy.shape)
    with pytest.raises(Damaged, match='array x differs'):
      checksums.compare({'x': changed}, found)
    raw[bit // 8] ^= 1 << bit % 8


def test_a_part_can_be_compared_and_names_what_differs():
  tree = {'a': np.ones(2), 'b': {'c': np.zeros(3)}}
  record = checksums.of_arrays(tree)
  checksums.compare({'b': tree['b']}, record)
  with pytest.raises(Damaged, match='array b/c differs'):
    checksums.compare({'b': {'c': np.zeros(3, np.float32)}}, record)
  with pytest.raises(Damaged, match='array d differs'):
    checksums.compare({'d': np.ones(2)}, record)


def test_another_network_is_told_from_damage():
  saved = checksums.of_arrays({'a': np.ones(2), 'b': np.ones(3)})
  assert (
    checksums.first_difference({'a': np.ones(2), 'b': np.ones(3)}, saved)
    is None
  )
  found = checksums.first_difference({'a': np.ones(2), 'b': np.ones(4)}, saved)
  assert found == 'b is float64[3] there and float64[4] here'
  found = checksums.first_difference({'a': np.ones(2)}, saved)
  assert found == 'b is float64[3] there and None here'


def _metadata(record):
  return json.loads(json.dumps({'custom_metadata': {checksums.KEY: record}}))


def test_the_record_protects_itself():
  record = checksums.record({'a': 'x'}, data=['1', '2'])
  assert checksums.stored_record(_metadata(record)) == record
  for damaged in (
    {**record, 'data': ['1', '3']},
    {**record, 'arrays': {}},
    {**record, 'arrays': None},
    {**record, 'more': 1},
    {name: v for name, v in record.items() if name != 'record'},
    [],
    'x',
  ):
    with pytest.raises(Damaged, match='its checksums are not'):
      checksums.stored_record(_metadata(damaged))


@pytest.mark.parametrize(
  'metadata', [{}, [], None, {'custom_metadata': None}, {'custom_metadata': 3}]
)
def test_earlier_versions_have_no_record(metadata):
  assert checksums.stored_record(metadata) is None
