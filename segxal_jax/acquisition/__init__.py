"""Acquisition strategies: one protocol, one table.

`base.Acquisition` is the protocol: a strategy names the numbers that it needs
of each image of the pool, and selects a batch of images by them. The numbers
are computed in one streaming pass (`explanation.step`), so that neither pixels
nor class scores of the pool are ever held.
"""

from common_lib.errors import UserError
from segxal_jax.acquisition.badge import Badge
from segxal_jax.acquisition.base import (
  Acquisition,
  Candidates,
  Requirements,
  SelectedBatch,
)
from segxal_jax.acquisition.by_score import ByScore
from segxal_jax.acquisition.coreset import CoreSet
from segxal_jax.acquisition.random import Random
from segxal_jax.acquisition.shortlist import Shortlist
from segxal_jax.acquisition.viewal import ViewAl

ACQUISITIONS: dict[str, Acquisition] = {
  strategy.name: strategy
  for strategy in (
    Random(),
    ByScore('entropy', 'Entropy'),
    ByScore('margin', 'Margin'),
    ByScore('least_confidence', 'Least confidence'),
    ByScore('eem', 'SegXAL (EEM)'),
    ByScore('balanced_entropy', 'Entropy by class'),
    ByScore('entropy_per_click', 'Entropy per click'),
    Shortlist('entropy_coreset', 'Entropy, then Core-set', 'entropy'),
    # What was ahead: docs/results/active_learning.md, "What to choose".
    Shortlist('auto', 'Auto (the most uncertain, apart)', 'entropy', factor=2),
    ByScore(
      'true_error',
      'True error (not to be known)',
      Requirements(granularity='true_error'),
    ),
    CoreSet('coreset', 'Core-set', 'l2'),
    CoreSet('coreset_cosine', 'Core-set (cosine)', 'cosine'),
    ByScore('vote_entropy', 'QBC (vote entropy)'),
    ByScore('consensus_entropy', 'QBC (consensus entropy)'),
    ByScore('disagreement', 'QBC (disagreement)'),
    ByScore('failure', "FSNet's failure map"),
    ByScore(
      'ensemble_vote_entropy',
      'QBC (ensemble, vote entropy)',
      Requirements(auxiliary_model='ensemble'),
      'vote_entropy',
    ),
    ByScore(
      'ensemble_consensus_entropy',
      'QBC (ensemble, consensus entropy)',
      Requirements(auxiliary_model='ensemble'),
      'consensus_entropy',
    ),
    ByScore(
      'ensemble_disagreement',
      'QBC (ensemble, disagreement)',
      Requirements(auxiliary_model='ensemble'),
      'disagreement',
    ),
    ByScore('deal_ds', 'DEAL (DS)', Requirements(learner='deal'), 'failure'),
    ByScore(
      'deal_de', 'DEAL (DE)', Requirements(learner='deal'), 'difficulty_entropy'
    ),
    ByScore('vaal', 'VAAL', Requirements(auxiliary_model='vaal')),
    ByScore(
      's4al',
      'S4AL (approximate)',
      Requirements(learner='mean_teacher', granularity='cells'),
      'entropy',
    ),
    ViewAl(),
    Badge(),
    ByScore('ripu', 'RIPU', Requirements(granularity='windows')),
    Random('pixelpick', 'PixelPick', Requirements(granularity='pixels')),
  )
}

__all__ = [
  'ACQUISITIONS',
  'Acquisition',
  'Candidates',
  'Requirements',
  'SelectedBatch',
  'create',
]


def create(name: str) -> Acquisition:
  """The strategy of this name.

  Raises:
    UserError: there is none.
  """
  if name not in ACQUISITIONS:
    raise UserError(
      f'config.acquisition.strategy is {name!r}: choose one of '
      f'{", ".join(ACQUISITIONS)}.'
    )
  return ACQUISITIONS[name]
