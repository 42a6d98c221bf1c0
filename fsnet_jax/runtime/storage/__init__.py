"""What a checkpoint and a folder of weights have in common on the disk.

Checksums of what is stored, paths that orbax takes as they are written, and
reading in which damage is noticed and named.
"""
