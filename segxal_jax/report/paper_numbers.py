"""Numbers printed in the SegXAL paper, for orientation only.

Percent, as printed: Cityscapes, U-Net at 256x512, "40 % of the training data".
The rows of table 1 but SegXAL's agree with those that DEAL published for
another network and size, and SegXAL's mIoU is not the mean of the class IoUs
printed beside it; both means are therefore given.
"""

from typing import NamedTuple


class PaperMethod(NamedTuple):
  """One row of table 1.

  Attributes:
    method: as printed.
    miou: as printed.
    class_mean: mean of the 19 class IoUs that the row prints.
    std: "STD" as printed; it is the spread over classes, not over runs.
  """

  method: str
  miou: float
  class_mean: float
  std: float


TABLE_1 = (
  PaperMethod('Fully supervised', 65.30, 65.32, 19.48),
  PaperMethod('Random', 59.00, 59.89, 20.61),
  PaperMethod('Entropy', 61.46, 61.25, 20.14),
  PaperMethod('Core-set', 60.69, 60.69, 20.61),
  PaperMethod('DEAL', 61.64, 61.63, 19.41),
  PaperMethod('SegXAL, pseudo-labels', 63.56, 61.53, 20.12),
  PaperMethod('SegXAL, Manual-M (MiDaS)', 64.37, 61.43, 19.96),
  PaperMethod('SegXAL, Manual-D (DINOv2)', 65.11, 61.71, 20.15),
)

# mIoU after AL cycles 1 to 5. The last one stands in table 3 and figure 7 too.
TABLE_2 = {
  'Pseudo-labels': (20.71, 27.11, 39.23, 50.47, 63.56),
  'Manual-M': (23.62, 28.02, 39.11, 51.33, 64.37),
  'Manual-D': (24.24, 30.02, 39.96, 52.31, 65.11),
}

# mIoU: with the whole error mask, without entropy, without Grad-CAM.
TABLE_3 = {
  'Pseudo-labels': (TABLE_2['Pseudo-labels'][-1], 59.87, 60.09),
  'Manual-M': (TABLE_2['Manual-M'][-1], 60.43, 61.68),
  'Manual-D': (TABLE_2['Manual-D'][-1], 61.09, 61.87),
}

# mIoU after the fifth AL cycle, with 10 % and with 40 % labelled to begin with
# (figure 7; the text prints its two ends).
FIGURE_7 = {
  'Pseudo-labels': (51.02, TABLE_2['Pseudo-labels'][-1]),
  'Manual-M': (52.29, TABLE_2['Manual-M'][-1]),
  'Manual-D': (52.83, TABLE_2['Manual-D'][-1]),
}

# mIoU of random images by share of Cityscapes in percent, read off DEAL's
# figure to about 0.15: DeepLabV3+ on MobileNetV2 at 688x688, with 300 images
# as its 10 % and 1,200 as its 40 %.
DEAL_RANDOM = {
  10: 50.3,
  15: 53.1,
  20: 55.2,
  25: 56.7,
  30: 57.8,
  35: 58.9,
  40: 59.9,
}
