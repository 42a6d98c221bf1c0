"""What the comparisons of failure detectors share."""

import ml_collections

from configs import fit_detector


def add_comparison(config: ml_collections.ConfigDict, protocol: str) -> None:
  """Turns the config of a run of FSNet into that of a comparison.

  Args:
    config: of a run; changed in place.
    protocol: streets, camvid or cityscapes.
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
  # fsnet_jax.fitted.FITTED; `config.fit` says how.
  compare.fitted = ('tcp', 'direct', 'synthcp', 'ensemble')
  # The detector that the others are held against.
  compare.reference = 'fsnet'
  # Draws of the bootstrap over images.
  compare.resamples = 500
  # Images of each data set that are cut into segments; 0: none.
  compare.segment_images = 100
  # --workdir of a finished comparison of the other network, whose curves are
  # to stand in one figure with these; empty: none.
  compare.beside = ''
