"""Active-learning strategies against each other, in resumable cells.

    python main.py --config=configs/al_compare.py            # streets
    python main.py --config=configs/al_compare.py:fleet      # rare domains
    python main.py --config=configs/al_compare.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/al_compare.py:ablation   # of the mask
    python main.py --config=configs/al_compare.py:views      # with ViewAL
    python main.py --config=configs/al_compare.py:failure    # FSNet's map
    python main.py --config=configs/al_compare.py:images     # whole images
    python main.py --config=configs/al_compare.py:gt_patch   # another oracle
    python main.py --config=configs/al_compare.py:camvid_ablation \
        --config.data.root=CamVid            # each of these on CamVid as well

A cell is one method with one seed. All methods of a seed share the seed set,
the random subsets and the test images, and the first training unless they
train in another way (DEAL, S4AL). Stop it when you like: the same command
resumes, and report/ holds the table of what is done. Some methods only:
--config.compare.arms="('random strategy=random',)".
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
  # Of sparsely labelled images only the answer is learnt.
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
# Views of one street side by side: what only ViewAL compares.
_VIEWS = (
  'Random strategy=random',
  'Entropy strategy=entropy',
  'SegXAL strategy=eem',
  'ViewAL strategy=viewal',
)
_PAIR = ('Random strategy=random', 'SegXAL strategy=eem')
# Whole images are labelled, so that nothing but which decides. The last is what
# nobody can know: how much there is to win.
_IMAGES = (
  'Random strategy=random',
  'Entropy strategy=entropy',
  'Core-set strategy=coreset',
  'Entropy-Core-set strategy=entropy_coreset',
  'Auto strategy=auto',
  'Entropy-by-class strategy=balanced_entropy',
  'Entropy-per-click strategy=entropy_per_click',
  'SegXAL strategy=eem',
  'True-error strategy=true_error',
)
# Regions within images, at equal clicks.
_REGIONS = (
  'Random strategy=random eem.alpha=0.0',
  'Entropy strategy=entropy eem.alpha=0.0',
  'Entropy-Core-set strategy=entropy_coreset eem.alpha=0.0',
  'SegXAL strategy=eem',
  'True-error strategy=true_error',
)
_FAILURE = (
  *_PAIR,
  'FSNet-map strategy=failure',
  'EEM+FSNet strategy=eem eem.gamma=0.5',
)
# Each question: its methods, and what all of them do in another way.
_QUESTIONS = {
  'strategies': (_STRATEGIES, {}),
  'ablation': (_ABLATION, {}),
  'failure': (_FAILURE, {'phase2_steps': 60}),
  'images': (_IMAGES, {'oracle.kind': 'full_image'}),
  'regions': (_REGIONS, {}),
  'gt_patch': (_PAIR, {'oracle.kind': 'gt_patch'}),
  'self_pseudo': (_PAIR, {'oracle.kind': 'self_pseudo'}),
  'full_image': (_PAIR, {'oracle.kind': 'full_image'}),
  'paper_rule': (
    _PAIR,
    {'selection.rule': 'dice', 'oracle.rest': 'prediction'},
  ),
  'views': (
    _VIEWS,
    {'data.name': 'street_views', 'eval.datasets': ('street_views/day',)},
  ),
}
_DATA = ('streets', 'fleet', 'camvid', 'cityscapes')


def arguments() -> tuple[str, ...]:
  """All that can stand behind the colon: DATA, QUESTION or DATA_QUESTION."""
  on_streets = [name for name in _QUESTIONS if name != 'strategies']
  return (
    *_DATA,
    *on_streets,
    # Only the renderer gives posed views.
    *(f'camvid_{name}' for name in on_streets if name != 'views'),
  )


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The cells of one comparison.

  Args:
    arg: one of `arguments()`. Data: streets (default), fleet (most streets are
      by day; whole images), camvid or cityscapes. Question: all strategies if
      none is named, ablation (of the mask), views (ViewAL; on streets alone),
      failure (FSNet's map as a strategy and in the mask), images (whole ones),
      regions (within images), gt_patch, self_pseudo or full_image (other
      oracles), paper_rule (Dice selection, predictions kept outside the
      answer).

  Raises:
    ValueError: another argument.
  """
  if arg not in arguments():
    raise ValueError(
      f'unknown argument {arg!r}: choose one of {", ".join(arguments())}'
    )
  data, _, question = arg.partition('_')
  if data not in _DATA:
    data, question = 'streets', arg
  config = segxal_unet.get_config(data)
  if data == 'camvid':
    segxal_unet.pretrained(config)
    config.image_size = (96, 128)
  if data == 'fleet':
    question = 'images'
  methods, changes = _QUESTIONS[question or 'strategies']
  config.update_from_flattened_dict(changes)
  config.compare.arms = methods
  config.compare.seeds = (0, 1, 2)
  if data != 'cityscapes':
    # A strategy may take minutes of two cores, not hours.
    config.acquisition.ensemble = 3
    config.acquisition.vaal_steps = 300
  return config
