"""From a scene to a picture: light, textures, weather."""
