"""Meshes, rasters and cameras: numbers, no streets."""
