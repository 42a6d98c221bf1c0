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
    index: places in the pool, ascending.
    scores: by name, one number an image; higher = more worth a label.
    embedding: one vector an image, if the strategy needs them.
    centres: vectors of the images that are already labelled.
    group: equal numbers for images of one scene, if the strategy asks.
  """

  index: Int[np.ndarray, ' n']
  scores: Mapping[str, Float[np.ndarray, ' n']] = dataclasses.field(
    default_factory=dict
  )
  embedding: Float[np.ndarray, 'n k'] | None = None
  centres: Float[np.ndarray, 'm k'] | None = None
  group: Int[np.ndarray, ' n'] | None = None


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A batch of images.

  Attributes:
    index: places in the pool, in the order of choice.
    utility: what each candidate was worth when it was considered, in the
      order of the candidates; for records and plots.
  """

  index: Int[np.ndarray, ' q']
  utility: Float[np.ndarray, ' n']


@dataclasses.dataclass(frozen=True)
class Means:
  """What a strategy takes beside the outputs of S; the default is nothing.

  Attributes:
    embedding: what its vectors are: 'features' (mean of the layer that
      Grad-CAM looks at) or 'gradient' (`gradient_embedding`).
    learner: how S is trained: key of `learners.LEARNERS`.
    companions: networks that are trained beside S before the pool is looked
      at: key of `companions.COMPANIONS`; 'views': a pass of its own over the
      views of each scene (`companions.views`); '' = neither.
    asks: how it points within an image, see `asking.create`.
  """

  embedding: str = 'features'
  learner: str = 'plain'
  companions: str = ''
  asks: str = 'regions'


@runtime_checkable
class Acquisition(Protocol):
  """Picks the images to ask about.

  Attributes:
    name: key in `ACQUISITIONS`.
    title: how tables call it.
    needs: names of `explain_step.SCORES` that it uses.
    needs_embedding: whether it uses vectors of candidates and, if they are
      features, of labelled images.
    means: what it takes beside that.
  """

  name: str
  title: str
  needs: tuple[str, ...]
  needs_embedding: bool
  means: Means

  def choose(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> Chosen:
    """Picks `count` candidates, or all if there are fewer.

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
