"""One object that says of images what they show and where that is wrong."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.errors import UserError

# Of a monitor without a calibration: more likely wrong than right.
UNCALIBRATED = 0.5


@dataclasses.dataclass(frozen=True)
class MonitorResult:
  """What a monitor says of a batch of images.

  Attributes:
    labels: uint8 [b h w], class index of each pixel.
    failure: float32 [b h w], P(wrong): that the class is not the true one.
    flagged: bool [b h w], where `failure` exceeds the threshold; the other
      pixels pass.
    image_risk: float32 [b], mean of `failure`: the share of the image's
      pixels that is expected to be misclassified.
  """

  labels: np.ndarray
  failure: np.ndarray
  flagged: np.ndarray
  image_risk: np.ndarray

  def of_image(self, index: int) -> MonitorResult:
    """What it says of one image: a batch of one."""
    one = np.s_[index : index + 1]
    return MonitorResult(
      self.labels[one],
      self.failure[one],
      self.flagged[one],
      self.image_risk[one],
    )


@runtime_checkable
class Backend(Protocol):
  """What runs the networks.

  Attributes:
    classes: of the labels.
    threshold: above which a pixel is flagged; None without a calibration.
    statement: what is guaranteed for pixels that pass, one sentence; '' for
      nothing.
    reference: by name of `statistics.NAMES`, a value for each image that the
      threshold was calibrated on; None without a calibration.
  """

  @property
  def classes(self) -> ClassTable:
    """See above."""
    ...

  @property
  def threshold(self) -> float | None:
    """See above."""
    ...

  @property
  def statement(self) -> str:
    """See above."""
    ...

  @property
  def reference(self) -> Mapping[str, Sequence[float]] | None:
    """See above."""
    ...

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint8 [b h w] and P(wrong) float32 [b h w] of images.

    Args:
      images: uint8 [b h w 3], RGB.
    """
    ...


class Monitor:
  """A segmentation network and the failure network that watches it.

  Example:

    monitor = Monitor.load('runs/own')
    result = monitor(images)  # uint8 [b h w 3], RGB
    unsure = images[result.image_risk > 0.1]
  """

  def __init__(self, backend: Backend):
    """Takes what runs the networks; see `load`."""
    self._backend = backend

  @classmethod
  def load(cls, source: str | os.PathLike[str]) -> Monitor:
    """Opens a finished run, or what was exported of one.

    Args:
      source: the --workdir of a run, or a file of --mode=export: .onnx,
        .jaxexport or .tflite. One from elsewhere is checked before it is run,
        but it is a program: take it from whom you trust.

    Raises:
      UserError: there is no such thing, it is damaged, or the package that
        runs it is missing.
    """
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
      from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend

      return cls(CheckpointBackend.open(path))
    if path.suffix == '.onnx' and path.is_file():
      from fsnet_jax.monitor.backends.onnx_file import OnnxBackend

      return cls(OnnxBackend.open(path))
    if path.suffix == '.jaxexport' and path.is_file():
      from fsnet_jax.monitor.backends.jax_file import JaxBackend

      return cls(JaxBackend.open(path))
    if path.suffix == '.tflite' and path.is_file():
      from fsnet_jax.monitor.backends.tflite_file import TfliteBackend

      return cls(TfliteBackend.open(path))
    problem = 'is no folder of a run' if path.exists() else 'does not exist'
    raise UserError(
      f'{path} {problem}: give the --workdir of a finished run, or an exported '
      'file (.onnx, .jaxexport, .tflite).'
    )

  @property
  def classes(self) -> ClassTable:
    """Names and colours of `MonitorResult.labels`."""
    return self._backend.classes

  @property
  def threshold(self) -> float:
    """P(wrong) above which a pixel is flagged."""
    own = self._backend.threshold
    return UNCALIBRATED if own is None else own

  @property
  def is_calibrated(self) -> bool:
    """Whether the threshold is one that a risk was bounded for."""
    return self._backend.threshold is not None

  @property
  def statement(self) -> str:
    """What is guaranteed for pixels that pass; '' for nothing."""
    return self._backend.statement

  @property
  def reference(self) -> Mapping[str, Sequence[float]] | None:
    """What the images that it was calibrated on are like; None without any.

    Five numbers an image, by their names: `monitor.statistics`.
    """
    return self._backend.reference

  def __call__(self, images: np.ndarray) -> MonitorResult:
    """Looks at a batch of images.

    Args:
      images: uint8 [b h w 3], RGB, of any size; what comes back has it too.

    Raises:
      ValueError: they are of another type or shape.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
      raise ValueError(
        f'images are {images.dtype} {images.shape}, not uint8 [b h w 3]'
      )
    labels, failure = self._backend(images)
    return MonitorResult(
      labels=labels,
      failure=failure,
      flagged=failure > np.float32(self.threshold),
      image_risk=failure.mean(axis=(1, 2), dtype=np.float64).astype(np.float32),
    )
