"""The table of config fields: one row each.

A row says what a field may hold and what it decides. Checks, `--help`, the
resolution of `~`, and every list of what may differ between two commands, two
runs or two methods derive from it. What a field is for stands beside its
default, in `configs/common.py`.
"""

import dataclasses
import enum
from collections.abc import Mapping

from fsnet_jax.config import names
from fsnet_jax.config.kinds import (
  ClassesText,
  Flag,
  Kind,
  Many,
  Number,
  PathText,
  Text,
  Whole,
)
from fsnet_jax.config.words import ByNetwork, Name, Word


class Stage(enum.Flag):
  """What a field decides directly, all that comes before being as it was."""

  NOTHING = 0
  # Which images there are to train and validate on, and what is in them.
  DATA = enum.auto()
  # What the networks begin with.
  START = enum.auto()
  PHASE1 = enum.auto()
  PHASE2 = enum.auto()
  # The failure networks over the S that stays.
  PHASE3 = enum.auto()
  # What stored weights of S mean: their shapes and the function they make.
  WEIGHTS = enum.auto()
  # A detector that learns over the frozen S.
  FIT = enum.auto()
  # Active learning after its first training: what is asked, said and kept.
  CYCLES = enum.auto()
  # The numbers of metrics.json.
  EVALUATION = enum.auto()


NOTHING, DATA, START, PHASE1 = (
  Stage.NOTHING,
  Stage.DATA,
  Stage.START,
  Stage.PHASE1,
)
PHASE2, PHASE3, WEIGHTS, FIT, CYCLES, EVALUATION = (
  Stage.PHASE2,
  Stage.PHASE3,
  Stage.WEIGHTS,
  Stage.FIT,
  Stage.CYCLES,
  Stage.EVALUATION,
)
TRAINING = PHASE1 | PHASE2


@dataclasses.dataclass(frozen=True)
class Field:
  """A row.

  Attributes:
    kind: what the field may hold.
    decides: what differs if it does.
    movable: whether it says where something lies rather than what it is, so
      that it may change with the place.
    task: the only one whose configs have the field; '' for all.
  """

  kind: Kind
  decides: Stage = NOTHING
  movable: bool = False
  task: str = ''


COUNT, COUNT_OR_0 = Whole(1), Whole(0)
POSITIVE, NOT_NEGATIVE = Number(above=0.0), Number(0.0)
SHARE, BELOW_1 = Number(0.0, 1.0), Number(0.0, below=1.0)
SEED = Whole(0)
# The package cannot hold wider networks than that in any memory.
WIDTH, WIDTH_OR_0 = Number(above=0.0, high=8.0), Number(0.0, 8.0)

_INPUTS = Word(('x', 'w1', 'w2', 'w3', 'w4', 'seg_features'))


def section(name: str, rows: Mapping[str, Field]) -> dict[str, Field]:
  """Rows with the section's name before theirs."""
  return {f'{name}.{field}': row for field, row in rows.items()}


_TOP = {
  # What comes after phase 1; with 'segxal', another package.
  'task': Field(
    Word(('fsnet', 'ablation', 'fit', 'compare', 'segxal')), PHASE2
  ),
  'seed': Field(SEED, TRAINING | EVALUATION),
  'batch_size': Field(COUNT, TRAINING),
  'accumulate_steps': Field(COUNT, TRAINING),
  'image_size': Field(Many(Whole(1, 1 << 15), 2, 2), DATA | EVALUATION),
  'width': Field(WIDTH, TRAINING | WEIGHTS | FIT),
  'compute_dtype': Field(Word(('float32', 'bfloat16')), TRAINING | EVALUATION),
  'remat': Field(Flag(), TRAINING),
  'phase1_steps': Field(COUNT_OR_0, PHASE1),
  'phase2_steps': Field(COUNT_OR_0, PHASE2),
  'phase3_steps': Field(COUNT_OR_0, PHASE3),
  'switch': Field(Word(('steps', 'plateau')), PHASE1),
  'stop_gradient_to_segmentation': Field(Flag(), PHASE2),
  'log_every_steps': Field(COUNT),
  # Validation comes with a checkpoint, and decides the plateau.
  'checkpoint_every_steps': Field(COUNT, PHASE1),
  'compilation_cache_dir': Field(PathText(words=('off',))),
}
_PLATEAU = {
  'patience': Field(COUNT, PHASE1),
  'min_delta': Field(NOT_NEGATIVE, PHASE1),
}
_DATA = {
  'name': Field(names.DATA_SET, DATA),
  'root': Field(PathText(), DATA, movable=True),
  'classes': Field(ClassesText(), DATA | TRAINING | WEIGHTS | FIT | EVALUATION),
  'split': Field(Text(), DATA),
  'cache_dir': Field(PathText()),
  'on_error': Field(Word(('stop', 'skip')), DATA),
  'train_split': Field(Text(empty=False), DATA),
  'validation_split': Field(Text(), DATA),
  'num_train': Field(COUNT_OR_0, DATA),
  'num_validation': Field(COUNT_OR_0, DATA),
  # Active learning measures each cycle on them.
  'num_test': Field(COUNT_OR_0, CYCLES | EVALUATION),
  'train_fraction': Field(Number(above=0.0, high=1.0), DATA),
  'augment': Field(Many(names.AUGMENTATION), DATA),
  'num_workers': Field(Whole(0, 1024)),
}
_SEGMENTATION = {
  'name': Field(names.NETWORK, TRAINING | WEIGHTS),
  # A network from elsewhere; a checkpoint knows by itself which one it is of.
  'path': Field(PathText(), TRAINING, movable=True),
  'members': Field(PathText(several=True), EVALUATION, movable=True),
  'threads': Field(Whole(0, 1024)),
  'provider': Field(Word(('cpu', 'cuda'))),
  'cache': Field(Word(('off', 'top3')), PHASE3 | FIT | EVALUATION),
  'features': Field(
    ByNetwork(
      {
        'fcn8': ('pool5', 'fc7'),
        'deeplab_v2': ('layer4', 'aspp'),
        'unet': ('bottleneck',),
        'efficientnet_unet': ('bottleneck',),
      }
    ),
    TRAINING,
  ),
  'dropout_rate': Field(BELOW_1, TRAINING),
  'input_scale': Field(POSITIVE, TRAINING | WEIGHTS),
  'padding': Field(ByNetwork({'fcn8': ('pad99', 'same')}), TRAINING | WEIGHTS),
  'head_width': Field(Whole(0, 1 << 16), TRAINING | WEIGHTS),
  'skip_scale': Field(Many(Number(), 2, 2), TRAINING | WEIGHTS),
  'head': Field(
    ByNetwork({'deeplab_v2': ('synthcp', 'v2')}), TRAINING | WEIGHTS
  ),
  'frozen_bn': Field(Flag(), TRAINING),
  'blocks': Field(Many(Whole(1, 1000), 4, 4), TRAINING | WEIGHTS),
}
_FAILURE = {
  # Which networks F is the mean of.
  'preset': Field(Word(('robust', 'light', 'paper')), EVALUATION),
  # Also of a fit that learns from the same images.
  'mix': Field(Word(('clean', 'near', 'balanced', 'far')), PHASE3),
  'decoder': Field(Word(('skips', 'literal', 'four_scale')), PHASE2 | PHASE3),
  'branches': Field(Word(('multi', 'single')), PHASE2 | PHASE3),
  'inputs': Field(Many(_INPUTS, 1, once=True), PHASE2 | PHASE3),
  'w4': Field(Word(('scaled', 'raw')), PHASE2 | PHASE3),
  'msp_residual': Field(Flag(), PHASE2),
  'blocks': Field(COUNT_OR_0, PHASE2 | PHASE3),
  # Of the detectors that learn too, unless `fit.width` is set.
  'width': Field(WIDTH_OR_0, PHASE2 | PHASE3 | FIT),
}
_INIT = {
  'backbone': Field(PathText(words=('imagenet',)), START | FIT),
  'segmentation': Field(PathText(), START),
  'failure_encoder': Field(PathText(), START | FIT),
  'phase1': Field(PathText(), START),
}
_OPTIMIZER = {
  'kind': Field(Word(('sgd', 'adam')), TRAINING),
  'learning_rate': Field(POSITIVE, TRAINING),
  'momentum': Field(BELOW_1, TRAINING),
  'weight_decay': Field(NOT_NEGATIVE, TRAINING),
  'encoder_scale': Field(POSITIVE, TRAINING),
  'schedule': Field(Word(('constant', 'poly', 'cosine')), TRAINING),
  'warmup_steps': Field(COUNT_OR_0, TRAINING),
  'poly_steps': Field(COUNT, TRAINING),
  'poly_power': Field(NOT_NEGATIVE, TRAINING),
  'clip_norm': Field(NOT_NEGATIVE, TRAINING),
  'failure_learning_rate': Field(POSITIVE, PHASE2),
}
_LOSS = {
  'form': Field(Word(('balanced', 'pos_weight')), PHASE2),
  'beta_range': Field(Many(Number(above=0.0, below=1.0), 2, 2), PHASE2),
  'l2_weight': Field(NOT_NEGATIVE, PHASE2),
  'l2_warmup_steps': Field(COUNT_OR_0, PHASE2),
}
_EVAL = {
  'datasets': Field(Many(Text(empty=False), 1, once=True), EVALUATION),
  'roots.*': Field(PathText(), EVALUATION, movable=True),
  'detectors': Field(Many(names.DETECTOR, 1), EVALUATION),
  'batch_size': Field(COUNT),
  'dropout_samples': Field(COUNT, EVALUATION),
  'fitted.*': Field(PathText(), EVALUATION),
  'checkpoint': Field(Word(('last', 'best')), EVALUATION),
  'num_examples': Field(COUNT_OR_0),
  'exact_pixels': Field(COUNT_OR_0, EVALUATION),
  'details': Field(Flag(), EVALUATION),
  'groups': Field(Flag(), EVALUATION),
  # A folder's name; `evaluation.folders` says of which letters.
  'name': Field(Text()),
  'resize': Field(Word(('squeeze', 'letterbox')), EVALUATION),
}
_FIT = {
  # The folder of a fit says by itself which detector it is.
  'detector': Field(names.LEARNED),
  'width': Field(WIDTH_OR_0, FIT),
  'predictions': Field(Word(('folds', 'own')), FIT),
  'num_folds': Field(Whole(2), FIT),
  'failure_data': Field(PathText(), FIT, movable=True),
  'hold_out': Field(Whole(-1), FIT),
  'tcp.steps': Field(COUNT, FIT),
  'tcp.batch_size': Field(COUNT, FIT),
  'tcp.learning_rate': Field(POSITIVE, FIT),
  'tcp.backbone': Field(Word(('tuned', 'frozen')), FIT),
  'tcp.input': Field(Word(('segmentation', 'synthcp')), FIT),
  'tcp.alignment': Field(Word(('aligned', 'stretched')), FIT),
  'direct.steps': Field(COUNT, FIT),
  'direct.batch_size': Field(COUNT, FIT),
  'direct.learning_rate': Field(POSITIVE, FIT),
  'synthcp.steps': Field(COUNT, FIT),
  'synthcp.batch_size': Field(COUNT, FIT),
  'synthcp.learning_rate': Field(POSITIVE, FIT),
  'synthcp.gan_steps': Field(COUNT, FIT),
  'synthcp.gan_batch_size': Field(COUNT, FIT),
  'synthcp.gan_width': Field(WIDTH_OR_0, FIT),
  'synthcp.generator_learning_rate': Field(POSITIVE, FIT),
  'synthcp.discriminator_learning_rate': Field(POSITIVE, FIT),
  'synthcp.vgg19': Field(PathText(), FIT),
  'ensemble.members': Field(Whole(2, 1000), FIT),
  'obsnet.steps': Field(COUNT, FIT),
  'obsnet.batch_size': Field(COUNT, FIT),
  'obsnet.learning_rate': Field(POSITIVE, FIT),
  'obsnet.attack_size': Field(Number(above=0.0, high=1.0), FIT),
  'obsnet.attack_share': Field(SHARE, FIT),
  'pixel.batch_size': Field(COUNT, PHASE3),
  'pixel.pixels': Field(COUNT, PHASE3),
  'pixel.learning_rate': Field(POSITIVE, PHASE3),
  'pixel.weight_decay': Field(NOT_NEGATIVE, PHASE3),
  'pixel.centering': Field(SHARE, PHASE3),
  'pixel.flip': Field(Flag(), PHASE3),
  'pixel.dropout_samples': Field(COUNT_OR_0, PHASE3),
  'pixel.colorless': Field(Flag(), PHASE3),
  'pixel.units': Field(COUNT, PHASE3),
  'pixel.stride': Field(Whole(0, 2), PHASE3),
  'conv.batch_size': Field(COUNT, PHASE3),
  'conv.learning_rate': Field(POSITIVE, PHASE3),
  'conv.weight_decay': Field(NOT_NEGATIVE, PHASE3),
  'class_logistic.steps': Field(COUNT, FIT),
  'class_logistic.batch_size': Field(COUNT, FIT),
  'class_logistic.pixels': Field(COUNT, FIT),
}
# What a finished run is asked for; nothing of it decides what was trained.
_CALIBRATE = {
  'dataset': Field(Text()),
  'detector': Field(names.DETECTOR),
  'risk': Field(Word(('passing', 'undetected'))),
  'limit': Field(Number(above=0.0, below=1.0)),
  'confidence': Field(Number(above=0.0, below=1.0)),
  'guarantee': Field(Word(('high_probability', 'mean'))),
  'unit': Field(Word(('auto', 'image', 'group'))),
  'fit_share': Field(Number(above=0.0, below=1.0)),
  'thresholds': Field(Whole(2, 10_000)),
}
_PREDICT = {
  'segment_share': Field(SHARE),
  'send_to_label_studio': Field(COUNT_OR_0),
  'depth': Field(PathText()),
  'depth_per_metre': Field(POSITIVE),
}
_EXPORT = {
  'sizes': Field(Many(Many(Whole(1, 2**15), 2, 2), once=True)),
  'tflite_dtype': Field(Word(('float32', 'float16'))),
}
# Which runs there are; each of them is the same whatever stands here.
_ABLATION = {
  'variants': Field(Many(names.VARIANT, 1, once=True), task='ablation'),
  'seeds': Field(Many(SEED, 1, once=True), task='ablation'),
}
_COMPARE = {
  'seeds': Field(Many(SEED, 1, once=True), task='compare'),
  'fitted': Field(Many(names.LEARNED, once=True), task='compare'),
  'reference': Field(Text(empty=False), task='compare'),
  'resamples': Field(Whole(40), task='compare'),
  'segment_images': Field(COUNT_OR_0, task='compare'),
  'ablation.variants': Field(Many(names.VARIANT, 1, once=True), task='compare'),
  'ablation.num_seeds': Field(COUNT_OR_0, task='compare'),
  'beside': Field(PathText(), task='compare'),
}

# The fields of configs/common.py.
COMMON: Mapping[str, Field] = {
  **_TOP,
  **section('data', _DATA),
  **section('segmentation', _SEGMENTATION),
  **section('failure', _FAILURE),
  **section('init', _INIT),
  **section('optimizer', _OPTIMIZER),
  **section('plateau', _PLATEAU),
  **section('loss', _LOSS),
  **section('eval', _EVAL),
  **section('fit', _FIT),
  **section('calibrate', _CALIBRATE),
  **section('predict', _PREDICT),
  **section('export', _EXPORT),
}
# All of this package.
FIELDS: Mapping[str, Field] = {
  **COMMON,
  **section('ablation', _ABLATION),
  **section('compare', _COMPARE),
}
# What the keys of an open section name.
OPEN_SECTIONS: Mapping[str, Name] = {
  'eval.roots': names.DATA_SET,
  'eval.fitted': names.LEARNED,
}


def find(name: str, fields: Mapping[str, Field] = FIELDS) -> Field | None:
  """The row of a field; None if there is none.

  Args:
    name: dotted.
    fields: a table.
  """
  if name in fields:
    return None if name.endswith('.*') else fields[name]
  return fields.get(f'{name.rpartition(".")[0]}.*')


def may_differ(
  name: str, decided: Stage, fields: Mapping[str, Field] = FIELDS
) -> bool:
  """Whether a field may differ where some things must be the same.

  Args:
    name: dotted; one that has no row (a stored config of another version)
      may not.
    decided: what must be the same.
    fields: a table.
  """
  row = find(name, fields)
  return row is not None and (row.movable or not row.decides & decided)
