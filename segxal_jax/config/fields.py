"""The rows of active learning's fields, beside those of `configs/common.py`.

What a row says: `fsnet_jax.config.fields`. What a field is for stands beside
its default, in `configs/segxal_common.py`. Imports nothing heavy.
"""

import dataclasses
from collections.abc import Mapping

from common_lib.class_table import MOST_CLASSES
from fsnet_jax.config.fields import (
  BELOW_1,
  COMMON,
  COUNT,
  COUNT_OR_0,
  CYCLES,
  DATA,
  EVALUATION,
  NOT_NEGATIVE,
  PHASE1,
  POSITIVE,
  SEED,
  SHARE,
  Field,
  section,
)
from fsnet_jax.config.kinds import Flag, Many, Number, PathText, Text, Whole
from fsnet_jax.config.words import Name, Word

_PERCENT = Number(above=0.0, high=100.0)
STRATEGY = Name(
  'strategy',
  'segxal_jax.acquisition',
  'ACQUISITIONS',
  (
    'random',
    'entropy',
    'margin',
    'least_confidence',
    'eem',
    'balanced_entropy',
    'entropy_per_click',
    'entropy_coreset',
    'auto',
    'true_error',
    'coreset',
    'coreset_cosine',
    'vote_entropy',
    'consensus_entropy',
    'disagreement',
    'failure',
    'ensemble_vote_entropy',
    'ensemble_consensus_entropy',
    'ensemble_disagreement',
    'deal_ds',
    'deal_de',
    'vaal',
    's4al',
    'viewal',
    'badge',
    'ripu',
    'pixelpick',
  ),
)
ORACLE = Name(
  'oracle',
  'segxal_jax.oracles',
  'ORACLES',
  (
    'self_pseudo',
    'gt_patch',
    'simulated_human',
    'full_image',
    'label_studio',
    'replay',
  ),
)
PROVIDER = Name(
  'depth provider',
  'segxal_jax.depth',
  'PROVIDERS',
  ('ground_plane', 'dataset', 'depth_anything', 'dinov2', 'midas'),
)

# The seed set and what validates it decide the first training.
_POOL = {
  'initial_percent': Field(_PERCENT, DATA),
  'num_initial': Field(COUNT_OR_0, DATA),
  'query_percent': Field(_PERCENT, CYCLES),
  'num_query': Field(COUNT_OR_0, CYCLES),
  'subset_share': Field(Number(above=0.0, high=1.0), CYCLES),
  'holdout': Field(COUNT_OR_0, DATA),
  'folds': Field(COUNT_OR_0, DATA),
  'fold': Field(COUNT_OR_0, DATA),
}
_LEARNER = {
  'kind': Field(Word(('own', 'command')), PHASE1),
  # May be corrected in a run whose command failed.
  'command': Field(Text()),
}
_ACQUISITION = {
  'strategy': Field(STRATEGY, CYCLES),
  'top_share': Field(Number(above=0.0, high=1.0), CYCLES),
  'members': Field(COUNT, CYCLES),
  'dropout': Field(BELOW_1, CYCLES),
  'gradient_dims': Field(COUNT, CYCLES),
  'window': Field(COUNT_OR_0, CYCLES),
  'pixels': Field(COUNT, CYCLES),
  'pixel_share': Field(SHARE, CYCLES),
  'ensemble': Field(COUNT, CYCLES),
  # Four of the learners', which train S in ways of their own.
  'deal_stride': Field(COUNT, PHASE1),
  'deal_loss': Field(Word(('bce', 'wce')), PHASE1),
  'deal_levels': Field(COUNT, CYCLES),
  'teacher_decay': Field(SHARE, PHASE1),
  'teacher_confidence': Field(SHARE, PHASE1),
  'cell': Field(COUNT, CYCLES),
  'vaal_side': Field(COUNT, CYCLES),
  'vaal_latent': Field(COUNT, CYCLES),
  'vaal_steps': Field(COUNT, CYCLES),
  'vaal_batch_size': Field(COUNT, CYCLES),
  'vaal_learning_rate': Field(POSITIVE, CYCLES),
}
_CAM = {
  'layer': Field(Text(), CYCLES),
  'method': Field(Word(('gradcam', 'hirescam')), CYCLES),
  'target': Field(Word(('predicted', 'classes')), CYCLES),
  'classes': Field(Many(Whole(0, MOST_CLASSES - 1)), CYCLES),
  'z': Field(Word(('cells', 'positive_sum')), CYCLES),
  'near_target': Field(Flag(), CYCLES),
}
_EEM = {
  'weights': Field(Word(('fixed', 'fitted')), CYCLES),
  'alpha': Field(NOT_NEGATIVE, CYCLES),
  'beta': Field(NOT_NEGATIVE, CYCLES),
  'gamma': Field(NOT_NEGATIVE, CYCLES),
  'near_weight': Field(NOT_NEGATIVE, CYCLES),
  'patch_entropy': Field(COUNT_OR_0, CYCLES),
}
_DEPTH = {
  # Scenes carry the data set's depth for one of them.
  'provider': Field(PROVIDER, DATA | CYCLES),
  'weights': Field(PathText(several=True), CYCLES),
  'side': Field(COUNT_OR_0, CYCLES),
  'max_depth': Field(NOT_NEGATIVE, CYCLES),
  'horizon': Field(BELOW_1, CYCLES),
  'threshold': Field(Word(('otsu', 'soft')), CYCLES),
  'percentiles': Field(Many(Number(0.0, 100.0), 2, 2), CYCLES),
  'ego_share': Field(BELOW_1, CYCLES),
}
_REGIONS = {
  'kind': Field(Word(('superpixels', 'patches')), CYCLES),
  'num_segments': Field(COUNT, CYCLES),
  'compactness': Field(POSITIVE, CYCLES),
  'patch': Field(COUNT, CYCLES),
  'count': Field(COUNT, CYCLES),
}
_ORACLE = {
  'kind': Field(ORACLE, CYCLES),
  'patch': Field(COUNT, CYCLES),
  'rest': Field(Word(('prediction', 'confident', 'void')), CYCLES),
  'min_confidence': Field(SHARE, CYCLES),
  'min_share': Field(SHARE, CYCLES),
  'border_noise_px': Field(Whole(0, 1 << 15), CYCLES),
  'wrong_class': Field(SHARE, CYCLES),
  'wait': Field(Flag()),
  'poll_secs': Field(Number(above=0.0, high=86_400.0)),
  # For reports alone.
  'secs_a_click': Field(NOT_NEGATIVE),
  'recorded': Field(PathText(), CYCLES, movable=True),
}
_SELECTION = {
  'rule': Field(Word(('dice', 'all')), CYCLES),
  'theta': Field(SHARE, CYCLES),
}
_STOP = {
  'cycles': Field(COUNT_OR_0, CYCLES),
  'images': Field(COUNT_OR_0, CYCLES),
  'pixels': Field(COUNT_OR_0, CYCLES),
  'clicks': Field(COUNT_OR_0, CYCLES),
  'plateau_patience': Field(COUNT_OR_0, CYCLES),
  'plateau_min_delta': Field(NOT_NEGATIVE, CYCLES),
}
_REPORT = {
  'num_examples': Field(COUNT_OR_0, CYCLES),
  'num_watched': Field(COUNT_OR_0, CYCLES),
}
# Which cells there are; a grid's folder is of one set of them.
_COMPARE = {
  'arms': Field(Many(Text(empty=False)), CYCLES),
  'seeds': Field(Many(SEED), CYCLES),
}
_REFERENCE = {
  'percents': Field(Many(_PERCENT, once=True), CYCLES),
  'folds': Field(COUNT_OR_0, CYCLES),
  'seeds': Field(Many(SEED, once=True), CYCLES),
  'cycles': Field(COUNT_OR_0, CYCLES),
  'full_steps': Field(COUNT_OR_0, CYCLES),
}

# All of this package.
FIELDS: Mapping[str, Field] = {
  **COMMON,
  # Each cycle is measured on them.
  'eval.datasets': dataclasses.replace(
    COMMON['eval.datasets'], decides=EVALUATION | CYCLES
  ),
  # What a cycle does depends on none of it.
  'eval.near_m': Field(NOT_NEGATIVE, EVALUATION),
  'warm_start': Field(Flag(), CYCLES),
  'steps_per_image': Field(COUNT_OR_0, PHASE1),
  **section('pool', _POOL),
  **section('learner', _LEARNER),
  **section('acquisition', _ACQUISITION),
  **section('cam', _CAM),
  **section('eem', _EEM),
  **section('depth', _DEPTH),
  **section('regions', _REGIONS),
  **section('oracle', _ORACLE),
  **section('selection', _SELECTION),
  **section('stop', _STOP),
  **section('report', _REPORT),
  **section('compare', _COMPARE),
  **section('reference', _REFERENCE),
}
