"""What an acquisition strategy is."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Candidates:
  """The random subset D^S of the unlabelled pool, and what is known of it.

  Attributes:
    index: of the images in the pool, ascending.
    scores: by name, one number an image; higher = more worth a label.
    embedding: one vector an image, if the strategy needs them.
    centres: vectors of the images that are already labelled.
    group: equal numbers for images of one scene, if the strategy needs them.
  """

  index: Int[np.ndarray, ' n']
  scores: Mapping[str, Float[np.ndarray, ' n']] = dataclasses.field(
    default_factory=dict
  )
  embedding: Float[np.ndarray, 'n k'] | None = None
  centres: Float[np.ndarray, 'm k'] | None = None
  group: Int[np.ndarray, ' n'] | None = None


@dataclasses.dataclass(frozen=True)
class SelectedBatch:
  """The images that a strategy selects.

  Attributes:
    index: of the images in the pool, in the order of selection.
    utility: what each candidate was worth when it was considered, in the
      order of the candidates; for records and plots.
  """

  index: Int[np.ndarray, ' q']
  utility: Float[np.ndarray, ' n']


@dataclasses.dataclass(frozen=True)
class Requirements:
  """What a strategy needs beside the outputs of S; the default is nothing.

  Attributes:
    embedding: what its vectors are: 'features' (mean of Grad-CAM's layer) or
      'gradient' (`gradient_embedding`).
    learner: how S is trained: key of `learners.LEARNERS`.
    auxiliary_model: trained beside S before the pool is scored: key of
      `auxiliary_models.AUXILIARY_MODELS`; 'views': a pass of its own over the
      views of each scene (`auxiliary_models.views`); '' = neither.
    granularity: of its queries within an image: 'regions', 'pixels',
      'windows' or 'cells', see `config.builders.region_selector`;
      'true_error': regions by the ground truth, which it sees too.
  """

  embedding: str = 'features'
  learner: str = 'plain'
  auxiliary_model: str = ''
  granularity: str = 'regions'


@runtime_checkable
class Acquisition(Protocol):
  """Selects the images of a query."""

  @property
  def name(self) -> str:
    """Key in `ACQUISITIONS`."""
    ...

  @property
  def title(self) -> str:
    """How tables call it."""
    ...

  @property
  def needs(self) -> tuple[str, ...]:
    """Names of the scores that it uses.

    See `explanation.step.make_score_step`.
    """
    ...

  @property
  def needs_embedding(self) -> bool:
    """Whether it uses vectors of the candidates.

    If they are features, of labelled images, too.
    """
    ...

  @property
  def requirements(self) -> Requirements:
    """What it needs beside that."""
    ...

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """Selects `count` candidates, or all if there are fewer.

    Args:
      candidates: see `Candidates`.
      count: at least 0.
      rng: the only source of chance.

    Raises:
      ValueError: a score or vector that is not finite.
    """
    ...


def check_finite(name: str, values: np.ndarray, index: np.ndarray) -> None:
  """Raises ValueError that names the first image with a NaN or infinity."""
  bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
  if bad.any():
    raise ValueError(
      f'{name} of pool image {int(index[np.argmax(bad)])} is not finite: the '
      'network has diverged'
    )
