"""Networks that estimate depth from one image, and their public files."""
