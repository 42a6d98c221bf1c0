"""Colours made of others."""

from street_scenes.types import Color, Number


def shaded(color: Color, factor: Number) -> Color:
  """A colour at another level; above 1 it may leave 0..1."""
  red, green, blue = color
  return factor * red, factor * green, factor * blue


def brightened(color: Color, factor: Number, more: Number = 0.0) -> Color:
  """`factor * color + more`, at most white."""
  red, green, blue = shaded(color, factor)
  return min(red + more, 1.0), min(green + more, 1.0), min(blue + more, 1.0)
