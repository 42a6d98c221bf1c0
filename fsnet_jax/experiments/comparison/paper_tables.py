"""What the paper printed, and why it cannot be compared number by number."""

import re
from typing import NamedTuple


class Segmentation(NamedTuple):
  """A cell pair of Table II, in percent."""

  miou: float
  cls_acc: float


class Failure(NamedTuple):
  """A row of Table III, in percent; None where it cannot be read."""

  ap_error: float
  ap_success: float
  auroc: float | None
  fpr95_error: float


#: Our names of the paper's data sets.
DATASETS = {
  'cityscapes': 'Cityscapes (in)',
  'bdd100k': 'BDD100K (out)',
  'mapillary_vistas': 'Mapillary (out)',
}

TITLES = {
  'synthcp': 'SynthCP',
  'mc_dropout': 'MCDropout',
  'msp': 'MSP',
  'direct': 'Direct',
  'tcp': 'TCP',
  'fsnet': 'FSNet',
}

# Rahman et al., "FSNet", 2022: S trained by itself (there: SynthCP's, as
# CAVEATS_II say), and with F.
TABLE_II = {
  'fcn8': {
    'cityscapes': (Segmentation(29.84, 35.19), Segmentation(29.92, 39.23)),
    'bdd100k': (Segmentation(19.42, 24.52), Segmentation(19.55, 25.95)),
    'mapillary_vistas': (
      Segmentation(18.90, 25.28),
      Segmentation(19.32, 26.97),
    ),
  },
  'deeplab_v2': {
    'cityscapes': (Segmentation(32.98, 37.76), Segmentation(33.22, 41.70)),
    'bdd100k': (Segmentation(23.97, 28.46), Segmentation(23.54, 30.25)),
    'mapillary_vistas': (
      Segmentation(23.40, 29.05),
      Segmentation(23.01, 30.76),
    ),
  },
}

TABLE_III = {
  'fcn8': {
    'cityscapes': {
      'synthcp': Failure(55.53, 99.18, 92.92, 22.47),
      'mc_dropout': Failure(49.23, 99.02, 91.47, 25.16),
      'msp': Failure(50.31, 99.01, 91.54, 25.34),
      'direct': Failure(52.16, 99.14, 92.55, 22.34),
      'tcp': Failure(48.54, 98.82, 90.29, 32.20),
      'fsnet': Failure(67.83, 98.98, 94.35, 21.52),
    },
    'bdd100k': {
      'synthcp': Failure(62.83, 84.44, None, 64.21),
      'mc_dropout': Failure(59.77, 83.78, 74.85, 64.68),
      'msp': Failure(60.40, 83.65, 75.04, 65.14),
      'direct': Failure(61.77, 84.91, 76.83, 62.51),
      'tcp': Failure(57.99, 77.54, 70.77, 75.66),
      'fsnet': Failure(72.29, 86.63, 83.17, 51.81),
    },
    'mapillary_vistas': {
      'synthcp': Failure(58.64, 92.97, 82.22, 46.91),
      'mc_dropout': Failure(57.34, 93.30, 82.11, 46.81),
      'msp': Failure(58.29, 92.97, 82.53, 45.35),
      'direct': Failure(55.50, 90.90, 79.30, 53.44),
      'tcp': Failure(56.21, 93.23, 81.77, 47.19),
      'fsnet': Failure(68.29, 93.76, 87.75, 40.19),
    },
  },
  'deeplab_v2': {
    'cityscapes': {
      'synthcp': Failure(49.99, 99.34, 92.98, 21.69),
      'mc_dropout': Failure(47.85, 99.23, 92.19, 24.68),
      'msp': Failure(48.46, 99.24, 92.26, 24.41),
      'direct': Failure(48.76, 99.34, 92.94, 21.56),
      'tcp': Failure(45.57, 98.84, 89.14, 36.98),
      'fsnet': Failure(57.84, 99.13, 93.97, 21.39),
    },
    'bdd100k': {
      'synthcp': Failure(53.60, 88.46, 75.71, 61.55),
      'mc_dropout': Failure(38.26, 84.18, 66.27, 70.10),
      'msp': Failure(54.74, 88.72, 76.32, 63.06),
      'direct': Failure(53.18, 88.28, 75.53, 61.81),
      'tcp': Failure(47.90, 83.02, 67.47, 75.10),
      'fsnet': Failure(71.81, 91.76, 86.94, 43.56),
    },
    'mapillary_vistas': {
      'synthcp': Failure(49.51, 93.72, 79.57, 47.05),
      'mc_dropout': Failure(47.39, 93.49, 78.48, 52.67),
      'msp': Failure(48.03, 93.65, 79.32, 46.63),
      'direct': Failure(43.79, 92.57, 75.03, 63.33),
      'tcp': Failure(32.97, 92.88, 73.61, 55.43),
      'fsnet': Failure(63.19, 95.68, 88.95, 37.36),
    },
  },
}

CAVEATS_II = (
  'mIoU is of one confusion matrix over all pixels, classes without a pixel '
  "left out. The paper's values are too low for that: they fit the mean over "
  'images with absent classes as 0, shown as "image mean".',
  '"S alone" has seen phase 1 only; FSNet\'s S has seen the joint phase too, '
  'so part of a gain is longer training.',
  'The paper\'s numbers beside "S alone" are of SynthCP\'s network, not of its '
  'own S before the joint phase.',
)

_CAVEATS_III = (
  'All our rows judge the same S, so they share one base error rate. In the '
  'paper FSNet has an S of its own, whose error rate was probably higher '
  '(about 11-15 % against 10 % with FCN8, inferred from its own numbers), and '
  'AP-Err rises with it: lead with AUROC and FPR95.',
  "Pooled over all labelled pixels, as the code behind the paper's baselines "
  'pools them; the paper says "averaged over 19 classes", which stands in the '
  'class-macro table. Their FPR95 is a mean over images: hold it against '
  'FPR95/image.',
  "The paper's SynthCP, Direct and TCP rows are the network's confidence plus "
  'the maximum softmax: its numbers stand beside our "+ MSP" rows where we '
  'have them. Whether its FSNet row adds MSP is not known.',
  'With DeepLab the published MC-Dropout (in distribution) had no active '
  'dropout: it is the entropy of a single pass, our row "Entropy". Our '
  'MC-Dropout really drops.',
  'Its networks are pretrained, at 256x512, on Cityscapes; ours are as the '
  'config says. Numbers side by side show the order of methods, no more.',
)

# By `config.fit.tcp.input`.
_TCP_INPUTS = {
  'segmentation': 'ours is fed as S is, all but "TCP (SynthCP)".',
  'synthcp': "so is ours (config.fit.tcp.input is 'synthcp').",
}

CAVEATS_RISK = (
  'Risks near 10 % at 60 % coverage, as the paper plots them, cannot be '
  'pooled values next to AP-Suc of 99: they fit an average over classes. Both '
  'are shown.',
)


def caveats_iii(tcp_input: str) -> tuple[str, ...]:
  """What a reader of Table III must know.

  Args:
    tcp_input: `config.fit.tcp.input`.
  """
  tcp = (
    "The published TCP was fed images on another scale than its backbone's; "
    f'{_TCP_INPUTS[tcp_input]}'
  )
  return (*_CAVEATS_III[:-1], tcp, _CAVEATS_III[-1])


def title(dataset: str) -> str:
  """The name of one of the paper's data sets alone."""
  return DATASETS[dataset].partition(' (')[0]


def dataset_key(spec: str) -> str | None:
  """The paper's data set that a spec names, or None.

  Args:
    spec: for example 'bdd100k' or 'cityscapes:val'; one with corruptions is
      none of the paper's.
  """
  if '@' in spec:
    return None
  name = re.split('[/:]', spec)[0]
  return name if name in DATASETS else None


def row_of(detector: str, detectors: tuple[str, ...]) -> str | None:
  """The paper's method to stand beside a detector, or None.

  Args:
    detector: its name.
    detectors: all names of the table: where one has a variant with MSP, that
      is the published one, and so is TCP as SynthCP feeds it.
  """
  if 'tcp_synthcp' in detectors and detector in ('tcp', 'tcp_msp'):
    return None
  if detector.startswith('tcp_synthcp'):
    with_msp = 'tcp_synthcp_msp'
    return None if detector != with_msp and with_msp in detectors else 'tcp'
  if detector in ('synthcp_msp', 'direct_msp', 'tcp_msp'):
    return detector.removesuffix('_msp')
  if detector in TITLES and (
    detector == 'fsnet' or f'{detector}_msp' not in detectors
  ):
    return detector
  return None
