"""The state of the loop between two stages; a checkpoint holds it whole."""

import dataclasses
from typing import Any

from fsnet_jax.steps.train_step import TrainState

# A cycle runs them in this order; 'done' ends the loop.
STAGES = ('train', 'predict', 'explain', 'query', 'annotate', 'select')
DONE = 'done'


@dataclasses.dataclass(frozen=True)
class LoopState:
  """Where the loop stands.

  With the ledger (of which stages of later cycles never read more than what
  is before them) this decides everything that follows.

  Attributes:
    cycle: from 1; cycle c trains on what was accepted before it.
    stage: the next one to run, of `STAGES`, or `DONE`.
    queried: indices of the images that this cycle queries, in order.
    reason: why the loop ended.
    train: state of the networks; its step is 0 where training of the cycle
      has not begun.
  """

  cycle: int
  stage: str
  queried: tuple[int, ...]
  reason: str
  train: TrainState

  @property
  def progress(self) -> tuple[int, int]:
    """Cycle and number of the stage: larger = later in the run."""
    return self.cycle, (*STAGES, DONE).index(self.stage)

  def metadata(self) -> dict[str, Any]:
    """All but the networks, for JSON."""
    return {
      'cycle': self.cycle,
      'stage': self.stage,
      'queried': list(self.queried),
      'reason': self.reason,
    }

  @classmethod
  def restored(cls, metadata: dict[str, Any], train: TrainState) -> 'LoopState':
    """What `metadata` and the networks' state describe."""
    return cls(
      cycle=int(metadata['cycle']),
      stage=str(metadata['stage']),
      queried=tuple(int(i) for i in metadata['queried']),
      reason=str(metadata['reason']),
      train=train,
    )

  def then(self, stage: str, **changes: Any) -> 'LoopState':
    """The state in which `stage` is next."""
    return dataclasses.replace(self, stage=stage, **changes)
