"""FSNet on DeepLabV2-ResNet101.

    python main.py --config=configs/fsnet_deeplabv2.py       # streets, laptop
    python main.py --config=configs/fsnet_deeplabv2.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/fsnet_deeplabv2.py:cityscapes \
        --config.data.root=cityscapes

Times and results: docs/results/measurements.md.
"""

import ml_collections

from configs import fsnet_fcn8


def _deeplab(config: ml_collections.ConfigDict) -> None:
  """What every protocol of this file shares.

  SynthCP's training scripts leave DeepLab's dropout out; Monte-Carlo dropout
  needs `--config.segmentation.dropout_rate=0.5`.
  """
  config.segmentation.name = 'deeplab_v2'
  config.segmentation.features = 'layer4'
  config.segmentation.dropout_rate = 0.0
  config.segmentation.input_scale = 1.0


def _streets(config: ml_collections.ConfigDict) -> None:
  """A backbone of two blocks a stage: minutes on two CPU cores."""
  config.segmentation.blocks = (2, 2, 2, 2)


def _cityscapes(config: ml_collections.ConfigDict) -> None:
  """SynthCP's training of S: a poly schedule, frozen scale and bias.

  lr = 2e-4 * (1 - step / 250,000) ** 0.9, counted through both phases; the
  backbone's batch norms keep their scale and bias. The checkpoint of TCP that
  its scripts evaluate is that of step 30,000; with FCN8 it is 40,000.
  """
  config.segmentation.frozen_bn = True
  config.optimizer.schedule = 'poly'
  config.optimizer.poly_steps = 250_000
  config.optimizer.poly_power = 0.9
  config.fit.tcp.steps = 30_000


_CHANGES = {
  'streets': _streets,
  'camvid': lambda config: None,
  'cityscapes': _cityscapes,
}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The config of one protocol: streets (default), camvid or cityscapes."""
  config = fsnet_fcn8.get_config(arg)
  _deeplab(config)
  _CHANGES[arg](config)
  return config
