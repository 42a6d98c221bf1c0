"""Published numbers to hold a report's own against, for orientation only."""

from typing import NamedTuple


class PaperRow(NamedTuple):
  """One row of a published table, in percent as printed."""

  dataset: str
  detector: str
  ap_error: float
  ap_success: float
  auroc: float
  fpr95_error: float


# Rahman et al., FSNet, Table III, columns FCN8 (trained on Cityscapes).
FSNET_TABLE_III_FCN8: tuple[PaperRow, ...] = (
  PaperRow('Cityscapes (in)', 'FSNet', 67.83, 98.98, 94.35, 21.52),
  PaperRow('Cityscapes (in)', 'MSP', 50.31, 99.01, 91.54, 25.34),
  PaperRow('BDD100K (out)', 'FSNet', 72.29, 86.63, 83.17, 51.81),
  PaperRow('BDD100K (out)', 'MSP', 60.40, 83.65, 75.04, 65.14),
  PaperRow('Mapillary (out)', 'FSNet', 68.29, 93.76, 87.75, 40.19),
  PaperRow('Mapillary (out)', 'MSP', 58.29, 92.97, 82.53, 45.35),
)

# Table IV, Cityscapes (in distribution): AP-Err and AUROC by variant.
FSNET_TABLE_IV_CITYSCAPES: dict[str, dict[str, tuple[float, float]]] = {
  'fcn8': {
    'full': (67.83, 94.35),
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
    'full': (57.84, 93.97),
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
