"""A person corrects what the error mask selects, in Label Studio.

    export LABEL_STUDIO_URL=http://127.0.0.1:8080 LABEL_STUDIO_API_KEY=...
    python main.py --config=configs/segxal_manual.py           # to try it
    python main.py --config=configs/segxal_manual.py:midas \
        --config.data.root=cityscapes --config.depth.weights=dpt_hybrid_384.pt

The paper's Manual-M is `:midas`, its Manual-D `:dinov2`; `:depth_anything`
takes the newer network. The loop stops with exit code 75 where annotations
are missing; the same command resumes. docs/guide/human_in_the_loop.md.
"""

import ml_collections

from configs import segxal_unet

_DEPTH_NETWORKS = ('midas', 'dinov2', 'depth_anything')


def _streets() -> ml_collections.ConfigDict:
  """Three drawn images a cycle, two cycles: minutes of a person's time.

  All but the answer is void: a network this small is too often wrong.
  """
  config = segxal_unet.get_config('streets')
  config.image_size = (128, 256)
  config.pool.num_query = 3
  config.regions.count = 5
  config.stop.cycles = 2
  return config


def get_config(arg: str = 'streets') -> ml_collections.ConfigDict:
  """streets (default), or Cityscapes with midas, dinov2 or depth_anything."""
  if arg == 'streets':
    config = _streets()
  elif arg in _DEPTH_NETWORKS:
    config = segxal_unet.get_config('cityscapes')
    config.depth.provider = arg
    # The re-annotated mask, as submitted (paper 3.3).
    config.oracle.rest = 'prediction'
  else:
    raise ValueError(
      f'unknown argument {arg!r}: choose one of streets, '
      f'{", ".join(_DEPTH_NETWORKS)}'
    )
  config.oracle.kind = 'label_studio'
  return config
