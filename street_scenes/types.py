"""Names of types that many modules of this package share."""

# Metres, radians or shares; a whole number where it happens to be one.
Number = int | float
Span = tuple[Number, Number]
Point = tuple[Number, Number, Number]
# Red, green and blue, 0..1.
Color = tuple[Number, Number, Number]
