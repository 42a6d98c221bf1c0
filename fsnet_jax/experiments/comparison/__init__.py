"""Every failure detector over one frozen S, seed by seed, in one report.

`run` is the command; `cells` trains what is missing, `per_image_observer`
collects per image while one evaluation pass scores all methods, `merge` joins
the seeds, and the rest makes tables, figures and the page of it.
"""

from fsnet_jax.experiments.comparison.run import check, run

__all__ = ['check', 'run']
