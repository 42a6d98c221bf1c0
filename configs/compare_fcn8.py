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

import ml_collections

from configs import compare_common, fsnet_fcn8


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The comparison on one protocol.

  Args:
    arg: streets (default), camvid, camvid_full or cityscapes.
  """
  config = compare_common.base(fsnet_fcn8, arg)
  if arg == 'camvid':
    config.segmentation.input_scale = 1 / 64
  compare_common.add_comparison(config, arg)
  if arg == 'cityscapes':
    config.eval.datasets = (
      'cityscapes:val',
      'bdd100k',
      'mapillary_vistas/sample1000',
    )
  return config
