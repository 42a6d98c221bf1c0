"""The ablation of FSNet's Table IV, every variant in one resumable command.

    python main.py --config=configs/ablation.py                # fcn8, streets
    python main.py --config=configs/ablation.py:deeplab_v2
    python main.py --config=configs/ablation.py:fcn8_camvid \
        --config.data.root=CamVid --config.init.backbone=vgg16.npz

Stop it when you like: the same command goes on with the cell it was at, and
report/ablation.md holds the table of the cells that are done. Some of them
only: --config.ablation.variants="('full','no_w4')"; forms of F that the paper
leaves open: "('literal','skips','four_scale','skips_residual',
'four_scale_residual')"; parts of phase 3: "('full','robust','robust_no_joint',
'robust_no_flip','light','light_no_centering','light_no_colorless',
'robust_clean','robust_near','robust_far')".
Results: docs/results/ablation.md.
"""

import ml_collections

from configs import fsnet_deeplabv2, fsnet_efficientnet, fsnet_fcn8

_BASES = {
  'fcn8': fsnet_fcn8,
  'deeplab_v2': fsnet_deeplabv2,
  'efficientnet': fsnet_efficientnet,
}

VARIANTS = (
  'full',
  'single_branch',
  'data_20',
  'no_x',
  'no_w1',
  'no_w2',
  'no_w3',
  'no_w4',
  'no_seg_features',
  'joint_from_scratch',
)


def get_config(arg: str = 'fcn8') -> ml_collections.ConfigDict:
  """The base config of a network and protocol, with what to vary.

  Args:
    arg: `fcn8`, `deeplab_v2` or `efficientnet`, and after an underscore
      `camvid` or `cityscapes` if not on streets.
  """
  for network, base in _BASES.items():
    protocol = arg.removeprefix(network).removeprefix('_') or 'streets'
    if arg.startswith(network) and protocol in (
      'streets',
      'camvid',
      'cityscapes',
    ):
      config = base.get_config(protocol)
      break
  else:
    raise ValueError(
      f'unknown argument {arg!r}: choose {", ".join(_BASES)}, or one of them '
      'with _camvid or _cityscapes'
    )
  config.task = 'ablation'
  # The variants differ in F as the paper has it: a correction to MSP would
  # hide what the inputs are worth.
  config.failure.msp_residual = False
  config.failure.blocks = 2
  config.eval.detectors = ('fsnet', 'msp')
  config.ablation = ml_collections.ConfigDict()
  config.ablation.variants = VARIANTS
  config.ablation.seeds = (0,)
  return config
