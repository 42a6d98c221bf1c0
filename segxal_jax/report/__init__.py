"""The report of a run: learning curves, and why each image was queried."""
