"""`--mode=check`: is a network from elsewhere fed as it was trained?

`run` lets it label a few images whose labels are known, and tries what is
usually wrong: colours, mean and deviation, scale, the order of the classes.
`lines` says it in words.
"""

from input_pipeline.external.check.report import CheckReport, LabelledImage, run
from input_pipeline.external.check.text import lines

__all__ = ['CheckReport', 'LabelledImage', 'lines', 'run']
