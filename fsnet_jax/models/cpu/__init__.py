"""Forms of convolutions and resizing for XLA:CPU."""
