import jax.numpy as jnp
import pytest

from fsnet_jax.steps.train_step import TrainState
from segxal_jax.config.stop import StopOptions
from segxal_jax.loop import stopping
from segxal_jax.loop.state import STAGES, LoopState
from segxal_jax.pool.ledger import Cost

OPTIONS = StopOptions(
  cycles=3,
  images=0,
  pixels=100,
  clicks=7,
  plateau_patience=2,
  plateau_min_delta=0.01,
)


@pytest.mark.parametrize(
  ('cost', 'words'),
  [
    (Cost(999, 99, 6), None),
    (Cost(0, 100, 0), '100 pixels'),
    (Cost(0, 0, 8), '7 clicks is spent'),
  ],
)
def test_budget(cost, words):
  reason = stopping.budget_spent(OPTIONS, cost)
  assert reason is None if words is None else words in reason


def test_cycles_count_queries():
  assert stopping.cycles_done(OPTIONS, 3) is None
  assert stopping.cycles_done(OPTIONS, 4) == '3 cycles are done'


@pytest.mark.parametrize(
  ('scores', 'ends'),
  [
    ([0.5], False),
    ([0.5, 0.5], False),
    ([0.5, 0.505, 0.509], True),
    ([0.5, 0.505, 0.511], False),
    ([0.5, 0.4, None, 0.45], True),
    ([None, None, None, None], False),
  ],
)
def test_plateau(scores, ends):
  assert (stopping.plateau(OPTIONS, scores) is not None) is ends


def test_pool_empty():
  assert stopping.pool_empty(1) is None
  assert 'every image' in stopping.pool_empty(0)


def _networks():
  zero = jnp.zeros((), jnp.int32)
  return TrainState(zero, zero, {}, {}, {}, zero)


def test_states_are_ordered_and_survive_json():
  networks = _networks()
  states = [LoopState(1, stage, (3, 4), '', networks) for stage in STAGES]
  progress = [state.progress for state in states]
  assert progress == sorted(progress)
  assert states[-1].then('train', cycle=2).progress > progress[-1]
  restored = LoopState.restored(states[0].metadata(), networks)
  assert restored == states[0]
