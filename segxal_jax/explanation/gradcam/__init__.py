"""Grad-CAM; `core` is the way in."""
