"""A failure network over a segmentation network of your own.

    python main.py --config=configs/own.py:folder \
        --config.segmentation.path=model.onnx --config.data.root=data
    python main.py --config=configs/own.py --config.segmentation.path=model.onnx
    python main.py --config=configs/own.py:camvid \
        --config.segmentation.path=model.onnx --config.data.root=CamVid

First `--mode=check`, which says whether the network is fed as it was trained.
Your network is not changed: failure networks learn, over it as it stays, where
it is misclassified on your labelled images. docs/guide/your_network.md is the
way through this.
"""

import ml_collections

from configs import common


def _streets(config: ml_collections.ConfigDict) -> None:
  """Drawn streets: for a first look, with examples/small_street_network.py.

  That network has learnt the streets of one city; here are 200 labelled images
  of another, as of a camera of one's own, and more of them to test on.
  """
  config.image_size = (64, 128)
  config.data.train_split = 'other_city:train'
  config.data.validation_split = ''
  config.data.num_train = 200
  config.data.num_validation = 300
  config.data.num_test = 100
  config.eval.datasets = (
    'streets/other_city',
    'streets/day',
    'streets/fog',
    'streets/night',
    'streets/rain',
  )
  config.calibrate.dataset = 'streets/other_city:validation'


def _folder(config: ml_collections.ConfigDict) -> None:
  """Images of your own: docs/guide/datasets.md has the layout."""
  config.data.name = 'folder'
  config.data.train_split = ':train'
  config.data.validation_split = ''
  config.eval.datasets = ('folder:test',)


def _camvid(config: ml_collections.ConfigDict) -> None:
  """One drive to learn from, another place and dusk to be tested on."""
  config.data.name = 'camvid'
  config.data.train_split = '0016E5:train'
  config.data.validation_split = ''
  config.data.augment = ('flip', 'scale_crop', 'color_jitter')
  config.image_size = (256, 352)
  config.eval.datasets = ('camvid/0006R0', 'camvid/0001TP')


_PROTOCOLS = {'streets': _streets, 'folder': _folder, 'camvid': _camvid}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The config of one protocol: streets (default), folder or camvid."""
  if arg not in _PROTOCOLS:
    raise ValueError(
      f'unknown argument {arg!r}: choose one of {", ".join(_PROTOCOLS)}'
    )
  config = common.get_config()
  config.segmentation.name = 'onnx'  # or 'python', 'logits'
  config.phase1_steps = 0
  config.phase2_steps = 0
  config.phase3_steps = 300
  config.checkpoint_every_steps = 100
  config.log_every_steps = 20
  # What any network has; one that gives inner features has 'seg_features' too.
  config.failure.inputs = ('x', 'w1', 'w2', 'w3', 'w4')
  config.failure.width = 0.25
  config.failure.msp_residual = True
  config.fit.pixel.batch_size = 4
  config.fit.pixel.pixels = 4000
  config.fit.conv.batch_size = 4
  config.batch_size = 4
  config.fit.predictions = 'own'
  config.fit.tcp.backbone = 'frozen'
  config.eval.batch_size = 4
  config.eval.detectors = (
    'fsnet',
    'fsnet_pixel',
    'fsnet_conv',
    'msp',
    'entropy',
    'max_logit',
    'energy',
  )
  _PROTOCOLS[arg](config)
  return config
