"""What the comparisons of failure detectors share."""

import ml_collections


def add_comparison(config: ml_collections.ConfigDict) -> None:
  """Turns the config of a run of FSNet into that of a comparison."""
  config.task = 'compare'
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
  compare.fitted = ()
  # The detector that the others are held against.
  compare.reference = 'fsnet'
  # Draws of the bootstrap over images.
  compare.resamples = 500
  # Images of each data set that are cut into segments; 0: none.
  compare.segment_images = 100
  # --workdir of a finished comparison of the other network, whose curves are
  # to stand in one figure with these; empty: none.
  compare.beside = ''
