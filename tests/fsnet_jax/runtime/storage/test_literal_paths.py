"""Whatever a folder is called, what is saved in it can be restored."""

import os
from pathlib import Path

import grain
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import weights_store
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.storage import literal_paths

NAMES = [
  'lr[0.1]',
  'x[1',
  'a]b',
  '*',
  '**',
  'what?',
  '{a,b}',
  '!(x)',
  '[!a-z]*?',
  'a b#c%20&$HOME',
  'it\'s "so"',
  'new\nline',
  '~',
  'end~',
  'ocdbt.process_0',
  '本',
]


@pytest.mark.parametrize('name', NAMES)
def test_checkpoints_and_weights_come_back(tmp_path, name):
  workdir = tmp_path / name / 'run[0]'
  state = {'w': jnp.arange(6.0).reshape(2, 3)}
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints = Checkpoints(workdir)
  try:
    checkpoints.save(3, state, iterator, {'a': 1}, None)
    checkpoints.wait()
  finally:
    checkpoints.close()
  again = Checkpoints(workdir)
  found = again.resume({'w': jnp.zeros((2, 3))}, lambda step: iterator)
  again.close()
  np.testing.assert_array_equal(found.state['w'], state['w'])
  folder = tmp_path / name / 'arrays'
  weights_store.save_arrays(folder, {'w': np.arange(4)})
  loaded = weights_store.load_arrays(folder, {'w': 0})
  np.testing.assert_array_equal(loaded['w'], np.arange(4))


def test_a_glob_stays_within_its_folder(tmp_path):
  for name in ('a[1]', 'a1'):
    (tmp_path / name).mkdir()
    (tmp_path / name / f'part_{name[-1]}').touch()
  found = literal_paths.literal(tmp_path / 'a[1]').glob('part_*')
  assert [path.name for path in found] == ['part_]']


@pytest.mark.parametrize(
  'name, why',
  [
    ('a\\b', 'backslash'),
    ('gs:/x', "'gs:'"),
    (os.fsdecode(b'\xff\xfe'), 'not UTF-8'),
  ],
)
def test_what_the_libraries_read_as_something_else_is_refused(
  tmp_path, name, why
):
  with pytest.raises(UserError, match=f'{why}.*another path'):
    Checkpoints(tmp_path / name)
  with pytest.raises(UserError, match=why):
    weights_store.save_arrays(tmp_path / name, {'w': np.ones(2)})
  assert list(tmp_path.iterdir()) == []


def test_a_bucket_is_not_written_to():
  with pytest.raises(UserError, match='/s3 first'):
    literal_paths.literal(Path('/s3/runs/x'))
