"""Settings shared by every test.

Grain's worker processes and TFDS read absl flags, which pytest never parses.
"""

from absl import flags

flags.FLAGS.mark_as_parsed()
