"""Active-learning strategies against each other, in resumable cells.

    python main.py --config=configs/al_compare.py            # streets
    python main.py --config=configs/al_compare.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/al_compare.py:ablation   # of the mask
    python main.py --config=configs/al_compare.py:views      # with ViewAL

A cell is one arm with one seed. All arms of a seed share the seed set, the
random subsets and the test images, and the first training unless they train
in another way (DEAL, S4AL). Stop it when you like:
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
  'BADGE strategy=badge',
  'QBC-ensemble strategy=ensemble_vote_entropy',
  'DEAL strategy=deal_ds',
  'VAAL strategy=vaal',
  # What nobody said of sparsely asked images is not learnt.
  'RIPU strategy=ripu oracle.rest=void selection.rule=all',
  'PixelPick strategy=pixelpick oracle.rest=void selection.rule=all',
  'S4AL strategy=s4al oracle.rest=void selection.rule=all',
)
_ABLATION = (
  'Random strategy=random',
  'EEM strategy=eem',
  'EEM-without-EBU strategy=eem eem.beta=0.0',
  'EEM-without-PAE strategy=eem eem.alpha=0.0',
)
# Views of one street side by side: what only ViewAL knows of.
_VIEWS = (
  'Random strategy=random',
  'Entropy strategy=entropy',
  'SegXAL strategy=eem',
  'ViewAL strategy=viewal',
)
_ON_STREETS = {'ablation': _ABLATION, 'views': _VIEWS}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The cells: streets (default), camvid, cityscapes, ablation or views."""
  protocol = 'streets' if arg in _ON_STREETS else arg
  config = segxal_unet.get_config(protocol)
  config.compare.arms = _ON_STREETS.get(arg, _STRATEGIES)
  if arg == 'views':
    config.data.name = 'street_views'
    config.eval.datasets = ('street_views/day',)
  config.compare.seeds = (0, 1, 2)
  if protocol != 'cityscapes':
    # A strategy may take minutes of two cores, not hours.
    config.acquisition.ensemble = 3
    config.acquisition.vaal_steps = 300
  return config
