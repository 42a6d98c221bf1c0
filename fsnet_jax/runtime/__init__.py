"""Devices, processes, checkpoints, writers and interruptions.

The only part of the package that imports orbax and TensorBoard.
"""
