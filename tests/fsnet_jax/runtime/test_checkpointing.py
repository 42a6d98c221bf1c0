"""A checkpoint gives back every part of the train state."""

import dataclasses

import grain
import jax
import numpy as np
import optax
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.checkpointing import Checkpoints, kept
from fsnet_jax.steps import optimizers, train_step
from tests.fsnet_jax.models import small_networks

_OPTIMIZER = optimizers.make_optimizer(
  segmentation_lr=optax.constant_schedule(0.01),
  momentum=0.9,
  weight_decay=0.1,
  failure_lr=1e-3,
  frozen=lambda path: path[0] == 'norm',
)


def _state(seed):
  """A state with batch norm in S and with parameters that are frozen."""
  state = train_step.create_state(
    small_networks.fsnet(),
    _OPTIMIZER,
    seed=seed,
    image_size=small_networks.SIZE,
    phase2_start=seed,
  )
  # As a dict: orbax rebuilds the class around what is no array, which the
  # type checks of the tests refuse.
  fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
  return jax.device_put(fields)


def _changed(state):
  """Every array with values that no fresh state has."""
  rng = np.random.default_rng(0)

  def draw(leaf):
    values = rng.integers(1, 100, leaf.shape).astype(leaf.dtype)
    return jax.device_put(values)

  return jax.tree.map(draw, state)


def test_batch_statistics_and_frozen_parameters_come_back(tmp_path):
  saved = _changed(_state(0))
  stats = saved['batch_stats']['segmentation']['norm']
  assert set(stats) == {'mean', 'var'}
  assert 'frozen' in saved['opt_state'].inner_states
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints = Checkpoints(tmp_path)
  try:
    checkpoints.save(3, saved, iterator, {'plateau_best': 1.5}, None)
    checkpoints.wait()
    restored = checkpoints.restore(3, _state(1))
  finally:
    checkpoints.close()
  assert restored.metadata == {'plateau_best': 1.5}
  assert jax.tree.structure(saved) == jax.tree.structure(restored.state)
  pairs = zip(jax.tree.leaves(saved), jax.tree.leaves(restored.state))
  for before, after in pairs:
    np.testing.assert_array_equal(before, after)


def test_networks_come_back_without_what_trains_them(tmp_path):
  saved = _changed(_state(0))
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints = Checkpoints(tmp_path)
  form = train_step.abstract_state(
    small_networks.fsnet(), _OPTIMIZER, small_networks.SIZE
  )
  one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  form = jax.tree.map(lambda leaf: leaf.update(sharding=one), form)
  try:
    checkpoints.save(3, saved, iterator, {}, None)
    checkpoints.wait()
    found = checkpoints.restore(3, form, only=train_step.WEIGHTS).state
    other = dataclasses.replace(form, opt_state=form.params)
    with pytest.raises(UserError, match='holds other arrays than this command'):
      checkpoints.restore(3, other, only=train_step.WEIGHTS)
  finally:
    checkpoints.close()
  assert found.opt_state is form.opt_state and found.step is form.step
  for name in train_step.WEIGHTS:
    expected, read = saved[name], getattr(found, name)
    assert jax.tree.structure(expected) == jax.tree.structure(read)
    for before, after in zip(jax.tree.leaves(expected), jax.tree.leaves(read)):
      assert isinstance(after, jax.Array)
      np.testing.assert_array_equal(before, after)


def test_another_number_of_processes_is_one_sentence(tmp_path):
  """Where the data stands is known to as many processes as there were."""
  state = {'weight': jax.numpy.ones(2)}
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints = Checkpoints(tmp_path)
  try:
    checkpoints.save(3, state, iterator, {}, None)
    checkpoints.wait()
    data = tmp_path / 'checkpoints' / '3' / 'data'
    (data / 'process_0-of-1.json').rename(data / 'process_0-of-2.json')
    (data / 'process_1-of-2.json').write_text('{}')
    with pytest.raises(UserError, match='by 2 processes .* now read by 1:'):
      checkpoints.restore(3, state, iterator)
    # Weights alone do not depend on it.
    assert checkpoints.restore(3, state).state['weight'].shape == (2,)
  finally:
    checkpoints.close()


def test_what_a_kill_would_leave_is_told(tmp_path):
  assert kept(tmp_path) == 'no checkpoint is saved yet'
  for name in ('9', '12', '16.orbax-checkpoint-tmp-3'):
    (tmp_path / 'checkpoints' / name).mkdir(parents=True)
  assert kept(tmp_path) == 'the last saved checkpoint is of step 12'
