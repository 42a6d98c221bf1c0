"""Failure detectors on the EfficientNet U-Net, a network worth watching.

    python main.py --config=configs/compare_efficientnet.py   # streets, laptop
    python main.py --config=configs/compare_efficientnet.py:camvid \
        --config.data.root=CamVid

Those that cost little beside FSNet: `class_logistic`, flip, logits and TCP; the
others by --config.compare.fitted. Table IV's variants are left out. Stop it
when you like: the same command goes on. docs/guide/comparison.md says what it
writes.
"""

import ml_collections

from configs import compare_fcn8, fsnet_efficientnet


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The comparison on one protocol.

  Args:
    arg: streets (default), camvid or cityscapes.
  """
  config = fsnet_efficientnet.get_config(arg)
  compare_fcn8.add_comparison(config, arg)
  # It has no dropout.
  config.eval.detectors = tuple(
    name for name in config.eval.detectors if name != 'mc_dropout'
  )
  config.compare.fitted = ('class_logistic', 'class_logistic_shift', 'tcp')
  config.compare.ablation.num_seeds = 0
  if arg == 'camvid':
    config.eval.datasets = (
      'camvid/0006R0',
      'camvid/0001TP',
      'camvid/0006R0@fog3',
      'camvid/0006R0@night2',
      'camvid/0006R0@rain3',
    )
  return config
