"""What is checked of files: images to decode, originals, prepared copies."""
