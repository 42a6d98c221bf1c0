"""From a config to what its networks begin with."""

import json

from ml_collections import ConfigDict

from fsnet_jax.weights.initial import InitOptions


def init_options(config: ConfigDict) -> InitOptions:
  """What `config.init` names, for the networks of the config."""
  return InitOptions(
    backbone=config.init.backbone,
    segmentation=config.init.segmentation,
    failure_encoder=config.init.failure_encoder,
    image_size=tuple(config.image_size),
    width=config.width,
    failure_width=config.failure.width,
    network_fields=json.loads(json.dumps(config.segmentation.to_dict())),
  )
