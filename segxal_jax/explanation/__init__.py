"""Why an image is asked for: Grad-CAM, proximity, EEM."""
