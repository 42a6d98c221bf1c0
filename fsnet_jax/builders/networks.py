"""From a config to the networks it describes; models never see a config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.builders import external
from fsnet_jax.builders.classes import class_table
from fsnet_jax.config import resolution
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.protocol import (
  PartlyFrozen,
  SegmentationNetwork,
)
from fsnet_jax.models.segmentation.unet import UNet


def model(config: ConfigDict) -> FSNet:
  """S and F.

  Raises:
    UserError: as `segmentation`.
  """
  return FSNet(segmentation=segmentation(config), failure=failure(config))


def segmentation(config: ConfigDict) -> SegmentationNetwork:
  """S: the network that `config.segmentation.name` names.

  Raises:
    UserError: there is no such network, it does not offer what is asked of
      it, or it cannot work on images of `config.image_size`.
  """
  options = config.segmentation
  if external.is_external(config):
    return external.module(config)
  if options.name not in NETWORKS:
    raise UserError(
      f'config.segmentation.name is {options.name!r}: choose one of '
      f'{", ".join(NAMES)}.'
    )
  if options.frozen_bn and options.name != 'deeplab_v2':
    raise UserError(
      'config.segmentation.frozen_bn is for deeplab_v2, whose backbone has '
      f'batch norm; set it to False for {options.name}.'
    )
  common = {
    'num_classes': class_table(config).num_classes,
    'width': config.width,
    'dropout_rate': options.dropout_rate,
    'remat': config.remat,
    'dtype': jnp.dtype(config.compute_dtype),
  }
  network = NETWORKS[options.name](options, common)
  network.check_image_size(tuple(config.image_size))
  return network


def failure(config: ConfigDict) -> FailureNet:
  """F."""
  options = config.failure
  return FailureNet(
    width=options.width or config.width,
    decoder=options.decoder,
    branches=options.branches,
    inputs=tuple(options.inputs),
    raw_class_index=options.w4 == 'raw',
    msp_residual=options.msp_residual,
    blocks=resolution.failure_blocks(config),
    remat=config.remat,
    dtype=jnp.dtype(config.compute_dtype),
  )


def frozen(config: ConfigDict) -> Callable[[Sequence[str]], bool] | None:
  """Which parameters of S, by their path, never change; None for none."""
  network = segmentation(config)
  if not (config.segmentation.frozen_bn or external.is_external(config)):
    return None
  return network.is_frozen if isinstance(network, PartlyFrozen) else None


def _fcn8(options: ConfigDict, common: dict[str, Any]) -> FCN8:
  return FCN8(
    head_width=options.head_width or None,
    padding=options.padding,
    features=options.features,
    skip_scale=tuple(options.skip_scale),
    input_scale=options.input_scale,
    **common,
  )


def _deeplab_v2(options: ConfigDict, common: dict[str, Any]) -> DeepLabV2:
  return DeepLabV2(
    head=options.head,
    features=options.features,
    frozen_bn=options.frozen_bn,
    input_scale=options.input_scale,
    blocks=tuple(options.blocks),
    **common,
  )


def _unet(options: ConfigDict, common: dict[str, Any]) -> UNet:
  return UNet(**common)


def _efficientnet_unet(
  options: ConfigDict, common: dict[str, Any]
) -> EfficientNetUNet:
  return EfficientNetUNet(**common)


# By `config.segmentation.name`.
NETWORKS: Mapping[
  str, Callable[[ConfigDict, dict[str, Any]], SegmentationNetwork]
] = {
  'fcn8': _fcn8,
  'deeplab_v2': _deeplab_v2,
  'unet': _unet,
  'efficientnet_unet': _efficientnet_unet,
}
# With those from elsewhere.
NAMES = (*NETWORKS, *external.NAMES)
