"""`--mode=check`: is a network from elsewhere fed as it was trained?

`run` lets it label a few images whose labels are known, and tries what is
usually wrong: colours, mean and deviation, scale, the order of the classes.
`lines` says it in words.
"""

from fsnet_jax.external.check.report import CheckReport, LabelledImage, run
from fsnet_jax.external.check.text import lines

__all__ = ['CheckReport', 'LabelledImage', 'lines', 'run']
