"""Failure detectors over a segmentation network of your own, held together.

    python main.py --config=configs/compare_own.py:folder \
        --config.segmentation.path=model.onnx --config.data.root=data
    python main.py --config=configs/compare_own.py \
        --config.segmentation.path=model.onnx

Three seeds of each failure network, and what is free or nearly so:
`class_logistic` is what they have to beat. Others that learn by
--config.compare.fitted: direct, synthcp and, over inner features, tcp. Stop it
when you like: the same command goes on. docs/guide/comparison.md says what it
writes.
"""

import ml_collections

from configs import compare_fcn8, own


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The comparison on one protocol: streets (default), folder or camvid."""
  config = own.get_config(arg)
  compare_fcn8.add_comparison(config, arg)
  # It is not trained here: no joint phase, no dropout; a temperature needs
  # config.data.validation_split.
  left_out = {'fsnet_joint', 'mc_dropout', 'msp_temperature'}
  config.eval.detectors = tuple(
    name for name in config.eval.detectors if name not in left_out
  )
  config.compare.fitted = ('class_logistic', 'class_logistic_shift')
  config.compare.ablation.num_seeds = 0
  return config
