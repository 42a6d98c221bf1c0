"""What goes to an oracle and what comes back: questions and answers."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from segxal_jax.pool.entries import Cost
from segxal_jax.queries.regions import Region


@dataclasses.dataclass(frozen=True)
class Question:
  """What an oracle gets to see of one image.

  Attributes:
    cycle: of the loop.
    index: of the image in the pool.
    id: name of the image.
    image: RGB.
    prediction: class indices that the segmentation network predicted.
    confidence: probability of those classes, in [0, 1].
    eem: the error mask, in [0, 1]; higher = more likely misclassified.
    usable: False on the ego vehicle, about which no question is made.
    segments: numbers of the regions that the image is cut into.
    regions: the selected ones, highest score first, each with its prompt
      point.
    parts: what `eem` is the weighted mean of, weights included: 'proximity',
      'entropy' and 'failure', those that have a weight; empty where the
      strategy ranks regions by another map.
  """

  cycle: int
  index: int
  id: str
  image: UInt8[np.ndarray, 'h w 3']
  prediction: UInt8[np.ndarray, 'h w']
  confidence: Float[np.ndarray, 'h w']
  eem: Float[np.ndarray, 'h w']
  usable: Bool[np.ndarray, 'h w']
  segments: Int32[np.ndarray, 'h w']
  regions: Sequence[Region]
  parts: Mapping[str, Float[np.ndarray, '_h _w']] = dataclasses.field(
    default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Answer:
  """An oracle's labels of one image.

  Attributes:
    label: class indices, 255 = void: not trained on.
    asked: pixels whose label comes from the oracle; the rest is whatever
      `oracles.base.fill` made of the network's own prediction.
    cost: see `pool.entries.Cost`.
  """

  label: UInt8[np.ndarray, 'h w']
  asked: Bool[np.ndarray, 'h w']
  cost: Cost
