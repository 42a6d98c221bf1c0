"""Why an image is queried: Grad-CAM, proximity, EEM."""
