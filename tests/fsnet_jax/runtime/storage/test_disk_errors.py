"""A save that fails is noticed at the next step, in one sentence."""

import errno
import resource
import time

import grain
import jax
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import checkpointing, weights_store
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.storage import checkpoint_folders, disk_errors

# As TensorStore 0.1.80 says it of a full disk, shortened.
FULL = ValueError(
  'RESOURCE_EXHAUSTED: Error writing "a/0" in OCDBT database at local file '
  '"/w/state/": Failed to write 50457 bytes to file 7: No space left on device '
  "[os_error_code='28']"
)


def test_the_number_of_an_error_is_found():
  assert disk_errors.number(FULL) == errno.ENOSPC
  assert disk_errors.number(OSError(5, 'x')) == errno.EIO
  assert disk_errors.number(ValueError('shape')) is None
  assert disk_errors.number(TimeoutError()) is None
  assert disk_errors.number(None) is None
  outer = RuntimeError('while saving')
  outer.__cause__ = FULL
  assert disk_errors.number(outer) == errno.ENOSPC
  outer.__context__ = outer.__cause__ = outer  # A ring ends.
  assert disk_errors.number(outer) is None


def test_a_full_disk_is_one_sentence_whoever_meets_it(tmp_path):
  tensorflow = RuntimeError('{{Op}} /w/events; No space left on device [Op:x]')
  for error in (FULL, OSError(errno.ENOSPC, 'x'), tensorflow):
    with (
      pytest.raises(UserError, match=f'disk of {tmp_path} is full'),
      disk_errors.explained(tmp_path),
    ):
      raise error
  for error in (OSError(errno.EIO, 'x'), ValueError('x'), UserError('mine')):
    with (
      pytest.raises(type(error), match=str(error).replace('[', '.')),
      disk_errors.explained(tmp_path),
    ):
      raise error


def test_damage_is_told_from_the_moment():
  for code in (errno.EACCES, errno.EMFILE, errno.ESTALE):
    assert disk_errors.says_nothing_of_the_files(OSError(code, ''))
  assert disk_errors.says_nothing_of_the_files(MemoryError())
  for error in (OSError(errno.EIO, ''), OSError(errno.ENOENT, ''), KeyError()):
    assert not disk_errors.says_nothing_of_the_files(error)


def _save(checkpoints, step):
  state = {'w': jax.random.normal(jax.random.key(step), (200, 200))}
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints.save(step, state, iterator, {}, None)


@pytest.fixture
def small_files():
  """Files beyond 50 kB cannot be written: an error of the system itself."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)

  def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

  yield limit
  resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _error_at_a_step(checkpoints):
  for _ in range(2000):
    try:
      checkpoints.check()
    except UserError as error:
      return str(error)
    time.sleep(0.005)
  return 'none'


def test_a_failed_save_is_noticed_at_the_next_step(
  tmp_path, small_files, capfd, caplog
):
  checkpoints = Checkpoints(tmp_path)
  _save(checkpoints, 1)
  checkpoints.wait()
  small_files()
  _save(checkpoints, 2)
  said = _error_at_a_step(checkpoints)
  checkpoints.wait()  # As the loop does on its way out: nothing more to say.
  checkpoints.close()
  assert said == (
    f'{tmp_path}/checkpoints cannot be written (File too large), so that the '
    'checkpoint of step 2 is not saved: make the folder writable; the same '
    'command then goes on from that of step 1.'
  )
  printed = capfd.readouterr()
  assert printed.err == printed.out == '' and not caplog.text
  assert checkpoint_folders.steps(tmp_path) == [1]


def test_the_same_command_goes_on_once_there_is_room(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)
  _save(checkpoints, 1)
  checkpoints.wait()
  with monkeypatch.context() as patch:

    def full(*_, **__):
      raise FULL

    patch.setattr(checkpoints._manager, 'wait_until_finished', full)
    patch.setattr(checkpoints._manager, 'save', lambda *_, **__: None)
    _save(checkpoints, 2)
    with pytest.raises(UserError, match='disk of .* is full .No space left'):
      checkpoints.wait()
    patch.setattr(checkpoints._manager, 'save', full)
    with pytest.raises(UserError, match='step 2 is not saved: free some space'):
      _save(checkpoints, 2)
  checkpoints.close()
  again = Checkpoints(tmp_path)
  _save(again, 2)
  again.close()
  assert checkpoint_folders.steps(tmp_path) == [1, 2]


def test_a_first_save_that_fails_begins_anew(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)

  def full(*_, **__):
    raise OSError(errno.EDQUOT, 'Disk quota exceeded')

  monkeypatch.setattr(checkpointing.ocp.CheckpointManager, 'save', full)
  with pytest.raises(UserError, match='full .Disk quota.*begins anew'):
    _save(checkpoints, 1)
  monkeypatch.undo()
  checkpoints.close()


def test_a_fault_of_ours_stays_a_traceback(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)

  def wrong(*_, **__):
    raise ValueError('shapes differ')

  monkeypatch.setattr(checkpointing.ocp.CheckpointManager, 'save', wrong)
  with pytest.raises(ValueError, match='shapes differ'):
    _save(checkpoints, 1)
  monkeypatch.undo()
  checkpoints.close()


def test_weights_on_a_full_disk_are_an_os_error(tmp_path, small_files):
  tree = {'w': jax.device_get(jax.random.normal(jax.random.key(0), (200, 200)))}
  small_files()
  with pytest.raises(OSError, match='File too large') as raised:
    weights_store.save_arrays(tmp_path / 'w', tree)
  assert raised.value.errno == errno.EFBIG
