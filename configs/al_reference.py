"""Baselines of active learning, in resumable cells.

    python main.py --config=configs/al_reference.py          # streets
    python main.py --config=configs/al_reference.py:camvid \
        --config.data.root=CamVid
    python main.py --config=configs/al_reference.py:cityscapes \
        --config.data.root=cityscapes

Random shares of the pool, labelled whole, for each seed; and the whole pool
in stratified folds, each tested on by the network not trained on it. Data,
network and training are those of configs/al_compare.py. Stop it when you
like: the same command resumes, and report/ shows what is done. Some of it
only: --config.reference.percents="(10,40)" --config.reference.seeds="(0,)"
--config.reference.folds=0.
"""

import ml_collections

from configs import al_compare


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The cells of a protocol: streets (default), camvid or cityscapes."""
  config = al_compare.get_config(arg)
  config.compare.arms = ()
  config.compare.seeds = ()
  config.reference.percents = (10, 15, 20, 25, 30, 35, 40, 100)
  config.reference.folds = 5
  config.reference.seeds = (0, 1, 2)
  if arg == 'cityscapes':
    # "Every method is run 5 times"; 100 epochs of 2,675 images.
    config.reference.seeds = (0, 1, 2, 3, 4)
    config.reference.full_steps = 16_700
  return config
