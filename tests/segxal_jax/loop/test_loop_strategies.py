"""Strategies that train something of their own, killed and continued."""

import numpy as np
import pytest

from common_lib.class_table import VOID
from configs import segxal_unet
from segxal_jax.config import builders, validation
from segxal_jax.loop import cycle_files
from segxal_jax.loop.auxiliary_models import ensemble
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from segxal_jax.queries import storage
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
  config = segxal_unet.get_config('streets')
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


def test_the_bound_asks_where_the_network_is_wrong(data, tmp_path):
  """Images and regions by their true errors, which the scores have."""
  config = segxal_unet.get_config('streets')
  fields = FIELDS | {
    'data.cache_dir': str(data),
    'acquisition.strategy': 'true_error',
    'pool.subset_share': 1.0,
  }
  config.update_from_flattened_dict(fields)
  validation.check(config)
  run_loop(config, tmp_path, (1, 'annotate'))
  scores = cycle_files.read_scores(tmp_path, 1, 12, ('true_error',))
  folder = tmp_path / 'cycles' / '001' / 'questions'
  asked = sorted(int(path.stem) for path in folder.iterdir())
  worst = np.argsort(-scores['true_error'], kind='stable')[:2]
  assert asked == sorted(int(i) for i in scores['index'][worst])
  usable = builders.usable(config)
  pool = builders.pool_source(config)
  for index in asked:
    maps = storage.read(storage.path(folder, index), 'no fix')
    label = np.asarray(pool[index]['label'])
    wrong = (maps.prediction != label) & (label != VOID)
    assert maps.guide is not None and 0 < wrong.mean() < 1
    np.testing.assert_array_equal(maps.guide, wrong)
    row = list(scores['index']).index(index)
    assert scores['true_error'][row] == pytest.approx(wrong[usable].mean())
