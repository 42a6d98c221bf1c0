"""What the comparisons of failure detectors share."""

from types import ModuleType

import ml_collections

from configs import ablation, fit_detector


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
  if protocol != 'cityscapes':
    fit_detector.shorten(config)
  config.eval.detectors = (
    'fsnet',
    'fsnet_msp',
    'msp',
    'msp_temperature',
    'entropy',
    'max_logit',
    'energy',
    'mc_dropout',
  )
  compare = config.compare = ml_collections.ConfigDict()
  compare.seeds = (0, 1, 2)
  # Detectors that learn, fitted over the S that FSNet ends with: keys of
  # fsnet_jax.learned_detectors.FITTED; `config.fit` says how. 'tcp_synthcp'
  # adds TCP as SynthCP feeds it.
  compare.fitted = ('tcp', 'direct', 'synthcp', 'ensemble')
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
