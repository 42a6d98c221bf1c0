"""Strategies that train something of their own, killed and continued."""

import pytest

from configs import segxal_unet
from segxal_jax.config import validation
from segxal_jax.loop.auxiliary_models import ensemble
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from tests.segxal_jax.loop import killing, small_loop

FIELDS = small_loop.FIELDS | {
  'data.num_train': 12,
  'oracle.rest': 'void',
  'acquisition.ensemble': 2,
}


@pytest.mark.parametrize(
  ('strategy', 'until', 'kills'),
  [
    # The teacher is in the optimiser's state: after a checkpoint in the middle
    # of the training.
    ('s4al', 'predict', [(Run, 'save', 3)]),
    # Between two trainings of the committee, and before a member is kept.
    (
      'ensemble_vote_entropy',
      'query',
      [(ensemble, '_train', 1), (ensemble, '_write', 1)],
    ),
  ],
)
def test_killed_while_it_learns_it_ends_the_same(
  strategy, until, kills, data, tmp_path, monkeypatch
):
  config = segxal_unet.get_config()
  fields = FIELDS | {
    'data.cache_dir': str(data),
    'acquisition.strategy': strategy,
  }
  config.update_from_flattened_dict(fields)
  validation.check(config)
  unbroken, broken = tmp_path / 'unbroken', tmp_path / 'broken'
  run_loop(config, unbroken, (1, until))
  for owner, name, calls in kills:
    with monkeypatch.context() as patch:
      killing.killer(patch, owner, name, calls)
      with pytest.raises(killing.Killed):
        run_loop(config, broken, (1, until))
  run_loop(config, broken, (1, until))
  killing.assert_same(unbroken, broken)
