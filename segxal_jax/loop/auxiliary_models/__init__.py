"""Networks that are trained beside S before the pool is scored.

An auxiliary model is a function of (run, state, strategy) that trains what it
needs on D^L (and D^U), and returns a scorer: (batch on the devices, key) ->
numbers an image. S and its training do not depend on it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from segxal_jax.acquisition import Acquisition
from segxal_jax.loop.auxiliary_models import ensemble, vaal
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import LoopState

# Where a cycle's auxiliary models keep what they have trained, until used.
FOLDER = ensemble.FOLDER
Scorer = Callable[[Mapping[str, Any], Any], dict[str, Any]]

AUXILIARY_MODELS: dict[str, Callable[[Run, LoopState, Acquisition], Scorer]] = {
  'ensemble': ensemble.scorer,
  'vaal': vaal.scorer,
}
