"""From a config to the options of the detectors that learn over the frozen S.

Each detector has a class of its own options and a line in `_OWN`. What a fit
does not use is not read: the config of an older fit may lack it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import jax.numpy as jnp
from ml_collections import ConfigDict

from fsnet_jax.builders import networks
from fsnet_jax.builders.classes import class_table
from fsnet_jax.builders.evaluation import looks_at_mirrored
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.weights.initial import InitOptions

Own = TypeVar('Own')


@dataclasses.dataclass(frozen=True)
class FitOptions(Generic[Own]):
  """What a detector is made and trained by.

  Attributes:
    seed: of the first weights and of the order of images.
    image_size: (height, width) in pixels.
    width: multiplier of the channels of the detector's networks.
    compute_dtype: name of the type that they compute in.
    remat: whether activations are computed again rather than kept.
    augment: names of the transforms of the run's training images.
    num_workers: processes that read images.
    log_every_steps: updates between two lines.
    checkpoint_every_steps: updates between two checkpoints.
    init: what the run's networks begin with.
    segmentation: makes S, without its variables.
    num_classes: of S.
    own: the detector's own.
  """

  seed: int
  image_size: tuple[int, int]
  width: float
  compute_dtype: str
  remat: bool
  augment: tuple[str, ...]
  num_workers: int
  log_every_steps: int
  checkpoint_every_steps: int
  init: InitOptions
  segmentation: Callable[[], SegmentationNetwork]
  num_classes: int
  own: Own


@dataclasses.dataclass(frozen=True)
class TcpOptions:
  """`config.fit.tcp`: what the head stands on, and how it is trained.

  Attributes:
    mix: of images (`input_pipeline.training_mix`) that it learns from; '' for
      those of the training split as they are.
  """

  steps: int
  batch_size: int
  learning_rate: float
  backbone: str
  input: str
  alignment: str
  mix: str


@dataclasses.dataclass(frozen=True)
class DirectOptions:
  """`config.fit.direct`; `mix` as in `TcpOptions`."""

  steps: int
  batch_size: int
  learning_rate: float
  mix: str


@dataclasses.dataclass(frozen=True)
class SynthCpOptions:
  """`config.fit.synthcp`: of the generator (gan) and the comparison.

  Attributes:
    gan_width: multiplier of the generator's and discriminator's channels.
    vgg19: path of the network of the perceptual loss; '' for none.
    mix: that the comparison learns from; as in `TcpOptions`.
  """

  steps: int
  batch_size: int
  learning_rate: float
  gan_steps: int
  gan_batch_size: int
  gan_width: float
  generator_learning_rate: float
  discriminator_learning_rate: float
  vgg19: str
  mix: str


@dataclasses.dataclass(frozen=True)
class EnsembleOptions:
  """`config.fit.ensemble`; the frozen S is one of the members."""

  members: int


@dataclasses.dataclass(frozen=True)
class ObsNetOptions:
  """`config.fit.obsnet`.

  Attributes:
    attack_size: of an attack's step, for images of 0..1.
    attack_share: of the images, how many are attacked.
    augment: names of the transforms of its images: the run's, but none where
      S is stored logits, which are of the images as they are.
    network: the observer.
  """

  steps: int
  batch_size: int
  learning_rate: float
  attack_size: float
  attack_share: float
  weight_decay: float
  augment: tuple[str, ...]
  network: FailureNet


@dataclasses.dataclass(frozen=True)
class PixelOptions:
  """`config.fit.pixel`, with the steps and the mix of images of phase 3.

  Attributes:
    flip: whether they see S's logits of the mirrored image.
    dropout_samples: passes of S with dropout that they see; 0 for none.
    colorless: whether there is a second network, which sees no colour.
    units: of a layer of each network.
    stride: 1, or 2 if it is run at every second row and column only.
  """

  steps: int
  mix: str
  batch_size: int
  pixels: int
  learning_rate: float
  weight_decay: float
  centering: float
  flip: bool
  dropout_samples: int
  colorless: bool
  units: int
  stride: int


@dataclasses.dataclass(frozen=True)
class ConvOptions:
  """`config.fit.conv`, with F as a correction and phase 3's steps and mix."""

  steps: int
  mix: str
  batch_size: int
  learning_rate: float
  weight_decay: float
  network: FailureNet


@dataclasses.dataclass(frozen=True)
class ClassLogisticOptions:
  """`config.fit.class_logistic`, with the mix of images that it learns from."""

  steps: int
  batch_size: int
  pixels: int
  mix: str


def _of(kind: type[Own], section: ConfigDict, **more: Any) -> Own:
  """The options of a class, which has fields of the section and `more`."""
  names = [field.name for field in dataclasses.fields(cast(Any, kind))]
  own = {name: section[name] for name in names if name not in more}
  return kind(**own, **more)


def _tcp(config: ConfigDict) -> TcpOptions:
  return _of(TcpOptions, config.fit.tcp, mix='')


def _tcp_synthcp(config: ConfigDict) -> TcpOptions:
  """With the two faults of SynthCP's code."""
  return dataclasses.replace(
    _tcp(config), input='synthcp', alignment='stretched'
  )


def _direct(config: ConfigDict) -> DirectOptions:
  return _of(DirectOptions, config.fit.direct, mix='')


def _synthcp(config: ConfigDict) -> SynthCpOptions:
  options = config.fit.synthcp
  width = options.gan_width or _width(config)
  return _of(SynthCpOptions, options, gan_width=width, mix='')


def _ensemble(config: ConfigDict) -> EnsembleOptions:
  return _of(EnsembleOptions, config.fit.ensemble)


def _obsnet(config: ConfigDict) -> ObsNetOptions:
  as_they_are = config.segmentation.name == 'logits'
  return _of(
    ObsNetOptions,
    config.fit.obsnet,
    augment=() if as_they_are else tuple(config.data.augment),
    weight_decay=0.01,  # Of AdamW, as PyTorch has it.
    network=FailureNet(
      width=_width(config),
      branches='single',
      remat=config.remat,
      dtype=jnp.dtype(config.compute_dtype),
    ),
  )


def _pixel(config: ConfigDict) -> PixelOptions:
  return _of(
    PixelOptions,
    config.fit.pixel,
    steps=config.phase3_steps,
    mix=config.failure.mix,
    flip=looks_at_mirrored(config),
    dropout_samples=config.fit.pixel.get('dropout_samples', 0),
    # Fits of before there was one have none.
    colorless=config.fit.pixel.get('colorless', False),
    # And all had as many.
    units=config.fit.pixel.get('units', 64),
    stride=_stride(config),
  )


def _stride(config: ConfigDict) -> int:
  """Of the pixels that per-pixel networks look at once they are trained."""
  # Fits of before there was one look at all.
  own = config.fit.pixel.get('stride', 1)
  return own or (2 if config.failure.preset == 'light' else 1)


def _conv(config: ConfigDict) -> ConvOptions:
  return _of(
    ConvOptions,
    config.fit.conv,
    steps=config.phase3_steps,
    mix=config.failure.mix,
    # A correction whatever the joint F is.
    network=dataclasses.replace(networks.failure(config), msp_residual=True),
  )


def _class_logistic(config: ConfigDict) -> ClassLogisticOptions:
  return _of(ClassLogisticOptions, config.fit.class_logistic, mix='clean')


def _shifted(make: Callable[[ConfigDict], Any], config: ConfigDict) -> Any:
  """The same options, but for the images that phase 3 learns from."""
  return dataclasses.replace(make(config), mix=config.failure.mix)


# By the name of the detector or of the part of F.
_OWN: Mapping[str, Callable[[ConfigDict], Any]] = {
  'tcp': _tcp,
  'tcp_synthcp': _tcp_synthcp,
  'direct': _direct,
  'synthcp': _synthcp,
  'ensemble': _ensemble,
  'obsnet': _obsnet,
  'pixel': _pixel,
  'conv': _conv,
  'class_logistic': _class_logistic,
  'class_logistic_shift': functools.partial(_shifted, _class_logistic),
  'tcp_shift': functools.partial(_shifted, _tcp),
  'direct_shift': functools.partial(_shifted, _direct),
  'synthcp_shift': functools.partial(_shifted, _synthcp),
}


def fit_options(name: str, config: ConfigDict) -> FitOptions[Any]:
  """What a detector is made and trained by.

  Args:
    name: of a detector that learns, or of a part of F.
    config: the run's, or the stored one of a fit.

  Raises:
    AttributeError, KeyError, TypeError: the config lacks a field that is read,
      or it has another type; none of them where the config is checked.
  """
  return FitOptions(
    seed=config.seed,
    image_size=tuple(config.image_size),
    width=_width(config),
    compute_dtype=config.compute_dtype,
    remat=config.remat,
    augment=tuple(config.data.augment),
    num_workers=config.data.num_workers,
    log_every_steps=config.log_every_steps,
    checkpoint_every_steps=config.checkpoint_every_steps,
    init=init_options(config),
    segmentation=functools.partial(networks.segmentation, config),
    num_classes=class_table(config).num_classes,
    own=_OWN[name](config),
  )


def _width(config: ConfigDict) -> float:
  """Multiplier of the channels of the detectors' networks."""
  return config.fit.width or config.failure.width or config.width
