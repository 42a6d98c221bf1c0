"""Street-scene data sets as resumable, sharded batches.

Numpy, TFDS and grain only; nothing of `fsnet_jax` is imported here.
"""
