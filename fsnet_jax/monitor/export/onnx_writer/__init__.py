"""A traced JAX function as a graph of ONNX operators."""
