"""Networks: segmentation, failure detection, and the two joined (FSNet)."""
