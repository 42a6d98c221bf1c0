"""Active-learning strategies against each other, in resumable cells.

    python main.py --config=configs/al_compare.py            # streets
    python main.py --config=configs/al_compare.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/al_compare.py:ablation   # of the mask

A cell is one arm with one seed. All arms of a seed share the seed set, the
random subsets, the first training and the test images. Stop it when you like:
the same command goes on, and report/ holds the table of what is done. Some
arms only: --config.compare.arms="('random strategy=random',)".
"""

import ml_collections

from configs import segxal_unet

# Title and what it changes; fields without a dot are of `acquisition`.
_STRATEGIES = (
  'Random strategy=random',
  'Entropy strategy=entropy',
  'Margin strategy=margin',
  'Core-set strategy=coreset',
  'QBC strategy=vote_entropy',
  'SegXAL strategy=eem',
)
_ABLATION = (
  'Random strategy=random',
  'EEM strategy=eem',
  'EEM-without-EBU strategy=eem eem.beta=0.0',
  'EEM-without-PAE strategy=eem eem.alpha=0.0',
)


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The cells: streets (default), camvid, cityscapes or ablation."""
  protocol = 'streets' if arg == 'ablation' else arg
  config = segxal_unet.get_config(protocol)
  config.compare.arms = _ABLATION if arg == 'ablation' else _STRATEGIES
  config.compare.seeds = (0, 1, 2)
  return config
