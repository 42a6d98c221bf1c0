"""Segmentation metrics from confusion matrices."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Integer

from fsnet_jax.metrics.ranking import Arrays, group_names
from fsnet_jax.metrics.scatter import sum_by_cell

# Ratios of single images are summed as multiples of 2^-40: whole numbers make
# the sum independent of the order of images, and 2^22 images fit in int64.
_RATIO_UNIT = 1 << 40


def confusion_counts(
  labels: Integer[Array, 'b h w'],
  predictions: Integer[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
  num_classes: int,
) -> Int32[Array, 'b c c']:
  """Counts pixels by image, true class and predicted class; runs under jit.

  Args:
    labels: true classes; outside 0..c-1 (void) the pixel does not count.
    predictions: predicted classes, 0..c-1.
    valid: whether the pixel counts.
    num_classes: c.

  Returns:
    One confusion matrix an image: rows are true classes, columns predicted
    ones.

  Raises:
    ValueError: if one image has so many pixels that int32 could overflow, or
      the arrays differ in shape.
  """
  if not np.shape(labels) == np.shape(predictions) == np.shape(valid):
    raise ValueError('labels, predictions and valid differ in shape')
  images = labels.shape[0]
  cells = images * num_classes * num_classes
  if max(labels[:1].size, cells) >= 1 << 31:
    raise ValueError(f'images of shape {labels.shape[1:]} overflow int32')
  labels, predictions = labels.astype(jnp.int32), predictions.astype(jnp.int32)
  counted = valid & (labels >= 0) & (labels < num_classes)
  counted &= (predictions >= 0) & (predictions < num_classes)
  image = jnp.arange(images, dtype=jnp.int32)[:, None, None]
  cell = (image * num_classes + labels) * num_classes + predictions
  counts = sum_by_cell(cell.reshape(-1), counted.reshape(-1), cells)
  return counts.reshape(images, num_classes, num_classes)


@dataclasses.dataclass(frozen=True)
class SegmentationMetrics:
  """Sums over any number of images, and the metrics they give.

  Immutable: `add` and `merge` return new objects. `merge` is associative and
  commutative, and parts merged give the very metrics of one pass.

  Attributes:
    confusion: int64 [c c], pixels by true class (rows) and predicted class.
    image_iou: int64 [c], IoU of each class summed over images, in 2^-40.
    image_acc: int64 [c], the same of each class's accuracy.
    images: images with at least one pixel that counts.
  """

  confusion: np.ndarray
  image_iou: np.ndarray
  image_acc: np.ndarray
  images: int

  @classmethod
  def empty(cls, num_classes: int) -> 'SegmentationMetrics':
    """Sums over no image."""
    return cls(
      confusion=np.zeros((num_classes, num_classes), np.int64),
      image_iou=np.zeros(num_classes, np.int64),
      image_acc=np.zeros(num_classes, np.int64),
      images=0,
    )

  def add(self, counts: Int32[Arrays, 'b c c']) -> 'SegmentationMetrics':
    """Returns the sums with a batch of images added.

    Args:
      counts: from `confusion_counts`. Images without a pixel that counts, as
        those that pad a batch, are left out.

    Raises:
      ValueError: if they are of another number of classes.
    """
    counts = np.asarray(counts).astype(np.int64)
    if counts.shape[1:] != self.confusion.shape:
      raise ValueError(
        f'counts of shape {counts.shape} do not add to {self.confusion.shape}'
      )
    counts = counts[counts.any(axis=(1, 2))]
    hits, unions, truths = _class_counts(counts)
    return SegmentationMetrics(
      confusion=self.confusion + counts.sum(axis=0),
      image_iou=self.image_iou + _whole_ratios(hits, unions).sum(axis=0),
      image_acc=self.image_acc + _whole_ratios(hits, truths).sum(axis=0),
      images=self.images + len(counts),
    )

  def merge(self, other: 'SegmentationMetrics') -> 'SegmentationMetrics':
    """Returns the sums over the images of both."""
    return SegmentationMetrics(
      confusion=self.confusion + other.confusion,
      image_iou=self.image_iou + other.image_iou,
      image_acc=self.image_acc + other.image_acc,
      images=self.images + other.images,
    )

  def compute(self, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Computes every metric.

    With n_ij the pixels of true class i predicted as j, IoU_i = n_ii /
    (sum_j n_ij + sum_j n_ji - n_ii) and Acc_i = n_ii / sum_j n_ij.

    Two conventions differ in a class of which the data has no true pixel:
    `miou` and `cls_acc` leave it out even where it is predicted, since those
    pixels already count as missed ones of their true class; the script of
    Cityscapes (`evalPixelLevelSemanticLabeling` of `cityscapesscripts`) counts
    it as IoU 0 there. Where all classes occur both are one number.

    Args:
      names: of the classes; None names them '0', '1', ...

    Returns:
      Fractions in [0, 1], None where not defined:
      * `miou`, `cls_acc`: means of the IoU and the accuracy over the classes
        with a true pixel, from one confusion matrix of all images;
      * `miou_cityscapes`: mean of the IoU over the classes with a true or a
        predicted pixel;
      * `miou_image_mean`, `cls_acc_image_mean`: IoU and accuracy of each image
        by itself, 0 for a class that the image lacks, averaged over images
        and all classes, as SynthCP's per-image results are;
      * `pixel_acc`: share of pixels whose class is right;
      * `base_error_rate`: 1 - `pixel_acc`;
      * `iou`, `class_acc`: by name of the class, of those with a true pixel;
      * `pixels`: int, pixels that count.

    Raises:
      ValueError: if the number of names is not that of the classes.
    """
    names = group_names(len(self.confusion), names)
    hits, unions, truths = _class_counts(self.confusion)
    pixels = int(self.confusion.sum())
    right = int(hits.sum())
    present = truths > 0
    iou, acc = _ratios(hits, unions), _ratios(hits, truths)
    cells = self.images * len(names) * _RATIO_UNIT
    return {
      'miou': float(iou[present].mean()) if pixels else None,
      'miou_cityscapes': float(iou[unions > 0].mean()) if pixels else None,
      'miou_image_mean': int(self.image_iou.sum()) / cells if cells else None,
      'cls_acc': float(acc[present].mean()) if pixels else None,
      'cls_acc_image_mean': (
        int(self.image_acc.sum()) / cells if cells else None
      ),
      'pixel_acc': right / pixels if pixels else None,
      'base_error_rate': (pixels - right) / pixels if pixels else None,
      'iou': _by_name(names, iou, present),
      'class_acc': _by_name(names, acc, present),
      'pixels': pixels,
    }

  def to_arrays(self) -> dict[str, np.ndarray]:
    """The whole state as named arrays, for saving."""
    return {
      'confusion': self.confusion,
      'image_iou': self.image_iou,
      'image_acc': self.image_acc,
      'images': np.asarray(self.images, np.int64),
    }

  @classmethod
  def from_arrays(
    cls, arrays: Mapping[str, np.ndarray]
  ) -> 'SegmentationMetrics':
    """Restores what `to_arrays` gave."""
    sums = ('confusion', 'image_iou', 'image_acc')
    return cls(
      **{name: np.asarray(arrays[name], np.int64) for name in sums},
      images=int(arrays['images']),
    )


def _class_counts(
  confusion: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Hits, unions and true pixels of each class, from matrices [... c c]."""
  hits = np.diagonal(confusion, axis1=-2, axis2=-1)
  truths, claims = confusion.sum(axis=-1), confusion.sum(axis=-2)
  return hits, truths + claims - hits, truths


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
  """Fractions, 0 for an empty whole."""
  return parts / np.maximum(wholes, 1)


def _whole_ratios(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
  """The same as whole multiples of 2^-40."""
  return np.rint(_ratios(parts, wholes) * _RATIO_UNIT).astype(np.int64)


def _by_name(
  names: Sequence[str], values: np.ndarray, defined: np.ndarray
) -> dict[str, float | None]:
  return {
    name: float(value) if known else None
    for name, value, known in zip(names, values, defined)
  }
