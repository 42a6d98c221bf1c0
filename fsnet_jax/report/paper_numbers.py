"""Numbers printed in the FSNet paper, for orientation only.

Rahman et al., "FSNet: A Failure Detection Framework for Semantic
Segmentation", 2022: percent, as printed, of networks trained on Cityscapes at
full length. `experiments.comparison.paper_tables` says why they cannot be
compared one by one with numbers of one's own.
"""

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

# S trained by itself (there: SynthCP's, as the caveats of the comparison say),
# and with F.
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


def _full(network: str) -> tuple[float, float | None]:
  """Table IV repeats Table III in its first row."""
  fsnet = TABLE_III[network]['cityscapes']['fsnet']
  return fsnet.ap_error, fsnet.auroc


# Table IV, Cityscapes (in distribution): AP-Err and AUROC by variant.
TABLE_IV_CITYSCAPES: dict[str, dict[str, tuple[float, float | None]]] = {
  'fcn8': {
    'full': _full('fcn8'),
    'single_branch': (65.92, 94.37),
    'data_20': (65.48, 93.83),
    'no_x': (60.01, 92.83),
    'no_w1': (51.40, 89.37),
    'no_w2': (61.88, 92.69),
    'no_w3': (67.20, 94.17),
    'no_w4': (45.85, 79.85),
    'no_seg_features': (52.77, 91.26),
  },
  'deeplab_v2': {
    'full': _full('deeplab_v2'),
    'single_branch': (54.96, 93.63),
    'data_20': (50.64, 92.70),
    'no_x': (52.17, 93.17),
    'no_w1': (45.53, 89.49),
    'no_w2': (50.51, 92.55),
    'no_w3': (53.19, 93.25),
    'no_w4': (36.19, 76.67),
    'no_seg_features': (54.78, 93.65),
  },
}
