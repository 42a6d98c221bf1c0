"""People answer in Label Studio: one file for each step on the way.

`project` finds the run's project, `tasks` draws up a question, `board` puts it
there once, `answers` makes a label map of what came back. `client` and `rle`
speak Label Studio's protocol and code.
"""

from segxal_jax.oracles.label_studio.oracle import LabelStudio

__all__ = ['LabelStudio']
