"""Trains one detector over the frozen S of a finished run.

    python main.py --config=configs/fsnet_fcn8.py --workdir=runs/s
    python main.py --config=configs/fit_detector.py --workdir=runs/tcp \
        --config.fit.detector=tcp --config.init.phase1=runs/s
    python main.py --workdir=runs/s --mode=evaluate \
        --config.eval.detectors="('msp','tcp','tcp_msp')" \
        --config.eval.fitted.tcp=runs/tcp

The argument is the network, and after an underscore the protocol: `fcn8`
(default, streets), `deeplab_v2_camvid`, `fcn8_cityscapes`, ... What else that
run's command changed must be given here too. docs/guide/detectors.md says more.
"""

import ml_collections

from configs import fsnet_deeplabv2, fsnet_efficientnet, fsnet_fcn8

_BASES = {
  'fcn8': fsnet_fcn8,
  'deeplab_v2': fsnet_deeplabv2,
  'efficientnet': fsnet_efficientnet,
}
_PROTOCOLS = ('streets', 'camvid', 'cityscapes')


def shorten(config: ml_collections.ConfigDict) -> None:
  """Sizes that suit small images and minutes on two CPU cores.

  Args:
    config: its `fit` is changed in place.
  """
  fit = config.fit
  fit.tcp.steps = 300
  fit.tcp.learning_rate = 1e-3
  fit.direct.steps = 300
  fit.direct.learning_rate = 1e-3
  fit.synthcp.steps = 300
  fit.synthcp.learning_rate = 1e-3
  fit.synthcp.gan_steps = 300
  fit.synthcp.gan_batch_size = 4
  fit.synthcp.gan_width = 0.0625
  fit.ensemble.members = 3
  # With 1e-3, so few steps end above the loss of MSP.
  fit.obsnet.steps = 300
  fit.obsnet.learning_rate = 1e-2


def get_config(arg: str = 'fcn8') -> ml_collections.ConfigDict:
  """The config of a network and protocol, with how to fit.

  Args:
    arg: `fcn8` or `deeplab_v2`, and after an underscore the protocol if it
      is not streets.
  """
  for network, base in _BASES.items():
    protocol = arg.removeprefix(network).removeprefix('_') or 'streets'
    if arg.startswith(network) and protocol in _PROTOCOLS:
      config = base.get_config(protocol)
      break
  else:
    raise ValueError(
      f'unknown argument {arg!r}: choose '
      f'{", ".join(_BASES)}, or one of them '
      'with _camvid or _cityscapes'
    )
  config.task = 'fit'
  config.eval.detectors = ('msp',)
  if protocol != 'cityscapes':
    shorten(config)
  return config
