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
