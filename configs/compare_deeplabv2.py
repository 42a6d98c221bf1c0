"""Every failure detector on DeepLabV2: as configs/compare_fcn8.py.

    python main.py --config=configs/compare_deeplabv2.py      # streets, laptop
    python main.py --config=configs/compare_deeplabv2.py:camvid \
        --config.data.root=CamVid                             # laptop
    python main.py --config=configs/compare_deeplabv2.py:camvid_full \
        --config.data.root=CamVid --config.init.backbone=resnet101
    python main.py --config=configs/compare_deeplabv2.py:cityscapes \
        --config.data.root=cityscapes --config.eval.roots.bdd100k=bdd100k \
        --config.eval.roots.mapillary_vistas=vistas

With --config.compare.beside=FOLDER of a finished comparison on FCN8, the
risk-coverage figure shows both networks, as the paper's does.
"""

import ml_collections

from configs import compare_fcn8, fsnet_deeplabv2


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The comparison on one protocol.

  Args:
    arg: streets (default), camvid, camvid_full or cityscapes.
  """
  config = compare_fcn8.base(fsnet_deeplabv2, arg)
  if arg == 'camvid':
    config.segmentation.blocks = (2, 2, 2, 2)
  compare_fcn8.add_comparison(config, arg)
  config.eval.datasets = compare_fcn8.get_config(arg).eval.datasets
  # Monte-Carlo dropout needs a network that has learnt with dropout. The
  # published row of DeepLab had none: it is `mc_dropout_synthcp` here.
  config.segmentation.dropout_rate = 0.5
  return config
