"""A damaged checkpoint is named, set aside, and the one before it is used."""

import json
import os
import shutil
from typing import Any

import flax.struct
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import weights_store
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.storage import checkpoint_folders, checksums


def _state(step):
  noise = jax.random.normal(jax.random.key(step), (40, 30))
  return {
    'params': {'w': noise, 'b': jnp.arange(5.0) * step},
    'opt': (jnp.int32(step), {'m': jnp.ones(7) * step}),
  }


@flax.struct.dataclass
class _Fields:
  params: Any
  opt: Any


def _iterator(step=0):
  iterator = iter(grain.MapDataset.range(100).to_iter_dataset())
  for _ in range(step):
    next(iterator)
  return iterator


def _save(checkpoints, step, validation=None):
  checkpoints.save(
    step, _state(step), _iterator(step), {'at': step}, validation
  )
  checkpoints.wait()


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """Checkpoints 1 (the best), 3 and 4; 2 is neither new nor good."""
  workdir = tmp_path_factory.mktemp('saved')
  checkpoints = Checkpoints(workdir)
  for step in (1, 2, 3, 4):
    _save(checkpoints, step, 0.5 * step)
  checkpoints.close()
  return workdir


@pytest.fixture
def workdir(saved, tmp_path):
  return shutil.copytree(saved, tmp_path / 'run')


def _resumed(workdir):
  """The step that a run goes on from, after it has been compared in full."""
  checkpoints, iterator = Checkpoints(workdir), _iterator(9)
  try:
    found = checkpoints.resume(_state(0), lambda step: iterator)
    # It can go on: orbax has read all that is left.
    _save(checkpoints, 9, 9.0)
  finally:
    checkpoints.close()
  assert found.metadata == {'at': found.step}
  assert next(iterator) == found.step
  expected, state = jax.tree.leaves(_state(found.step)), found.state
  for before, after in zip(expected, jax.tree.leaves(state), strict=True):
    np.testing.assert_array_equal(before, after)
  return found.step


def test_the_two_newest_and_the_best_are_kept(saved):
  assert checkpoint_folders.steps(saved) == [1, 3, 4]
  checkpoints = Checkpoints(saved, read_only=True)
  assert (checkpoints.latest_step(), checkpoints.best_step()) == (4, 1)


def _flip(path, at=None):
  content = bytearray(path.read_bytes())
  content[len(content) // 2 if at is None else at] ^= 16
  path.write_bytes(content)


def _data_files(folder):
  """Files of the arrays' values that are read; some are superseded."""
  return sorted((folder / 'state' / 'ocdbt.process_0' / 'd').iterdir())


def _remove(path):
  shutil.rmtree(path) if path.is_dir() else path.unlink()


_DAMAGES = {
  'the folder is empty': lambda f: (_remove(f), f.mkdir()),
  'the folder is a file': lambda f: (_remove(f), f.write_text('')),
  'no arrays': lambda f: _remove(f / 'state'),
  'no manifest': lambda f: _remove(f / 'state' / 'manifest.ocdbt'),
  'no merged index': lambda f: _remove(f / 'state' / 'd'),
  'no values': lambda f: _remove(f / 'state' / 'ocdbt.process_0'),
  'manifest cut': lambda f: os.truncate(f / 'state' / 'manifest.ocdbt', 20),
  'values emptied': lambda f: [os.truncate(p, 0) for p in _data_files(f)],
  'no description': lambda f: _remove(f / 'state' / '_METADATA'),
  'description garbage': lambda f: (f / 'state' / '_METADATA').write_text('{'),
  'description empty': lambda f: (f / 'state' / '_METADATA').write_text('{}'),
  'description changed': lambda f: _flip(f / 'state' / '_METADATA'),
  'no metadata': lambda f: _remove(f / 'metadata'),
  'metadata garbage': lambda f: (f / 'metadata/metadata').write_bytes(b'\xff'),
  'metadata changed': lambda f: (f / 'metadata/metadata').write_text(
    '{"at": 5}'
  ),
  'metadata of another kind': lambda f: (f / 'metadata/metadata').write_text(
    '[' * 100_000
  ),
  'no metrics': lambda f: _remove(f / 'metrics'),
  'metrics garbage': lambda f: (f / 'metrics/metrics').write_text('garbage'),
  'metrics changed': lambda f: (f / 'metrics/metrics').write_text(
    '{"validation": 0.1}'
  ),
  'no data': lambda f: _remove(f / 'data'),
  'data empty': lambda f: (f / 'data/process_0-of-1.json').write_text(''),
  'data changed': lambda f: _flip(f / 'data/process_0-of-1.json', -3),
}


@pytest.mark.parametrize('damage', _DAMAGES.values(), ids=_DAMAGES)
def test_the_one_before_is_used(workdir, damage, capsys, caplog):
  damage(workdir / 'checkpoints' / '4')
  assert _resumed(workdir) == 3
  said = capsys.readouterr().err
  assert said.count('\n') == 1
  assert 'checkpoints/4 is damaged (' in said and 'step 3 is intact' in said
  assert 'Traceback' not in said and not caplog.text
  aside = workdir / 'checkpoints.damaged'
  assert [path.name for path in aside.iterdir()] == ['4']


@pytest.mark.parametrize('name', ['_CHECKPOINT_METADATA', 'state/_sharding'])
def test_what_no_restore_reads_may_be_gone(workdir, name):
  (workdir / 'checkpoints' / '4' / name).unlink()
  assert _resumed(workdir) == 4


def test_no_flipped_bit_changes_a_network(workdir):
  """Each byte's flip is noticed or is in what nobody reads."""
  folder = workdir / 'checkpoints' / '4'
  checkpoints, noticed = Checkpoints(workdir, read_only=True), 0
  for path in _data_files(folder):
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 8)):
      _flip(path, at)
      try:
        found = checkpoints.restore(4, _state(0))
      except UserError as error:
        assert 'checkpoints/4 is damaged' in str(error)
        noticed += 1
      else:
        pairs = zip(jax.tree.leaves(_state(4)), jax.tree.leaves(found.state))
        assert all(np.array_equal(a, b) for a, b in pairs)
      path.write_bytes(whole)
  assert noticed >= 4


def test_changed_values_name_their_array(workdir):
  """Arrays of another network that orbax reads without complaint."""
  folder = workdir / 'checkpoints'
  for name in ('d', 'ocdbt.process_0', 'manifest.ocdbt'):
    _remove(folder / '4' / 'state' / name)
    source = folder / '3' / 'state' / name
    copy = shutil.copytree if source.is_dir() else shutil.copy
    copy(source, folder / '4' / 'state' / name)
  checkpoints = Checkpoints(workdir, read_only=True)
  with pytest.raises(UserError, match='4 is damaged .array opt/0 differs'):
    checkpoints.restore(4, _state(0))
  with pytest.raises(ValueError, match='array params/w differs'):
    weights_store.load_arrays(folder / '4' / 'state', {'params': {'w': 0}})
  # Some fields alone are compared as well.
  with pytest.raises(UserError, match='4 is damaged .array params/b differs'):
    checkpoints.restore(4, _Fields(**_state(0)), only=['params'])
  state = checkpoints.restore(3, _Fields(**_state(0)), only=['params']).state
  np.testing.assert_array_equal(state.params['w'], _state(3)['params']['w'])
  assert state.opt[0] == 0


def test_several_are_damaged(workdir):
  for step in ('3', '4'):
    (workdir / 'checkpoints' / step / 'state' / 'manifest.ocdbt').unlink()
  assert _resumed(workdir) == 1
  assert {p.name for p in (workdir / 'checkpoints.damaged').iterdir()} == {
    '3',
    '4',
  }


def test_an_older_one_that_cannot_be_ranked_is_set_aside(workdir):
  (workdir / 'checkpoints' / '1' / 'metrics' / 'metrics').write_text('x')
  assert _resumed(workdir) == 4
  assert (workdir / 'checkpoints.damaged' / '1').is_dir()


def test_the_same_step_can_be_damaged_twice(workdir):
  for name in ('4', '4.2'):
    (workdir / 'checkpoints' / '4' / 'state' / 'manifest.ocdbt').unlink()
    checkpoints = Checkpoints(workdir)
    checkpoints.resume(_state(0), lambda step: None)
    _save(checkpoints, 4, 2.0)
    checkpoints.close()
    assert (workdir / 'checkpoints.damaged' / name).is_dir()
  assert _resumed(workdir) == 4


def _tree(workdir):
  return sorted(
    (str(path.relative_to(workdir)), path.read_bytes())
    for path in workdir.rglob('*')
    if path.is_file()
  )


def test_without_an_intact_one_nothing_is_touched(workdir):
  for step in ('1', '3', '4'):
    (workdir / 'checkpoints' / step / 'state' / 'manifest.ocdbt').unlink()
  before = _tree(workdir)
  with pytest.raises(UserError, match=r'no intact checkpoint \(4: .*another'):
    Checkpoints(workdir).resume(_state(0), lambda step: None)
  assert _tree(workdir) == before


def test_a_reader_moves_nothing_and_says_what_to_do(workdir):
  _flip(workdir / 'checkpoints' / '4' / 'metrics' / 'metrics', -2)
  before = _tree(workdir)
  checkpoints = Checkpoints(workdir, read_only=True)
  with pytest.raises(
    UserError, match='4 is damaged .*the one before it .step 3'
  ):
    checkpoints.restore(4, _state(0))
  with pytest.raises(UserError, match='4 is damaged'):
    checkpoints.best_step()
  assert checkpoints.restore(3, _state(0)).step == 3
  assert _tree(workdir) == before
  (workdir / 'checkpoints' / '1' / 'metrics' / 'metrics').write_text('x')
  with pytest.raises(UserError, match='1 is damaged .*away to use the others'):
    checkpoints.restore(1, _state(0))
  for step in ('1', '3'):
    shutil.rmtree(workdir / 'checkpoints' / step)
  with pytest.raises(UserError, match='4 is damaged .*in another --workdir'):
    checkpoints.restore(4, _state(0))
  with pytest.raises(RuntimeError, match='to be read'):
    _save(checkpoints, 5)


def test_the_config_of_another_network_is_no_damage(workdir):
  like = _state(0)
  like['params']['b'] = jnp.zeros(6)
  before = _tree(workdir)
  checkpoints = Checkpoints(workdir)
  with pytest.raises(UserError, match=r'params/b is float32\[5\] there'):
    checkpoints.resume(like, lambda step: None)
  assert _tree(workdir) == before


def test_a_file_that_may_not_be_read_is_no_damage(workdir, monkeypatch):
  def denied(*_):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr('pathlib.Path.read_bytes', denied)
  with pytest.raises(UserError, match='cannot be read now .Permission denied'):
    Checkpoints(workdir).resume(_state(0), lambda step: None)
  assert not (workdir / 'checkpoints.damaged').exists()


def _without_checksums(folder):
  path = folder / 'state' / '_METADATA'
  content = json.loads(path.read_text())
  content['custom_metadata'] = None
  path.write_text(json.dumps(content))


def test_checkpoints_of_earlier_versions_load_with_a_note(workdir, capsys):
  checksums.note_missing.cache_clear()
  for step in ('1', '3', '4'):
    _without_checksums(workdir / 'checkpoints' / step)
  assert _resumed(workdir) == 4
  said = capsys.readouterr().err
  assert said.count('without checksums') == 1 and said.count('\n') == 1


def test_a_first_checkpoint_that_does_not_come_back_ends_the_run(
  tmp_path, monkeypatch
):
  """As if the merge of orbax had found nothing to merge."""
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, _state(1), _iterator(1), {}, None)
  wait = checkpoints._manager.wait_until_finished

  def lose():
    wait()
    (tmp_path / 'checkpoints' / '1' / 'state' / 'manifest.ocdbt').unlink()

  monkeypatch.setattr(checkpoints._manager, 'wait_until_finished', lose)
  with pytest.raises(UserError, match='first checkpoint of this run, does not'):
    checkpoints.wait()
  monkeypatch.undo()
  checkpoints.close()


def test_weights_that_do_not_come_back_are_an_error(tmp_path, monkeypatch):
  other = checksums.record({'w': 'float32[2]:00'})
  monkeypatch.setattr(checksums, 'record', lambda arrays: other)
  with pytest.raises(OSError, match='does not give back'):
    weights_store.save_arrays(tmp_path / 'w', {'w': np.ones(2, np.float32)})
