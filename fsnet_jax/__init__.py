"""FSNet: a segmentation network and the network that flags its errors."""
