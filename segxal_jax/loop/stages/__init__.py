"""The stages of a cycle: `(run, state) -> next state`, one file each.

A stage that is killed is run again from its beginning (training from its last
checkpoint). Each writes files that depend on the state alone, whole or not at
all, so running it again leaves what an unbroken run leaves.
"""

from collections.abc import Callable

from segxal_jax.loop.context import Run
from segxal_jax.loop.stages.annotate import annotate
from segxal_jax.loop.stages.evaluate import predict
from segxal_jax.loop.stages.explain import explain
from segxal_jax.loop.stages.query import query
from segxal_jax.loop.stages.select import select
from segxal_jax.loop.stages.train import train
from segxal_jax.loop.state import LoopState

STAGES: dict[str, Callable[[Run, LoopState], LoopState]] = {
  'train': train,
  'predict': predict,
  'explain': explain,
  'query': query,
  'annotate': annotate,
  'select': select,
}
