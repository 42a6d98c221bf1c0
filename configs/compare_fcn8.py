"""Every failure detector on FCN8: the paper's Tables II to IV, Fig. 3 and 4.

    python main.py --config=configs/compare_fcn8.py           # streets, laptop
    python main.py --config=configs/compare_fcn8.py:camvid \
        --config.data.root=CamVid                             # laptop
    python main.py --config=configs/compare_fcn8.py:camvid_full \
        --config.data.root=CamVid --config.init.backbone=vgg16.npz
    python main.py --config=configs/compare_fcn8.py:cityscapes \
        --config.data.root=cityscapes --config.eval.roots.bdd100k=bdd100k \
        --config.eval.roots.mapillary_vistas=vistas

Stop it when you like: the same command goes on. docs/guide/comparison.md says
what it writes.
"""

from types import ModuleType

import ml_collections

from configs import ablation, fit_detector, fsnet_fcn8


def base(network: ModuleType, protocol: str) -> ml_collections.ConfigDict:
  """The config of a run of FSNet, at the size of its comparison.

  Args:
    network: fsnet_fcn8 or fsnet_deeplabv2.
    protocol: streets, camvid, camvid_full or cityscapes.
  """
  config = network.get_config(
    'camvid' if protocol == 'camvid_full' else protocol
  )
  if protocol == 'camvid':
    _shrink(config)
  return config


def _shrink(config: ml_collections.ConfigDict) -> None:
  """Random weights and an eighth of the width, on images of CamVid.

  A comparison trains S seven times for each seed: at full width, hours of a
  CPU for each.
  """
  config.width = 0.125
  config.failure.width = 0.0
  config.segmentation.head_width = 256
  config.segmentation.skip_scale = (1.0, 1.0)
  config.optimizer.learning_rate = 1e-3
  config.phase1_steps = 400
  config.phase2_steps = 150
  config.checkpoint_every_steps = 200


def add_comparison(config: ml_collections.ConfigDict, protocol: str) -> None:
  """Turns the config of a run of FSNet into that of a comparison.

  Args:
    config: of a run; changed in place.
    protocol: streets, camvid, camvid_full or cityscapes.
  """
  config.task = 'compare'
  # Detector `fsnet_joint` stands for the paper's F.
  config.failure.blocks = 2
  if protocol != 'cityscapes':
    fit_detector.shorten(config)
  config.eval.detectors = (
    'fsnet',
    'fsnet_joint',
    'fsnet_pixel',
    'fsnet_conv',
    'msp',
    'msp_temperature',
    'entropy',
    'max_logit',
    'energy',
    'tta_flip',
    'mc_dropout',
  )
  compare = config.compare = ml_collections.ConfigDict()
  compare.seeds = (0, 1, 2)
  # Detectors that learn, fitted over the S that FSNet ends with: keys of
  # fsnet_jax.learned_detectors.FITTED; `config.fit` says how. 'tcp_synthcp'
  # adds TCP as SynthCP feeds it, 'obsnet' an observer of S under attack.
  compare.fitted = (
    'class_logistic',
    'class_logistic_shift',
    'tcp',
    'direct',
    'synthcp',
    'ensemble',
  )
  # The detector that the others are held against.
  compare.reference = 'fsnet'
  # Draws of the bootstrap over images.
  compare.resamples = 500
  # Images of each data set that are cut into segments; 0: none.
  compare.segment_images = 100
  # Variants of FSNet for Table IV, from the same phase 1, for so many of the
  # seeds; 0 leaves them out.
  compare.ablation = ml_collections.ConfigDict()
  compare.ablation.variants = ablation.VARIANTS
  compare.ablation.num_seeds = 1
  # --workdir of a finished comparison of the other network, whose curves are
  # to stand in one figure with these; empty: none.
  compare.beside = ''


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The comparison on one protocol.

  Args:
    arg: streets (default), camvid, camvid_full or cityscapes.
  """
  config = base(fsnet_fcn8, arg)
  if arg == 'camvid':
    config.segmentation.input_scale = 1 / 64
  add_comparison(config, arg)
  if arg == 'cityscapes':
    config.eval.datasets = (
      'cityscapes:val',
      'bdd100k',
      'mapillary_vistas/sample1000',
    )
  return config
