"""Cycles that train longer the more is labelled, and their checkpoints."""

import numpy as np
import pytest

from common_lib.errors import UserError
from configs import segxal_unet
from fsnet_jax.steps import optimizers
from segxal_jax.config import trainings, validation
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from segxal_jax.loop.lengths import Lengths
from segxal_jax.loop.stages.annotate import audit
from segxal_jax.oracles.full_image import whole_image
from segxal_jax.pool.ledger import Ledger
from tests.segxal_jax.loop import killing, small_loop


def _lengths(tmp_path, accepted, **changes):
  """Of a pool of which so many images join after each cycle, from cycle 0."""
  ledger = Ledger(tmp_path / 'pool', [f'{i}' for i in range(50)])
  index = 0
  for cycle, count in enumerate(accepted):
    joined = list(range(index, index + count))
    for one in joined:
      label = np.zeros((2, 2), np.uint8)
      answer = whole_image(label)
      ledger.annotate(
        cycle,
        one,
        f'{one}',
        'seed',
        answer.label,
        answer.asked,
        answer.cost,
        audit(answer.label, label),
      )
    ledger.select(cycle, joined, [], {})
    index += count
  fields = {'phase1_steps': 10, 'per_image': 3, 'phase2_steps': 0}
  return Lengths(ledger, **fields | changes)


def test_they_grow_with_the_labelled_pool(tmp_path):
  lengths = _lengths(tmp_path, (4, 2, 5), phase2_steps=1)
  # 4, 6, 11 images; nothing joined after cycle 3 yet.
  assert [lengths.of(c) for c in (1, 2, 3, 4, 5)] == [23, 29, 44, 44, 44]
  assert [lengths.phase1(c) for c in (1, 2, 3)] == [22, 28, 43]
  assert [lengths.before(c) for c in (1, 2, 3, 4, 6)] == [0, 23, 52, 96, 184]
  assert lengths.before(10**9) == 52 + 44 * (10**9 - 3)


def test_a_checkpoint_is_of_the_cycle_that_it_was_made_in(tmp_path):
  lengths = _lengths(tmp_path, (4, 2, 5))
  ends = [lengths.before(cycle + 1) for cycle in range(1, 7)]
  assert ends == [22, 50, 93, 136, 179, 222]
  slow = [1 + sum(end < step for end in ends) for step in range(1, 200)]
  assert [lengths.cycle_of(step) for step in range(1, 200)] == slow
  assert [step for step in range(1, 200) if lengths.is_end(step)] == ends[:5]


def test_equal_cycles_are_as_they_were(tmp_path):
  lengths = _lengths(tmp_path, (4, 2), per_image=0)
  assert [lengths.of(c) for c in (1, 2, 9)] == [10, 10, 10]
  assert [step for step in range(1, 31) if lengths.is_end(step)] == [10, 20, 30]


def test_the_schedule_is_stretched():
  config = segxal_unet.get_config('streets')
  config.optimizer.poly_steps = 120
  assert config.phase1_steps == 150
  longer = trainings.of_length(config, 300)
  assert (longer.phase1_steps, longer.optimizer.poly_steps) == (300, 240)
  assert config.phase1_steps == 150 and config.optimizer.poly_steps == 120
  assert trainings.of_length(config, 150) is config
  schedule = optimizers.segmentation_schedule(1.0, 'poly', 240, 1.0)
  assert float(schedule(120)) == pytest.approx(0.5)


def test_steps_for_images_alone_are_refused():
  config = segxal_unet.get_config('streets')
  config.phase1_steps, config.phase2_steps = 0, 5
  config.steps_per_image = 5
  with pytest.raises(UserError, match='steps_per_image is 5.*phase1_steps'):
    validation.check(config)


def _config(data):
  config = segxal_unet.get_config('streets')
  config.update_from_flattened_dict(
    small_loop.FIELDS
    | {
      'data.num_train': 10,
      'data.cache_dir': str(data),
      'phase1_steps': 1,
      'optimizer.poly_steps': 1,
      'steps_per_image': 1,
      'acquisition.strategy': 'random',
    }
  )
  return config


@pytest.mark.slow
def test_killed_in_a_longer_cycle_it_ends_the_same(tmp_path, monkeypatch):
  """Cycles of 5 and 7 steps, with a checkpoint after each second one."""
  config = _config(tmp_path / 'data')
  unbroken = tmp_path / 'unbroken'
  assert run_loop(config, unbroken).cycles == 2
  workdir = tmp_path / 'run'
  for number in (2, 3, 8):
    with monkeypatch.context() as patch:
      killing.killer(patch, Run, 'save', number)
      with pytest.raises(killing.Killed):
        run_loop(config, workdir)
  assert run_loop(config, workdir).cycles == 2
  killing.assert_same(unbroken, workdir)
  steps = sorted(int(p.name) for p in (workdir / 'checkpoints').iterdir())
  assert steps[-1] == 12
