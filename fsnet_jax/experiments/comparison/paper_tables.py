"""Why the paper's numbers cannot be compared one by one, and what matches."""

import re

from fsnet_jax.report.paper_numbers import DATASETS

#: Methods as the paper writes them.
TITLES = {
  'synthcp': 'SynthCP',
  'mc_dropout': 'MCDropout',
  'msp': 'MSP',
  'direct': 'Direct',
  'tcp': 'TCP',
  'fsnet': 'FSNet',
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
