"""FSNet on FCN8-VGG16.

    python main.py --config=configs/fsnet_fcn8.py            # streets, laptop
    python main.py --config=configs/fsnet_fcn8.py:camvid \
        --config.data.root=CamVid --config.init.backbone=vgg16.npz
    python main.py --config=configs/fsnet_fcn8.py:cityscapes \
        --config.data.root=cityscapes

Times and results: docs/results/measurements.md.
"""

import ml_collections

from configs import common


def _streets(config: ml_collections.ConfigDict) -> None:
  """Drawn scenes, from random weights, in minutes on two CPU cores.

  SynthCP's optimiser and skip factors suit a pretrained encoder and 100,000
  steps; a few hundred steps from random weights need Adam and plain skips.
  """
  config.image_size = (64, 128)
  config.width = 0.125
  config.data.num_train = 400
  config.data.num_validation = 32
  config.data.num_test = 48
  config.segmentation.padding = 'same'
  config.segmentation.head_width = 256
  config.segmentation.skip_scale = (1.0, 1.0)
  config.segmentation.input_scale = 1 / 64
  config.failure.msp_residual = True
  config.optimizer.kind = 'adam'
  config.optimizer.learning_rate = 1e-3
  config.optimizer.failure_learning_rate = 1e-3
  config.phase1_steps = 400
  config.phase2_steps = 150
  config.phase3_steps = 200
  config.fit.pixel.batch_size = 12
  config.fit.pixel.pixels = 2000
  config.checkpoint_every_steps = 200
  config.log_every_steps = 20
  config.eval.datasets = (
    'streets/day',
    'streets/fog',
    'streets/night',
    'streets/rain',
    'streets/other_city',
  )


def _camvid(config: ml_collections.ConfigDict) -> None:
  """Train on one sequence, test on another place and on dusk.

  204 images and a few hundred steps: Adam instead of SGD, skips that are of
  use from the first step, strong augmentation, and F as a correction to MSP.
  """
  config.data.name = 'camvid'
  config.data.train_split = '0016E5:train'
  config.data.validation_split = ':val'
  config.data.num_validation = 40
  config.data.augment = ('flip', 'scale_crop', 'color_jitter')
  config.image_size = (96, 128)
  config.batch_size = 4
  config.segmentation.padding = 'same'
  config.segmentation.head_width = 512
  config.segmentation.skip_scale = (0.3, 0.1)
  config.failure.width = 0.25
  config.failure.msp_residual = True
  config.optimizer.kind = 'adam'
  config.optimizer.learning_rate = 1e-4
  config.optimizer.failure_learning_rate = 1e-3
  config.phase1_steps = 300
  config.phase2_steps = 120
  config.phase3_steps = 400
  config.fit.pixel.batch_size = 12
  config.fit.pixel.pixels = 2000
  config.checkpoint_every_steps = 100
  config.log_every_steps = 20
  config.eval.datasets = ('camvid/0006R0', 'camvid/0001TP')
  config.eval.detectors = ('fsnet', 'fsnet_msp', 'msp', 'entropy')


def _cityscapes(config: ml_collections.ConfigDict) -> None:
  """The paper's protocol: 256x512, 20,000 + 10,000 steps, batch 8.

  It trains on every image that it does not evaluate, so the only honest ones
  to validate on are some of those: docs/guide/detectors.md, "Temperature".
  """
  config.data.name = 'cityscapes'
  config.data.train_split = ':train'
  config.data.validation_split = 'ulm+zurich:train'
  config.eval.datasets = ('cityscapes:val',)


_PROTOCOLS = {
  'streets': _streets,
  'camvid': _camvid,
  'cityscapes': _cityscapes,
}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The config of one protocol: streets (default), camvid or cityscapes."""
  if arg not in _PROTOCOLS:
    raise ValueError(
      f'unknown argument {arg!r}: choose one of {", ".join(_PROTOCOLS)}'
    )
  config = common.get_config()
  _PROTOCOLS[arg](config)
  return config
