"""Several networks from elsewhere as an ensemble: what they disagree about.

The prediction that is judged stays that of the first; the others say how sure
one may be of it (Lakshminarayanan et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from input_pipeline.external.protocol import (
  ENSEMBLE,
  LOGITS,
  ExternalNetwork,
)


def disagreement(logits: Sequence[np.ndarray]) -> np.ndarray:
  """Entropy of the mean softmax, and the mutual information.

  Args:
    logits: of each member, float32 [b h w c].

  Returns:
    float32 [b h w 2], nats; the second is the entropy of the mean less the
    mean of the entropies, at least 0.
  """
  size = logits[0].shape
  total, own = np.zeros(size), np.zeros(size[:-1])
  for one in logits:
    shifted = one.astype(np.float64) - one.max(-1, keepdims=True)
    chances = np.exp(shifted)
    chances /= chances.sum(-1, keepdims=True)
    total = total + chances
    own = own + _entropy(chances)
  mean = _entropy(total / len(logits))
  information = np.maximum(mean - own / len(logits), 0.0)
  return np.stack([mean, information], axis=-1).astype(np.float32)


def _entropy(chances: np.ndarray) -> np.ndarray:
  """In nats; 0 ln 0 is 0."""
  logs = np.log(np.where(chances > 0, chances, 1.0))
  return -(chances * logs).sum(-1)


class WithEnsemble:
  """Batches with 's_ensemble' beside what the first network says."""

  def __init__(
    self,
    batches: Any,
    networks: Sequence[ExternalNetwork],
  ):
    """Wraps an iterator over batches that have 's_logits'.

    Args:
      batches: of `stage.with_outputs`.
      networks: the other members.
    """
    self._batches = batches
    self._networks = tuple(networks)

  def __iter__(self) -> WithEnsemble:
    return self

  def __next__(self) -> dict[str, np.ndarray]:
    batch = next(self._batches)
    images = batch['image']
    logits = [batch[LOGITS]]
    logits += [network(images).logits for network in self._networks]
    return {**batch, ENSEMBLE: disagreement(logits)}

  def get_state(self) -> dict[str, Any]:
    """Returns what `set_state` needs to continue with the next batch."""
    return self._batches.get_state()

  def set_state(self, state: dict[str, Any]) -> None:
    """Continues where another iterator was."""
    self._batches.set_state(state)

  def close(self) -> None:
    """Ends what runs behind the batches."""
    self._batches.close()
