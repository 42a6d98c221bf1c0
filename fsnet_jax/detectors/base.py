"""What a failure detector is: a map from one forward pass to a score."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import flax.struct
from jaxtyping import Array, Float

from fsnet_jax.models.segmentation.protocol import SegmentationOutput


@flax.struct.dataclass
class ForwardPass:
  """What the networks say about a batch, computed once for all detectors.

  Attributes:
    images: float32 [b h w 3], RGB, 0..255.
    segmentation: output of S in evaluation mode.
    failure_logits: float32 [b h w], output of F: log-odds that S is wrong.
    failure_parts: float32 [b h w] by name, what each network that F is the
      mean of says by itself; those that were not trained are missing.
    flip_logits: float32 [b h w c], S's logits of the mirrored images,
      mirrored back; None unless something asks for them.
    dropout_logits: float32 [b h w c], S's logits averaged over passes with
      dropout; None unless a detector asks for them.
    dropout_uncertainty: float32 [b h w 2], of `mc_dropout.uncertainty`; None
      unless a network of phase 3 asks for it.
    temperature: float32 scalar, fitted on the validation split; 1 unless a
      detector asks for it.
    fitted: by key of `fsnet_jax.learned_detectors.FITTED`, what that
      detector's own network says, float32 [b h w] (of several numbers
      [b h w k]), higher = more likely wrong.
  """

  images: Float[Array, 'b h w 3']
  segmentation: SegmentationOutput
  failure_logits: Float[Array, 'b h w']
  failure_parts: Mapping[str, Any] = flax.struct.field(default_factory=dict)
  flip_logits: Float[Array, 'b h w c'] | None = None
  dropout_logits: Float[Array, 'b h w c'] | None = None
  dropout_uncertainty: Float[Array, 'b h w 2'] | None = None
  temperature: Float[Array, ''] | float = 1.0
  fitted: Mapping[str, Any] = flax.struct.field(default_factory=dict)


@runtime_checkable
class FailureDetector(Protocol):
  """Scores every pixel of a batch; higher = more likely wrong.

  Only the order of scores matters to the ranking metrics, so a score may
  have any finite range; choose the monotone form that keeps most resolution
  in float32. Add a detector as one file, named `module:Class` in
  `config.eval.detectors` or with two lines in `fsnet_jax.detectors`.

  Attributes:
    name: key in `metrics.json`.
    title: how tables call it.
    uses_failure_network: whether it needs a trained F.
    uses_dropout_samples: whether it needs `dropout_logits`.
    uses_temperature: whether it needs `temperature`.

  A detector that looks at one of `ForwardPass.fitted` or `.failure_parts` also
  has `uses_fitted` or `uses_failure_part`, the key; one that needs
  `flip_logits` has a true `uses_flip`.
  """

  name: str
  title: str
  uses_failure_network: bool
  uses_dropout_samples: bool
  uses_temperature: bool

  def score(self, forward: ForwardPass) -> Float[Array, 'b h w']:
    """Finite float32 failure score."""
    ...

  def probability(self, forward: ForwardPass) -> Float[Array, 'b h w'] | None:
    """P(wrong) in [0, 1], or None if the score is no probability."""
    ...


def fitted_name(detector: FailureDetector) -> str:
  """The key of `ForwardPass.fitted` that a detector looks at; '' for none."""
  return getattr(detector, 'uses_fitted', '')


def failure_part(detector: FailureDetector) -> str:
  """The key of `ForwardPass.failure_parts` it looks at; '' for none."""
  return getattr(detector, 'uses_failure_part', '')


def uses_flip(detector: FailureDetector) -> bool:
  """Whether a detector needs `ForwardPass.flip_logits`."""
  return getattr(detector, 'uses_flip', False)
