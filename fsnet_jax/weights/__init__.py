"""Foreign checkpoints: read without running them, named and shaped as ours.

`readers.read_tensors` reads any file; `convert` makes a folder of it that
`config.init` takes.
"""
