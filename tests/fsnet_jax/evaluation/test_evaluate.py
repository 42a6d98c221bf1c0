"""The evaluation loop: what was kept is not evaluated again."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import fsnet_fcn8
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.evaluation import evaluate, evaluator
from fsnet_jax.evaluation.dataset_sums import DatasetSums
from fsnet_jax.metrics.failure import failure_counts
from fsnet_jax.runtime.interrupts import Interrupted

DATASETS = ('streets/day', 'streets/fog', 'streets/rain')


class StandIn:
  """Instead of networks and data; stops before a data set if told to."""

  stop_before = None
  seen: list[str] = []

  def __init__(self, *_):
    pass

  def check_fits(self, state):
    pass

  def __call__(self, state, source, stop, observe, dataset):
    assert dataset == source[0]
    if source[0] == self.stop_before:
      raise Interrupted('stopped')
    self.seen.append(source[0])
    return evaluator.DatasetResult({'segmentation': {}, 'failure': {}}, [])


@pytest.fixture
def stand_in(monkeypatch):
  monkeypatch.setattr(StandIn, 'seen', [])
  for name, value in {
    'Evaluator': StandIn,
    'Checkpoints': lambda *_, **__: types.SimpleNamespace(
      restore=lambda step, like, only: types.SimpleNamespace(state=None),
      close=lambda: None,
    ),
    '_choose_step': lambda *_: 7,
    'abstract_state': lambda *_: None,
    '_publish': lambda *_: None,
  }.items():
    monkeypatch.setattr(evaluate, name, value)
  monkeypatch.setattr(
    evaluate.data_sources, 'source', lambda config, name: [name]
  )
  monkeypatch.setattr(evaluate.data_sources, 'images_in_common', lambda *_: 0)
  return StandIn


def test_kept_results_stand_for_their_data_sets(
  stand_in, tmp_path, monkeypatch
):
  config = fsnet_fcn8.get_config()
  config.eval.datasets = DATASETS
  kept = {}
  with monkeypatch.context() as patch:
    patch.setattr(stand_in, 'stop_before', 'streets/rain')
    with pytest.raises(Interrupted):
      evaluate.evaluate(config, tmp_path, {}, keep=kept.__setitem__)
  assert list(kept) == ['streets/day', 'streets/fog']
  del kept['streets/day']
  stand_in.seen.clear()
  added = {}
  metrics = evaluate.evaluate(
    config, tmp_path, {}, kept=kept, keep=added.__setitem__
  )
  assert stand_in.seen == list(added) == ['streets/day', 'streets/rain']
  assert list(metrics['datasets']) == list(DATASETS)
  found = metrics['datasets']['streets/fog']
  assert found['segmentation'] is kept['streets/fog'].metrics['segmentation']
  others = [metrics['datasets'][name] for name in added]
  assert all(found['segmentation'] is not o['segmentation'] for o in others)


def test_images_that_validation_shares_are_named(
  stand_in, tmp_path, monkeypatch, capsys
):
  config = fsnet_fcn8.get_config()
  config.eval.datasets = DATASETS
  config.eval.checkpoint = 'best'
  evaluate.evaluate(config, tmp_path, {})
  assert 'note:' not in capsys.readouterr().err
  shared = {'streets/fog': 3, 'streets/rain': 2}
  monkeypatch.setattr(
    evaluate.data_sources,
    'images_in_common',
    lambda _, name: shared.get(name, 0),
  )
  evaluate.evaluate(config, tmp_path, {})
  lines = capsys.readouterr().err.splitlines()
  (note,) = [line for line in lines if line.startswith('note: ')]
  assert "'day:validation'" in note and 'temperature' in note
  assert '3 of streets/fog, 2 of streets/rain' in note
  # Where they decided nothing, they are not even looked for.
  config.eval.checkpoint = 'last'
  evaluate.evaluate(config, tmp_path, {})
  assert 'note:' not in capsys.readouterr().err


def test_validation_images_may_be_gone_unless_a_temperature_needs_them(
  stand_in, tmp_path, monkeypatch, capsys
):
  def gone(*_):
    raise UserError('data.root: no such folder.')

  monkeypatch.setattr(evaluate.data_sources, 'images_in_common', gone)
  config = fsnet_fcn8.get_config()
  config.eval.datasets = DATASETS
  config.eval.checkpoint = 'best'
  evaluate.evaluate(config, tmp_path, {})
  assert 'note:' not in capsys.readouterr().err
  config.eval.detectors = ('msp', 'msp_temperature')
  with pytest.raises(UserError, match='no such folder'):
    evaluate.evaluate(config, tmp_path, {})


@pytest.mark.parametrize('score', [np.nan, np.inf])
def test_a_detector_whose_score_is_no_number_is_named(score):
  zeros = np.zeros((4, 4), np.int32)
  good = np.full((4, 4), 0.5, np.float32)
  bad = good.copy()
  bad[1, :3] = score
  shipped = evaluation_options(fsnet_fcn8.get_config())
  options = dataclasses.replace(shipped, exact_pixels=99, details=False)
  sums = DatasetSums(('msp', 'margin'), ('road', 'sky'), options)
  count = jax.jit(failure_counts, static_argnums=4)
  sums.add(
    {
      'confusion': np.zeros((1, 2, 2), np.int32),
      'failure': {
        name: count(scores, zeros > 0, zeros == 0, zeros, 2)
        for name, scores in (('msp', good), ('margin', bad))
      },
    }
  )
  words = "'margin'.*streets/fog.*3 valid pixels.*config.eval.detectors"
  with pytest.raises(UserError, match=words) as error:
    sums.metrics('streets/fog', 1)
  assert '\n' not in str(error.value)
