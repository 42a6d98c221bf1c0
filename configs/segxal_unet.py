"""Active learning with SegXAL's masks.

    python main.py --config=configs/segxal_unet.py           # a fleet's streets
    python main.py --config=configs/segxal_unet.py:streets   # the literal form
    python main.py --config=configs/segxal_unet.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/segxal_unet.py:cityscapes \
        --config.data.root=cityscapes

`fleet` is what a practitioner would run: a network that was trained before,
whole images, the strategy that was ahead. The others are SegXAL's own.
Times and results: docs/results/active_learning.md.
"""

import ml_collections

from configs import segxal_common


def _streets(config: ml_collections.ConfigDict) -> None:
  """Drawn scenes with exact depth, in minutes on two CPU cores.

  A network this small agrees too little with any oracle for the paper's rule
  (macro Dice of 0.75) and mislabels too much outside the answer: every answer
  joins, and only what the oracle labelled is learnt. The paper's choices:
  --config.selection.rule=dice --config.oracle.rest=prediction.
  """
  config.image_size = (64, 128)
  config.width = 0.125
  config.batch_size = 8
  config.data.num_train = 120
  config.data.num_validation = 16
  config.data.num_test = 48
  config.optimizer.learning_rate = 3e-3
  # Down to 0 in each cycle: at a constant rate the last steps' noise is larger
  # than what a dozen images add.
  config.optimizer.schedule = 'poly'
  config.optimizer.poly_steps = 150
  config.phase1_steps = 150
  config.checkpoint_every_steps = 75
  config.log_every_steps = 50
  config.depth.provider = 'dataset'
  config.depth.ego_share = 0.11
  config.pool.query_percent = 10.0
  config.oracle.rest = 'void'
  config.selection.rule = 'all'
  config.stop.cycles = 3
  config.eval.datasets = ('streets/day',)
  config.eval.batch_size = 16


def pretrained(config: ml_collections.ConfigDict) -> None:
  """A network that can use what it is told, in a minute a cycle.

  Its encoder is trained on ImageNet, and it trains longer the more is
  labelled: at a fixed number of steps more labels made it worse.
  """
  config.segmentation.name = 'efficientnet_unet'
  config.segmentation.input_scale = 1.0
  config.init.backbone = 'imagenet'
  config.data.augment = ('flip',)
  config.width = 1.0
  config.batch_size = 8
  config.optimizer.learning_rate = 2e-3
  config.optimizer.encoder_scale = 0.15
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 10
  config.optimizer.poly_steps = 60
  config.phase1_steps = 60
  config.steps_per_image = 5
  config.checkpoint_every_steps = 1_000
  config.pool.initial_percent = 5.0
  config.pool.query_percent = 5.0
  config.oracle.rest = 'void'
  config.selection.rule = 'all'
  config.stop.cycles = 3


def _fleet(config: ml_collections.ConfigDict) -> None:
  """Drawn streets as a fleet brings them: four in five of fine days.

  Tested on all domains alike, which is what the labels are for: images at
  random are mostly of what the network knows already.
  """
  _streets(config)
  pretrained(config)
  rare = ('fog', 'night', 'rain', 'other_city')
  pool = '+'.join(f'day+day+day+day+{domain}' for domain in rare)
  config.data.train_split = f'{pool}:train'
  config.data.num_train = 240
  config.data.num_test = 100
  config.eval.datasets = ('streets/' + '+'.join(('day', *rare)),)
  config.oracle.kind = 'full_image'
  config.acquisition.strategy = 'auto'


def _camvid(config: ml_collections.ConfigDict) -> None:
  """The pool is CamVid without the clip that it is tested on."""
  config.data.name = 'camvid'
  config.data.train_split = '0001TP+0016E5:train'
  config.data.validation_split = ':val'
  config.data.num_validation = 40
  config.data.augment = ('flip', 'scale_crop', 'color_jitter')
  config.image_size = (96, 128)
  config.width = 0.25
  config.batch_size = 8
  config.optimizer.learning_rate = 1e-3
  config.phase1_steps = 400
  config.checkpoint_every_steps = 100
  config.log_every_steps = 50
  config.eval.datasets = ('camvid/0006R0',)


def _cityscapes(config: ml_collections.ConfigDict) -> None:
  """The paper's protocol: 256x512, 10 % + 6 x 5 % of 2,675 images.

  Numbers of images, not percentages, are what the literature shares: 300 to
  begin with and 150 a cycle to 1,200, which it calls 40 %. 100 epochs of 300
  to 1,200 images are 1,900 to 7,500 steps of 16; every cycle takes as many as
  the last one.
  """
  config.data.name = 'cityscapes'
  config.data.train_split = ':train'
  config.data.validation_split = ''
  config.pool.num_initial = 300
  config.pool.num_query = 150
  config.pool.holdout = 300
  config.phase1_steps = 7_500
  config.depth.ego_share = 0.12
  config.regions.num_segments = 400
  config.eval.datasets = ('cityscapes:val',)


_PROTOCOLS = {
  'fleet': _fleet,
  'streets': _streets,
  'camvid': _camvid,
  'cityscapes': _cityscapes,
}


def get_config(arg: str = 'fleet') -> ml_collections.ConfigDict:
  """The config of a protocol: fleet (default), streets, camvid, cityscapes."""
  if arg not in _PROTOCOLS:
    raise ValueError(
      f'unknown argument {arg!r}: choose one of {", ".join(_PROTOCOLS)}'
    )
  config = segxal_common.get_config()
  _PROTOCOLS[arg](config)
  return config
