"""A threshold with a guarantee: from labelled images to `calibration.json`."""
