"""Active learning on a segmentation network of your own.

    python main.py --config=configs/segxal_own.py                  # to try it
    export LABEL_STUDIO_URL=http://127.0.0.1:8080 LABEL_STUDIO_API_KEY=...
    python main.py --config=configs/segxal_own.py:folder \
        --config.data.root=data \
        --config.learner.command='python train.py {pool} {model}'

A command of yours trains in each cycle, on what is labelled by then; its
network is asked what to label next. With `segmentation.name=onnx` and
`segmentation.path` a network that you have asks first, before any training.
docs/guide/active_learning.md, "Your own network and images".
"""

import shlex
import sys

import ml_collections

from configs import segxal_common

# The command of this example trains a small PyTorch network
# (requirements-parity.txt).
_EXAMPLE = (
  f'{shlex.quote(sys.executable)} -m examples.train_command '
  '--pool={pool} --model={model} --cycle={cycle} --steps=100'
)


def _streets(config: ml_collections.ConfigDict) -> None:
  """Drawn streets, whose labels answer in a person's place."""
  config.image_size = (64, 128)
  config.data.num_train = 60
  config.data.num_test = 24
  config.data.validation_split = ''
  config.depth.ego_share = 0.11
  config.pool.initial_percent = 20.0
  config.pool.num_query = 6
  config.oracle.rest = 'void'
  config.stop.cycles = 2
  config.eval.datasets = ('streets/day',)


def _folder(config: ml_collections.ConfigDict) -> None:
  """Images of your own, few of them labelled: docs/guide/datasets.md."""
  config.data.name = 'folder'
  config.data.train_split = ':train'
  config.data.validation_split = ''
  config.pool.num_query = 10
  config.oracle.kind = 'label_studio'
  config.eval.datasets = ('folder:test',)


_PROTOCOLS = {'streets': _streets, 'folder': _folder}


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """The config of one protocol: streets (default) or folder."""
  if arg not in _PROTOCOLS:
    raise ValueError(
      f'unknown argument {arg!r}: choose one of {", ".join(_PROTOCOLS)}'
    )
  config = segxal_common.get_config()
  config.learner.kind = 'command'
  config.learner.command = _EXAMPLE
  # By the network's own prediction, whatever that was.
  config.selection.rule = 'all'
  config.eval.batch_size = 8
  _PROTOCOLS[arg](config)
  return config
