"""How each measure is named, scaled, compared and explained in a report."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

UNDEFINED = '\N{EM DASH}'

# Python's or NumPy's.
Number = float | int | np.floating | np.integer
# A number of metrics.json; None where not defined.
Value = Number | None


class Measure(NamedTuple):
  """A column of a table.

  Attributes:
    key: its key in `metrics.json`.
    title: the head of its column.
    meaning: what it says, for a reader who has not met it.
    lower_is_better: the direction, for the best value of a column.
    scale: what the fraction is multiplied by: 100, or 1000 for the AURC
      family as in the literature.
  """

  key: str
  title: str
  meaning: str
  lower_is_better: bool
  scale: int = 100


FAILURE_MEASURES: tuple[Measure, ...] = (
  Measure(
    'ap_error',
    'AP-Err',
    'Average precision of finding wrong pixels: the area under the'
    ' precision-recall curve with the errors as positives. A blind guess'
    ' scores the base error rate, so it is higher where the network errs'
    ' more: compare it only between detectors of the same network on the'
    ' same data set.',
    False,
  ),
  Measure(
    'ap_success',
    'AP-Suc',
    'The same with the right pixels as positives. It is close to 100'
    ' wherever errors are rare, and lower where the network errs more.',
    False,
  ),
  Measure(
    'auroc',
    'AUROC',
    'Chance that a wrong pixel gets a higher failure score than a right one;'
    ' 50 is guessing. It does not depend on how many errors there are.',
    False,
  ),
  Measure(
    'fpr95_error',
    'FPR95',
    'Positive = wrong pixel, as in the FSNet paper: the share of right pixels'
    ' that is flagged in vain where 95% of the wrong pixels are flagged.',
    True,
  ),
  Measure(
    'fpr95_success',
    'FPR95-Suc',
    'Positive = right pixel, as in ConfidNet: the share of wrong pixels that'
    ' slips through where 95% of the right pixels are accepted. A different'
    ' number from FPR95; papers use the one name for both.',
    True,
  ),
  Measure(
    'aurc',
    'AURC',
    'Area under the risk-coverage curve, times 1000: the mean error rate'
    ' among the kept pixels as more and more of the least trusted ones are'
    ' set aside.',
    True,
    1000,
  ),
  Measure(
    'e_aurc',
    'E-AURC',
    'AURC minus that of a perfect ranking of the same errors, times 1000:'
    ' what the detector itself costs.',
    True,
    1000,
  ),
  Measure(
    'augrc',
    'AUGRC',
    'Area under the generalised risk curve, times 1000: the mean share of'
    ' all pixels that is wrong and yet accepted. Less ruled by the few most'
    ' trusted pixels than AURC.',
    True,
    1000,
  ),
  Measure(
    'coverage_at_5_risk',
    'Cov@5%',
    'Coverage at 5% risk: the largest share of pixels, most trusted first, of'
    ' which at most 5% are wrong. What can be used as it is where one error in'
    ' twenty is accepted; 100 where the network errs no more than that.',
    False,
  ),
  Measure(
    'ece',
    'ECE',
    'Expected calibration error: the mean gap between the stated probability'
    ' and what comes true. Defined only for scores that are probabilities. A'
    " loss that weighs errors up, as FSNet's balanced one does, makes a score"
    ' overstate them by design: that raises ECE and leaves the ranking alone.',
    True,
  ),
)

SEGMENTATION_MEASURES: tuple[Measure, ...] = (
  Measure(
    'miou',
    'mIoU',
    'Intersection over union of each class from one confusion matrix of all'
    ' pixels, averaged over the classes that occur in the labels.',
    False,
  ),
  Measure(
    'miou_cityscapes',
    'mIoU, Cityscapes',
    'The same as the script of Cityscapes averages it: a class that is'
    ' predicted but occurs in no label counts as 0. Equal to mIoU where every'
    ' class occurs, lower on small or odd data sets.',
    False,
  ),
  Measure(
    'miou_image_mean',
    'mIoU, image mean',
    'IoU of each image by itself, averaged over images and classes; a class'
    " that an image lacks counts as 0. SynthCP's per-image convention: much"
    ' lower than mIoU, and not comparable with it.',
    False,
  ),
  Measure(
    'cls_acc',
    'Cls-Acc',
    "Share of each class's pixels that is labelled right, averaged over the"
    ' classes that occur.',
    False,
  ),
  Measure(
    'cls_acc_image_mean',
    'Cls-Acc, image mean',
    'The same in the image-mean convention, absent classes counted as 0.',
    False,
  ),
  Measure(
    'pixel_acc',
    'Pixel acc.',
    'Share of all labelled pixels that is labelled right.',
    False,
  ),
  Measure(
    'base_error_rate',
    'Base error rate',
    '100 minus pixel accuracy: the errors that a detector has to find. AP-Err'
    ' and the AURC family move with it.',
    True,
  ),
)

BY_KEY: Mapping[str, Measure] = {
  measure.key: measure
  for measure in (*FAILURE_MEASURES, *SEGMENTATION_MEASURES)
}

#: Measures whose differences a report shows; metrics.json has more.
DIFFERENCES_SHOWN = ('auroc', 'fpr95_error', 'ap_error', 'coverage_at_5_risk')

_DETECTOR_TITLES: dict[str, str] = {
  'fsnet': 'FSNet',
  'fsnet_msp': 'FSNet + MSP',
  'msp': 'MSP',
  'msp_temperature': 'MSP, scaled',
  'entropy': 'Entropy',
  'max_logit': 'Max logit',
  'energy': 'Energy',
  'mc_dropout': 'MC-Dropout',
  'mc_dropout_synthcp': 'MC-Dropout, none active',
  'tcp': 'TCP',
  'tcp_msp': 'TCP + MSP',
  'tcp_synthcp': 'TCP (SynthCP)',
  'tcp_synthcp_msp': 'TCP (SynthCP) + MSP',
  'direct': 'Direct',
  'direct_msp': 'Direct + MSP',
  'synthcp': 'SynthCP',
  'synthcp_msp': 'SynthCP + MSP',
  'ensemble': 'Ensemble',
  'fsnet_joint': 'FSNet (joint)',
  'fsnet_pixel': 'FSNet (pixel)',
  'fsnet_conv': 'FSNet (conv)',
  'class_logistic': 'Class logistic',
  'class_logistic_shift': 'Class logistic (shift)',
  'tta_flip': 'Entropy (flip)',
  'ensemble_mi': 'Ensemble (MI)',
  'energy_temperature': 'Energy (scaled)',
  'tcp_shift': 'TCP (shift)',
  'direct_shift': 'Direct (shift)',
  'synthcp_shift': 'SynthCP (shift)',
  'obsnet': 'ObsNet',
}


_NETWORKS = {
  'fcn8': 'FCN8',
  'deeplab_v2': 'DeepLabV2',
  'unet': 'U-Net',
  'efficientnet_unet': 'EfficientNet U-Net',
  'onnx': 'ONNX network',
  'logits': 'stored logits',
  'python': 'network of a Python function',
}


def network_title(name: str) -> str:
  """What a segmentation network is called in tables; its name if unknown."""
  return _NETWORKS.get(name, name)


def detector_title(name: str, entry: Mapping[str, Any] | None = None) -> str:
  """Returns a detector's name as the literature writes it.

  Args:
    name: its key in `metrics.json`.
    entry: what stands there; its `title` names a detector that is not the
      package's own. Without one its key does.
  """
  return _DETECTOR_TITLES.get(name) or (entry or {}).get('title') or name


def detector_titles(failure: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
  """The titles of the detectors of one data set, by their names.

  Args:
    failure: entry of each detector in `metrics.json`, by its name.
  """
  return {name: detector_title(name, entry) for name, entry in failure.items()}


def format_value(value: Value, measure: Measure, digits: int = 2) -> str:
  """Returns a fraction as it is shown in a table, without a unit.

  Args:
    value: the fraction, or None where it is not defined.
    measure: gives the scale.
    digits: digits after the point.

  Returns:
    The scaled number, or a dash for None: never 0 for a missing value.
  """
  if value is None:
    return UNDEFINED
  # Adding 0.0 turns "-0.00" into "0.00".
  return f'{round(float(value) * measure.scale, digits) + 0.0:.{digits}f}'


def format_percent(value: Value, digits: int = 1) -> str:
  """Returns a fraction in percent with its sign, or a dash for None.

  A share that is not zero but rounds to zero is shown as "<0.1%".
  """
  if value is None:
    return UNDEFINED
  smallest = 10.0**-digits
  if 0.0 < value * 100 < smallest / 2:
    return f'<{smallest:.{digits}f}%'
  return f'{float(value) * 100:.{digits}f}%'


def format_interval(interval: Mapping[str, Any], measure: Measure) -> str:
  """Returns a difference and its interval: `+1.20 [+0.40, +2.00]`.

  Args:
    interval: `difference`, `low` and `high`, fractions.
    measure: gives the scale.
  """
  middle, low, high = (
    f'{round(interval[key] * measure.scale, 2) + 0.0:+.2f}'
    for key in ('difference', 'low', 'high')
  )
  return f'{middle} [{low}, {high}]'


def outcome(
  interval: Mapping[str, Any] | None, measure: Measure
) -> Literal['better', 'worse', 'level', 'unknown']:
  """Says whether a difference is more than chance.

  Args:
    interval: of a detector less another, or None where there is none.
    measure: gives the direction.

  Returns:
    `better` or `worse` where the interval leaves 0 out, `level` where it
    holds it.
  """
  if interval is None:
    return 'unknown'
  if interval['low'] <= 0 <= interval['high']:
    return 'level'
  better = (interval['high'] < 0) == measure.lower_is_better
  return 'better' if better else 'worse'


def best_in_column(
  values: Sequence[Value], measure: Measure, digits: int = 2
) -> list[bool]:
  """Marks the best values of a column.

  Values that look the same in the table are the same here, so that a table
  never marks one of two equal numbers. Nothing is marked where all are equal
  or a value has no rival.

  Args:
    values: one for each row, None where not defined.
    measure: gives direction and scale.
    digits: digits after the point in the table.

  Returns:
    One bool for each row.
  """
  shown = [
    None if value is None else round(float(value) * measure.scale, digits)
    for value in values
  ]
  rivals = {value for value in shown if value is not None}
  if len(rivals) < 2:
    return [False] * len(shown)
  best = min(rivals) if measure.lower_is_better else max(rivals)
  return [value == best for value in shown]
